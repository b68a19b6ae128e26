"""The bars that Binance remembers: klines, a thousand at a time."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from services.market_data.adapters.binance_rest import SPELLING, BinanceRest, time_ns
from trading.errors import Unavailable
from trading.instruments import AssetClass, Instrument
from trading.market import Bar, Interval
from trading.money import ONE, parse_nanos

PAGE_MOST = 1_000
_MS = 1_000_000
Kline = list[Any]


class BinanceHistory:
    """Answers for coins; shares have no bars here."""

    def __init__(self, venue: str, rest: BinanceRest) -> None:
        self._venue, self._rest = venue, rest

    async def bars(
        self, instruments: Sequence[Instrument], interval: Interval, start_ns: int, end_ns: int, limit: int
    ) -> dict[str, list[Bar]]:
        """Bars by canonical symbol, oldest first; see `ports.HistorySource`."""
        found: dict[str, list[Bar]] = {}
        left = limit
        for instrument in instruments:
            if left > 0 and instrument.asset_class is AssetClass.CRYPTO:
                bars = await self._read(instrument, interval, start_ns, end_ns, left)
                left -= len(bars)
                found |= {instrument.symbol: bars} if bars else {}
        return found

    async def _read(
        self, instrument: Instrument, interval: Interval, start_ns: int, end_ns: int, limit: int
    ) -> list[Bar]:
        bars: list[Bar] = []
        start_ms = -(-start_ns // _MS)
        while len(bars) < limit:
            count = min(limit - len(bars), PAGE_MOST)
            question = {
                "symbol": instrument.venue_symbol(SPELLING), "interval": str(interval), "limit": count,
                "startTime": start_ms, "endTime": (end_ns - 1) // _MS,
            }  # fmt: skip
            page = await self._rest.get("/api/v3/klines", list[Kline], question)
            bars += [self._bar(instrument.symbol, interval, kline) for kline in page]
            if len(page) < count:
                break
            start_ms = bars[-1].timestamp_ns // _MS + 1
        return bars

    def _bar(self, symbol: str, interval: Interval, kline: Kline) -> Bar:
        try:
            start, open_, high, low, close, volume, _, value, count, *_ = kline
            traded = Decimal(volume)
            vwap = Decimal(value) / traded if traded else Decimal(close)
            return Bar(
                symbol=symbol,
                interval=interval,
                timestamp_ns=time_ns(start),
                open_nanos=parse_nanos(open_),
                high_nanos=parse_nanos(high),
                low_nanos=parse_nanos(low),
                close_nanos=parse_nanos(close),
                volume=float(traded),
                vwap_nanos=int((vwap * ONE).to_integral_value()),
                trade_count=int(count),
                venue=self._venue,
            )
        except (ValueError, TypeError, ArithmeticError) as error:
            raise Unavailable(f"The venue gave an unreadable kline: {kline!r:.100}.") from error
