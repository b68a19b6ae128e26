"""The bars that Alpaca remembers, from the data API, page by page."""

from collections.abc import Iterator, Sequence
from itertools import groupby

import msgspec

from services.market_data.adapters.alpaca_key import SPELLING
from services.market_data.adapters.alpaca_rest import AlpacaRest
from services.market_data.adapters.alpaca_times import rfc3339, rfc3339_ns
from trading.errors import Unavailable
from trading.instruments import AssetClass, Instrument
from trading.market import Bar, Interval
from trading.money import from_float

PAGE_MOST = 10_000
_PATHS = {AssetClass.EQUITY: "/v2/stocks/bars", AssetClass.CRYPTO: "/v1beta3/crypto/us/bars"}
_TIMEFRAMES = {
    Interval.ONE_MINUTE: "1Min",
    Interval.FIVE_MINUTES: "5Min",
    Interval.ONE_HOUR: "1Hour",
    Interval.ONE_DAY: "1Day",
}


class BarBody(msgspec.Struct):
    """A bar object; `vw` and `n` are absent in some old answers."""

    t: str
    o: float
    h: float
    l: float  # noqa: E741  Alpaca's name for the low
    c: float
    v: float
    n: int = 0
    vw: float | None = None


class BarsBody(msgspec.Struct):
    """A page of bars by the venue's spelling."""

    bars: dict[str, list[BarBody]] | None = None
    next_page_token: str | None = None


class AlpacaHistory:
    """Answers with raw (unadjusted) bars; `feed` is the tape that the live stream reads too, such as `iex`."""

    def __init__(self, venue: str, rest: AlpacaRest, feed: str) -> None:
        self._venue, self._rest, self._feed = venue, rest, feed

    async def bars(
        self, instruments: Sequence[Instrument], interval: Interval, start_ns: int, end_ns: int, limit: int
    ) -> dict[str, list[Bar]]:
        """Bars by canonical symbol, oldest first; see `ports.HistorySource`."""
        found: dict[str, list[Bar]] = {}
        by_class = sorted(instruments, key=lambda instrument: instrument.asset_class)
        for asset_class, group in groupby(by_class, key=lambda instrument: instrument.asset_class):
            members = list(group)
            found.update(await self._read(asset_class, members, interval, start_ns, end_ns, limit))
        return found

    async def _read(
        self,
        asset_class: AssetClass,
        instruments: Sequence[Instrument],
        interval: Interval,
        start_ns: int,
        end_ns: int,
        limit: int,
    ) -> dict[str, list[Bar]]:
        symbols = {instrument.venue_symbol(SPELLING): instrument.symbol for instrument in instruments}
        question = self._question(asset_class, list(symbols), interval, start_ns, end_ns)
        found: dict[str, list[Bar]] = {}
        left = limit
        while left > 0:
            page = await self._rest.get(_PATHS[asset_class], BarsBody, question | {"limit": min(left, PAGE_MOST)})
            for spelling, bodies in (page.bars or {}).items():
                if (symbol := symbols.get(spelling)) is not None:
                    found.setdefault(symbol, []).extend(self._bars(symbol, interval, bodies))
                    left -= len(bodies)
            if not page.next_page_token:
                break
            question["page_token"] = page.next_page_token
        return found

    def _question(
        self, asset_class: AssetClass, spellings: list[str], interval: Interval, start_ns: int, end_ns: int
    ) -> dict[str, str | int]:
        question: dict[str, str | int] = {
            "symbols": ",".join(spellings),
            "timeframe": _TIMEFRAMES[interval],
            "start": rfc3339(start_ns),
            "end": rfc3339(end_ns - 1),  # the venue's end is inclusive
            "sort": "asc",
        }
        if asset_class is AssetClass.EQUITY:
            question["adjustment"] = "raw"
            if self._feed:
                question["feed"] = self._feed
        return question

    def _bars(self, symbol: str, interval: Interval, bodies: Sequence[BarBody]) -> Iterator[Bar]:
        for body in bodies:
            yield Bar(
                symbol=symbol,
                interval=interval,
                timestamp_ns=_start_ns(body),
                open_nanos=from_float(body.o),
                high_nanos=from_float(body.h),
                low_nanos=from_float(body.l),
                close_nanos=from_float(body.c),
                volume=body.v,
                vwap_nanos=from_float(body.c if body.vw is None else body.vw),
                trade_count=body.n,
                venue=self._venue,
            )


def _start_ns(body: BarBody) -> int:
    try:
        return rfc3339_ns(body.t)
    except ValueError as error:
        raise Unavailable(f"The venue stamped a bar {body.t!r}.") from error


def feed_of(stream_url: str) -> str:
    """The tape behind a stream's address, `…/v2/iex` or `…/v2/sip`; empty when the address names none."""
    name = stream_url.rstrip("/").rpartition("/")[2]
    return name if name in ("iex", "sip", "otc") else ""
