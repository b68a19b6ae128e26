"""The trades that Binance remembers, by their numbers."""

import msgspec

from services.market_data.adapters.binance_columns import BinanceColumns
from services.market_data.adapters.binance_messages import Number, TradeEvent
from services.market_data.adapters.binance_rest import SPELLING, BinanceRest
from services.market_data.domain.trade_line import Mark
from trading.clock import Clock
from trading.instruments import Instrument
from trading.market import TradeBlock

PAGE_MOST = 1_000


class TradeBody(msgspec.Struct, rename={"maker": "isBuyerMaker"}):
    """A trade in the answer of historicalTrades."""

    id: Number
    price: str
    qty: str
    time: int
    maker: bool = False


class AggregateBody(msgspec.Struct):
    """An aggregate trade, of which only the number of its first trade is wanted."""

    f: int


class BinanceTrades:
    """Answers from the number after a mark's on; a mark without a trade is found by its time."""

    def __init__(self, venue: str, rest: BinanceRest, clock: Clock) -> None:
        self._venue, self._rest, self._clock = venue, rest, clock

    async def trades(self, instrument: Instrument, since: Mark, limit: int) -> TradeBlock | None:
        """Trades since a mark, oldest first; see `ports.TradeSource`."""
        spelling = instrument.venue_symbol(SPELLING)
        columns = BinanceColumns(self._venue, {spelling: instrument.symbol})
        next_id = int(since.trade_id) + 1 if since.trade_id else await self._first_id(spelling, since.time_ns)
        left = limit if next_id is not None else 0
        while left > 0:
            question = {"symbol": spelling, "fromId": next_id, "limit": min(left, PAGE_MOST)}
            page = await self._rest.get("/api/v3/historicalTrades", list[TradeBody], question)
            events = [TradeEvent(spelling, body.id, body.price, body.qty, body.time, body.maker) for body in page]
            columns.add(events, self._clock.now_ns())
            left -= len(page)
            if len(page) < PAGE_MOST:
                break
            next_id = page[-1].id + 1
        return next(iter(columns.drain().trades), None)

    async def _first_id(self, spelling: str, since_ns: int) -> int | None:
        question = {"symbol": spelling, "startTime": since_ns // 1_000_000, "limit": 1}
        page = await self._rest.get("/api/v3/aggTrades", list[AggregateBody], question)
        return page[0].f if page else None
