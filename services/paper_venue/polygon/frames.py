"""The market in Polygon's events, built column by column.

Where the venue's published schema wants a whole number and the amount is none, the exact amount goes beside it as
decimal text: `ds` of a trade, `dv` and `dav` of an aggregate.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from services.paper_venue.domain.tape import Placed
from services.paper_venue.domain.ticks import Int64, Kind
from services.paper_venue.polygon.listing import Market, Ticker
from trading.market import Bar
from trading.money import ONE, format_nanos

MILLISECOND_NS = 1_000_000
STOCK_EXCHANGE, COIN_EXCHANGE = 15, 1
TAPE = 3
REGULAR_TRADE = (0,)
_QUOTE, _TRADE = int(Kind.QUOTE), int(Kind.TRADE)
_ROUND_LOT = 100 * ONE
_QUOTE_CONDITION = 1
_NO_INDICATORS: tuple[int, ...] = ()
_AGGRESSORS: dict[int, tuple[int, ...]] = {1: (2,), -1: (1,), 0: (0,)}
_MOST_DECIMALS = 9


class StockTrade(msgspec.Struct, omit_defaults=True):
    ev: str
    sym: str
    x: int
    i: str
    z: int
    p: float
    s: int
    c: Sequence[int]
    t: int
    q: int
    ds: str | None = None


class StockQuote(msgspec.Struct, rename={"as_": "as"}):
    ev: str
    sym: str
    bx: int
    bp: float
    bs: int
    ax: int
    ap: float
    as_: int
    c: int
    i: Sequence[int]
    t: int
    q: int
    z: int


class CoinTrade(msgspec.Struct):
    ev: str
    pair: str
    p: float
    t: int
    s: float
    c: Sequence[int]
    i: int
    x: int
    r: int


class CoinQuote(msgspec.Struct, rename={"as_": "as"}):
    ev: str
    pair: str
    bp: float
    bs: float
    ap: float
    as_: float
    t: int
    x: int
    r: int


class StockAggregate(msgspec.Struct, omit_defaults=True):
    ev: str
    sym: str
    v: int
    av: int
    op: float
    vw: float
    o: float
    c: float
    h: float
    l: float  # noqa: E741 - Polygon's own name
    a: float
    z: int
    s: int
    e: int
    dv: str | None = None
    dav: str | None = None


class CoinAggregate(msgspec.Struct, omit_defaults=True):
    ev: str
    pair: str
    o: float
    c: float
    h: float
    l: float  # noqa: E741 - Polygon's own name
    v: int
    vw: float
    z: int
    s: int
    e: int
    dv: str | None = None


@dataclass(frozen=True, slots=True)
class Framer:
    """Turns ticks and bars of one market into events; `names` by instrument index."""

    market: Market
    names: Sequence[str]

    def events(self, placed: Placed) -> list[Any]:
        """One event per quote and trade, in their order; BAR rows are left out (they come as aggregates)."""
        made: list[Any] = [None] * len(placed)
        crypto = self.market is Market.CRYPTO
        for kind, build in (
            (_QUOTE, self._coin_quotes if crypto else self._stock_quotes),
            (_TRADE, self._coin_trades if crypto else self._stock_trades),
        ):
            rows = np.flatnonzero(placed.ticks.kind == kind)
            own = Placed(placed.ticks[rows], placed.positions[rows])
            for at, event in zip(rows.tolist(), build(own), strict=True):
                made[at] = event
        return [event for event in made if event is not None]

    def aggregate(self, name: str, ticker: Ticker, bar: Bar, day: Bar, length_ns: int) -> Any:
        """The aggregate of a bar, with the day as it stands at its end."""
        open_, high, low, close, vwap = (price / 1e9 for price in (*bar[3:7], bar.vwap_nanos))
        volume, exact = whole_volume(bar.volume)
        size = round(bar.volume / bar.trade_count) if bar.trade_count else 0
        start, end = bar.timestamp_ns // MILLISECOND_NS, (bar.timestamp_ns + length_ns) // MILLISECOND_NS
        if ticker.is_crypto:
            return CoinAggregate(
                name, ticker.stream_name, open_, close, high, low, volume, vwap, size, start, end, exact
            )
        day_volume, exact_day = whole_volume(day.volume)
        return StockAggregate(
            name, ticker.stream_name, volume, day_volume, day.open_nanos / 1e9, vwap, open_, close, high, low,
            day.vwap_nanos / 1e9, size, start, end, exact, exact_day,
        )  # fmt: skip

    def _stock_quotes(self, placed: Placed) -> Iterable[Any]:
        ticks = placed.ticks
        columns = zip(
            self._names(ticks.instrument), _amounts(ticks.a), round_lots(ticks.b), _amounts(ticks.c),
            round_lots(ticks.d), _times(ticks.time_ns), placed.positions.tolist(), strict=True,
        )  # fmt: skip
        for name, bp, bs, ap, as_, t, q in columns:
            yield StockQuote(
                "Q", name, STOCK_EXCHANGE, bp, bs, STOCK_EXCHANGE, ap, as_, _QUOTE_CONDITION, _NO_INDICATORS, t, q, TAPE
            )

    def _stock_trades(self, placed: Placed) -> Iterable[Any]:
        ticks = placed.ticks
        columns = zip(
            self._names(ticks.instrument), ticks.d.tolist(), _amounts(ticks.a), ticks.b.tolist(),
            _times(ticks.time_ns), placed.positions.tolist(), strict=True,
        )  # fmt: skip
        for name, number, p, size, t, q in columns:
            exact = format_nanos(size) if size % ONE else None
            yield StockTrade("T", name, STOCK_EXCHANGE, str(number), TAPE, p, size // ONE, REGULAR_TRADE, t, q, exact)

    def _coin_quotes(self, placed: Placed) -> Iterable[Any]:
        ticks = placed.ticks
        columns = zip(
            self._names(ticks.instrument), _amounts(ticks.a), _amounts(ticks.b), _amounts(ticks.c), _amounts(ticks.d),
            _times(ticks.time_ns), strict=True,
        )  # fmt: skip
        for name, bp, bs, ap, as_, t in columns:
            yield CoinQuote("XQ", name, bp, bs, ap, as_, t, COIN_EXCHANGE, t)

    def _coin_trades(self, placed: Placed) -> Iterable[Any]:
        ticks = placed.ticks
        columns = zip(
            self._names(ticks.instrument), _amounts(ticks.a), _amounts(ticks.b), ticks.c.tolist(), ticks.d.tolist(),
            _times(ticks.time_ns), strict=True,
        )  # fmt: skip
        for name, p, s, side, number, t in columns:
            yield CoinTrade("XT", name, p, t, s, _AGGRESSORS[side], number, COIN_EXCHANGE, t)

    def _names(self, instrument: Any) -> list[str]:
        names = self.names
        return [names[index] for index in instrument.tolist()]


def conditions(side: int, crypto: bool) -> tuple[int, ...]:
    """The conditions of a trade: a coin's tell who took, a share's that it was a regular one."""
    return _AGGRESSORS[side] if crypto else REGULAR_TRADE


def round_lots(sizes: Int64) -> list[int]:
    """Sizes of quotes in round lots of a hundred shares; what is there counts at least one."""
    return list(np.where(sizes > 0, np.maximum(1, sizes // _ROUND_LOT), 0).tolist())


def whole_volume(volume: float) -> tuple[int, str | None]:
    """The volume as a whole number, and the exact one as text where they differ."""
    whole = round(volume)
    return whole, None if whole == volume else f"{volume:.{_MOST_DECIMALS}f}".rstrip("0").rstrip(".")


def _amounts(nanos: Int64) -> list[float]:
    return list((nanos / 1e9).tolist())


def _times(times_ns: Int64) -> list[int]:
    return list((times_ns // MILLISECOND_NS).tolist())
