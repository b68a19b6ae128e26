"""Books of Binance kept here by its recipe: changes are kept, a snapshot is loaded, a hole asks for a new snapshot."""

import asyncio
from collections.abc import Sequence

import msgspec
import structlog

from services.market_data.adapters.binance_messages import DepthEvent, TickerEvent
from services.market_data.adapters.binance_rest import BinanceRest
from services.market_data.domain.depth_book import DepthBook, DepthChange, Level
from trading.errors import ResourceExhausted, TradingError, Unavailable
from trading.money import format_nanos, parse_nanos

_LEVELS = 1_000
_AGAIN_S = 0.2
Rows = list[tuple[str, str]]


class SnapshotBody(msgspec.Struct, rename={"number": "lastUpdateId"}):
    """The answer to depth."""

    number: int
    bids: Rows
    asks: Rows


class BinanceDepth:
    """The books of some symbols; each change of a best price or size is a quote."""

    def __init__(self, rest: BinanceRest, spellings: Sequence[str]) -> None:
        self._rest = rest
        self.books = {spelling: DepthBook() for spelling in spellings}
        self._bests: dict[str, tuple[Level, Level]] = {}
        self._wanted = asyncio.Event()
        self._log = structlog.get_logger(__name__)

    def take(self, event: DepthEvent) -> TickerEvent | None:
        """Take in a change; the quote that it means, if it means one. Raises InvalidArgument for what is no number."""
        book = self.books.get(event.s)
        if book is None or not book.change(DepthChange(event.U, event.u, _levels(event.b), _levels(event.a))):
            self._wanted.set()
            return None
        best = book.best
        if self._bests.get(event.s) == best:
            return None
        self._bests[event.s] = best
        (bid, bid_size), (ask, ask_size) = best
        texts = format_nanos(bid), format_nanos(bid_size), format_nanos(ask), format_nanos(ask_size)
        return TickerEvent(event.s, event.u, *texts, event.E)

    async def keep_whole(self) -> None:
        """Fetch a snapshot for every book that needs one; runs for as long as the session does."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            for spelling, book in self.books.items():
                while not book.is_whole:
                    await self._load(spelling, book)

    async def _load(self, spelling: str, book: DepthBook) -> None:
        try:
            body = await self._rest.get("/api/v3/depth", SnapshotBody, {"symbol": spelling, "limit": _LEVELS})
            if not book.load(body.number, _levels(body.bids), _levels(body.asks)):
                await asyncio.sleep(_AGAIN_S)  # it was older than the first change that we have
        except (ResourceExhausted, Unavailable) as error:
            await asyncio.sleep(float(str(error.metadata.get("retry_after_s", _AGAIN_S))))
        except TradingError as refusal:
            self._log.error("no snapshot of the book", symbol=spelling, reason=refusal.message)
            await asyncio.Event().wait()


def _levels(rows: Rows) -> tuple[Level, ...]:
    return tuple((parse_nanos(price), parse_nanos(size)) for price, size in rows)
