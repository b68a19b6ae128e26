"""The trades that Alpaca remembers, from the data API, page by page."""

import msgspec

from services.market_data.adapters.alpaca_columns import AlpacaColumns
from services.market_data.adapters.alpaca_key import SPELLING
from services.market_data.adapters.alpaca_messages import TradeMessage
from services.market_data.adapters.alpaca_rest import AlpacaRest
from services.market_data.adapters.alpaca_times import rfc3339
from services.market_data.domain.trade_line import Mark
from trading.clock import Clock
from trading.instruments import AssetClass, Instrument
from trading.market import TradeBlock

_PATHS = {AssetClass.EQUITY: "/v2/stocks/trades", AssetClass.CRYPTO: "/v1beta3/crypto/us/trades"}


class TradeBody(msgspec.Struct):
    """A trade object; it has the names of the stream's message, without type and symbol."""

    t: msgspec.Raw
    p: float
    s: float
    i: int | str = ""
    tks: str = ""


class TradesBody(msgspec.Struct):
    """A page of trades by the venue's spelling."""

    trades: dict[str, list[TradeBody]] | None = None
    next_page_token: str | None = None


class AlpacaTrades:
    """Answers from a mark's time on; `feed` is the tape that the live stream reads too, such as `iex`."""

    def __init__(self, venue: str, rest: AlpacaRest, feed: str, clock: Clock) -> None:
        self._venue, self._rest, self._feed, self._clock = venue, rest, feed, clock

    async def trades(self, instrument: Instrument, since: Mark, limit: int) -> TradeBlock | None:
        """Trades since a mark, oldest first; see `ports.TradeSource`."""
        spelling = instrument.venue_symbol(SPELLING)
        columns = AlpacaColumns(self._venue, {spelling: instrument.symbol})
        question = {"symbols": spelling, "start": rfc3339(since.time_ns), "sort": "asc"}
        if instrument.asset_class is AssetClass.EQUITY and self._feed:
            question["feed"] = self._feed
        left = limit
        while left > 0:
            page = await self._rest.get(_PATHS[instrument.asset_class], TradesBody, question | {"limit": left})
            bodies = (page.trades or {}).get(spelling) or []
            messages = [TradeMessage(spelling, body.t, body.p, body.s, body.i, body.tks) for body in bodies]
            columns.add(messages, self._clock.now_ns())
            left -= len(bodies)
            if not page.next_page_token:
                break
            question["page_token"] = page.next_page_token
        return next(iter(columns.drain().trades), None)
