"""Klines of every length from the market's bars, with the one in the making, and the statistics of the last day."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from services.paper_venue.binance.errors import BAD_INTERVAL, ApiError
from services.paper_venue.binance.listing import Pair
from services.paper_venue.binance.texts import TimeUnit, decimal, decimal_of_float
from services.paper_venue.binance.trades import END_OF_TIME, TradeHistory
from services.paper_venue.domain.bars import BarTable
from services.paper_venue.domain.charts import Length, Unit
from services.paper_venue.domain.market import Market
from services.paper_venue.domain.ticks import Int64
from trading.clock import DAY_NS, MINUTE_NS, SECOND_NS

INTERVALS = {f"{count}m": Length(count, Unit.MINUTE) for count in (1, 3, 5, 15, 30)}
INTERVALS |= {f"{count}h": Length(count, Unit.HOUR) for count in (1, 2, 4, 6, 8, 12)}
INTERVALS |= {"1d": Length(1, Unit.DAY), "3d": Length(3, Unit.DAY), "1w": Length(1, Unit.WEEK)}
INTERVALS |= {"1M": Length(1, Unit.MONTH)}
_FIXED_NS = {Unit.MINUTE: MINUTE_NS, Unit.HOUR: 60 * MINUTE_NS, Unit.DAY: DAY_NS}
_MONDAY_NS = 4 * DAY_NS  # 1970-01-05
_WEEK_NS = 7 * DAY_NS


def interval_of(name: str) -> Length:
    """The length of a kline by Binance's name for it; raises ApiError −1120."""
    length = INTERVALS.get(name)
    if length is None:
        raise ApiError(BAD_INTERVAL, "Invalid interval.")
    return length


def start_of(length: Length, time_ns: int) -> int:
    """The start of the kline that a moment belongs to."""
    if length.unit is Unit.MONTH:
        day = datetime.fromtimestamp(time_ns // SECOND_NS, UTC)
        return round(datetime(day.year, day.month, 1, tzinfo=UTC).timestamp()) * SECOND_NS
    if length.unit is Unit.WEEK:
        return (time_ns - _MONDAY_NS) // _WEEK_NS * _WEEK_NS + _MONDAY_NS
    size = length.count * _FIXED_NS[length.unit]
    return time_ns // size * size


def _starts_of(length: Length, times_ns: Int64) -> Int64:
    """`start_of` for a whole column."""
    if length.unit is Unit.MONTH:
        return np.array([start_of(length, time_ns) for time_ns in times_ns.tolist()], np.int64)
    size, first = (_WEEK_NS, _MONDAY_NS) if length.unit is Unit.WEEK else (length.count * _FIXED_NS[length.unit], 0)
    return np.asarray((times_ns - first) // size * size + first)


def end_of(length: Length, start_ns: int) -> int:
    """The start of the kline after the one that starts at `start_ns`."""
    if length.unit is Unit.MONTH:
        return start_of(length, start_ns + 32 * DAY_NS)
    return start_ns + (_WEEK_NS if length.unit is Unit.WEEK else length.count * _FIXED_NS[length.unit])


@dataclass(frozen=True, slots=True)
class Day:
    """The last 24 hours of a pair; prices in nanos, volumes in units."""

    open: int
    high: int
    low: int
    close: int
    volume: float
    quote_volume: float
    count: int
    first_id: int
    last_id: int
    open_ns: int
    close_ns: int

    @property
    def mean(self) -> int:
        """The volume-weighted mean price."""
        return round(self.quote_volume / self.volume * 1e9) if self.volume else self.close


class Klines:
    """Bars as Binance counts them: the newest one is still in the making."""

    def __init__(self, market: Market, trades: TradeHistory) -> None:
        self._market = market
        self._trades = trades

    def find(self, pair: Pair, length: Length, start_ns: int = 0, end_ns: int = END_OF_TIME) -> BarTable:
        """The klines that start from `start_ns` to `end_ns`, both included, oldest first."""
        stored = length if length != Length(3, Unit.DAY) else Length(1, Unit.DAY)
        table = self._market.charts.find(pair.symbol, stored, start_of(length, max(0, start_ns)), END_OF_TIME)
        forming = self._forming_minute(pair, table)
        if len(forming):
            table = BarTable.concat([table, forming])
        return table.grouped(_starts_of(length, table.start_ns)).between(start_ns, end_ns)

    def latest(self, pair: Pair, length: Length) -> BarTable:
        """The kline in the making, or the last one that was; empty before the first."""
        newest = self._trades.newest(pair)
        since = start_of(length, newest.time_ns) if newest else 0
        return self.find(pair, length, since)[-1:]

    def rows(self, table: BarTable, length: Length, unit: TimeUnit) -> list[list[object]]:
        """The arrays of twelve that `klines` answers with."""
        taker = taker_share(table)
        quote = table.vwap / 1e9 * table.volume
        columns = zip(
            table.start_ns.tolist(), table.open.tolist(), table.high.tolist(), table.low.tolist(),
            table.close.tolist(), table.volume.tolist(), quote.tolist(), table.trades.tolist(), taker.tolist(),
            strict=True,
        )  # fmt: skip
        return [
            [
                unit.of(start), decimal(o), decimal(h), decimal(lo), decimal(c), decimal_of_float(v),
                unit.of(end_of(length, start)) - 1, decimal_of_float(q), n,
                decimal_of_float(v * share), decimal_of_float(q * share), "0",
            ]
            for start, o, h, lo, c, v, q, n, share in columns
        ]  # fmt: skip

    def event(self, pair: Pair, name: str, table: BarTable, closed: bool, unit: TimeUnit) -> dict[str, object]:
        """The `k` of a stream message for a table of one kline."""
        length = INTERVALS[name]
        start, o, h, lo, c, v, end, q, n, taker_base, taker_quote, _ = self.rows(table, length, unit)[0]
        start_ns = int(table.start_ns[0])
        within = self._trades.find(pair, start_ns, end_of(length, start_ns) - 1)
        first, last = (within.first_id, within.last_id) if len(within) else (-1, -1)
        return {
            "t": start, "T": end, "s": pair.name, "i": name, "f": first, "L": last, "o": o, "c": c, "h": h, "l": lo,
            "v": v, "n": n, "x": closed, "q": q, "V": taker_base, "Q": taker_quote, "B": "0",
        }  # fmt: skip

    def day(self, pair: Pair, now_ns: int) -> Day | None:
        """What happened in the 24 hours before `now_ns`; None when nothing did."""
        since = now_ns - DAY_NS
        table = self.find(pair, INTERVALS["1m"], since)
        if not len(table):
            return None
        trades = self._trades.find(pair, since)
        first, last = (trades.first_id, trades.last_id) if len(trades) else (-1, -1)
        return Day(
            int(table.open[0]),
            int(table.high.max()),
            int(table.low.min()),
            int(table.close[-1]),
            float(table.volume.sum()),
            float((table.vwap / 1e9 * table.volume).sum()),
            int(table.trades.sum()),
            first,
            last,
            since,
            now_ns,
        )

    def _forming_minute(self, pair: Pair, closed: BarTable) -> BarTable:
        """The trades of the newest minute as a bar, while no closed bar contains them."""
        newest = self._trades.newest(pair)
        start_ns = newest.time_ns // MINUTE_NS * MINUTE_NS if newest else 0
        ticks = self._trades.find(pair, start_ns).ticks
        last_closed = self._market.charts.find(pair.symbol, INTERVALS["1m"], start_ns, END_OF_TIME)
        if newest is None or len(last_closed):
            return closed[:0]
        sizes = ticks.b / 1e9
        volume = float(sizes.sum())
        vwap = round(float((ticks.a * sizes).sum()) / volume) if volume else int(ticks.a[-1])
        prices = (int(ticks.a[0]), int(ticks.a.max()), int(ticks.a.min()), int(ticks.a[-1]))
        o, h, lo, c = (np.array([price], np.int64) for price in prices)
        start, count, mean = (np.array([value], np.int64) for value in (start_ns, len(ticks), vwap))
        return BarTable(start, o, h, lo, c, np.array([volume]), count, mean)


def taker_share(table: BarTable) -> npt.NDArray[np.float64]:
    """The part of the volume that buyers took, estimated by where the close lies between low and high.

    Bars do not keep the aggressor's side; this is the classification of volume by the bar's own shape.
    """
    span = (table.high - table.low).astype(np.float64)
    inside = np.divide(table.close - table.low, span, out=np.full(len(table), 0.5), where=span > 0)
    return np.asarray(inside)
