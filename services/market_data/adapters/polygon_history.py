"""The bars that Polygon remembers: aggregates, page by page."""

from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from services.market_data.adapters.polygon_rest import SPELLING, PolygonRest
from trading.instruments import Instrument
from trading.market import Bar, Interval
from trading.money import from_float

_ROWS_MOST = 50_000
_MS = 1_000_000
_WINDOWS = {
    Interval.ONE_MINUTE: "1/minute",
    Interval.FIVE_MINUTES: "5/minute",
    Interval.ONE_HOUR: "1/hour",
    Interval.ONE_DAY: "1/day",
}


class BarBody(msgspec.Struct):
    """An aggregate; `t` is its start in ms, `vw` and `n` may be absent."""

    t: int
    o: float
    h: float
    l: float  # noqa: E741  Polygon's name for the low
    c: float
    v: float = 0.0
    vw: float | None = None
    n: int = 0


class BarsBody(msgspec.Struct):
    """A page of aggregates; an empty one has no results at all."""

    results: list[BarBody] | None = None
    next_url: str | None = None


class PolygonHistory:
    """Answers with raw (unadjusted) bars."""

    def __init__(self, venue: str, rest: PolygonRest) -> None:
        self._venue, self._rest = venue, rest

    async def bars(
        self, instruments: Sequence[Instrument], interval: Interval, start_ns: int, end_ns: int, limit: int
    ) -> dict[str, list[Bar]]:
        """Bars by canonical symbol, oldest first; see `ports.HistorySource`."""
        found: dict[str, list[Bar]] = {}
        left = limit
        for instrument in instruments:
            if left > 0 and (bars := await self._read(instrument, interval, start_ns, end_ns, left)):
                found[instrument.symbol] = bars
                left -= len(bars)
        return found

    async def _read(
        self, instrument: Instrument, interval: Interval, start_ns: int, end_ns: int, limit: int
    ) -> list[Bar]:
        spelling = quote(instrument.venue_symbol(SPELLING), safe=":")
        span = f"{-(-start_ns // _MS)}/{(end_ns - 1) // _MS}"  # the venue's end is inclusive
        path = f"/v2/aggs/ticker/{spelling}/range/{_WINDOWS[interval]}/{span}"
        # The venue's limit counts the minutes that its bars are made of, ours counts bars.
        question = {"adjusted": "false", "sort": "asc", "limit": _ROWS_MOST}
        bars: list[Bar] = []
        async for page in self._rest.pages(path, BarsBody, question):
            bars += [self._bar(instrument.symbol, interval, body) for body in page.results or ()]
            if len(bars) >= limit:
                break
        return [bar for bar in bars if start_ns <= bar.timestamp_ns < end_ns][:limit]

    def _bar(self, symbol: str, interval: Interval, body: BarBody) -> Bar:
        return Bar(
            symbol=symbol,
            interval=interval,
            timestamp_ns=body.t * _MS,
            open_nanos=from_float(body.o),
            high_nanos=from_float(body.h),
            low_nanos=from_float(body.l),
            close_nanos=from_float(body.c),
            volume=body.v,
            vwap_nanos=from_float(body.c if body.vw is None else body.vw),
            trade_count=body.n,
            venue=self._venue,
        )
