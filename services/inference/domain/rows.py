"""Rows of market data to score: parsed once at the edge, trusted inside."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.inference.domain.feature_series import Ticks, carried
from services.inference.domain.features import FeatureState
from trading.errors import InvalidArgument

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.int32]

MOST_ROWS = 100_000
_SPREAD_TOLERANCE = 1e-6
_FEW_SYMBOLS = 1 << 16
"""Symbols whose numbers have 16 bits: those are sorted by counting."""


@dataclass(frozen=True, slots=True)
class Rows:
    """N rows as columns, in units; `symbols[symbol[i]]` is any spelling of row i's symbol.

    `spread` counts where `spread_given`. `columnar` rows came as columns: refusals point into those.
    """

    symbols: Sequence[str]
    symbol: npt.NDArray[np.integer]
    price: Floats
    volume: Floats
    bid: Floats
    ask: Floats
    spread: Floats
    spread_given: Bools
    timestamp_ns: npt.NDArray[np.int64]
    columnar: bool = False

    def __len__(self) -> int:
        return len(self.price)


def no_spread(count: int) -> tuple[Floats, Bools]:
    """`spread` and `spread_given` of rows that have none, in no memory."""
    return np.broadcast_to(np.float64(np.nan), count), np.broadcast_to(np.False_, count)


def check(rows: Rows) -> None:
    """Raise InvalidArgument at the first row that can be no market: `field` points at it."""
    if len(rows) > MOST_ROWS:
        raise InvalidArgument(f"Expected at most {MOST_ROWS} rows, was {len(rows)}.", field="market_data")
    for name in ("price", "bid", "ask"):
        column = getattr(rows, name)
        _refuse(rows, name, ~(np.isfinite(column) & (column > 0)), "a finite number above 0")
    _refuse(rows, "volume", ~(np.isfinite(rows.volume) & (rows.volume >= 0)), "a finite number, at least 0")
    _refuse(rows, "timestamp_ns", rows.timestamp_ns < 0, "a time since 1970")
    _refuse(rows, "ask", rows.ask < rows.bid, "an ask that is not below the bid")
    if rows.spread_given.any():
        right = np.abs(rows.spread - (rows.ask - rows.bid)) <= _SPREAD_TOLERANCE * rows.ask
        _refuse(rows, "spread", rows.spread_given & ~right, "ask − bid")


def _refuse(rows: Rows, name: str, bad: Bools, expected: str) -> None:
    if bad.any():
        position = int(bad.argmax())
        field = f"{name}[{position}]" if rows.columnar else f"market_data[{position}].{name}"
        was = getattr(rows, name)[position].item()
        raise InvalidArgument(f"Expected {expected} in {field}, was {was!r}.", field=field, value=was)


def spellings(rows: Rows) -> list[str | None]:
    """Each of `symbols`, or None for one that no row has: tables name such when they were part of a larger one."""
    used = np.bincount(rows.symbol, minlength=len(rows.symbols)) if len(rows) else np.zeros(len(rows.symbols))
    return [symbol if count else None for symbol, count in zip(rows.symbols, used.tolist(), strict=True)]


def by_symbol(rows: Rows, canonical: Sequence[str | None]) -> Iterator[tuple[str, Positions]]:
    """The positions of each symbol's rows in the order of time, those of one time in the order they came.

    `canonical` has the symbol behind each of `rows.symbols`, None where no row has it.
    """
    names = sorted({name for name in canonical if name is not None})
    number_of: dict[str | None, int] = {name: number for number, name in enumerate(names)}
    small = np.uint16 if len(names) <= _FEW_SYMBOLS else np.intp
    numbers = np.array([number_of.get(name, 0) for name in canonical], small)[rows.symbol]
    order = np.argsort(numbers, kind="stable").astype(np.int32)
    edges = np.searchsorted(numbers[order], np.arange(len(names) + 1)).tolist()
    for name, start, end in zip(names, edges, edges[1:], strict=False):
        positions = order[start:end]
        time_ns = rows.timestamp_ns[positions]
        in_time = (np.diff(time_ns) >= 0).all()
        yield name, positions if in_time else positions[np.argsort(time_ns, kind="stable")]


def following_ticks(state: FeatureState, rows: Rows, positions: Positions) -> Ticks:
    """Rows of one symbol as the ticks that follow its state.

    A row carries no sizes: those displayed last stand. A volume is one trade at the row's price, whose aggressor
    is told by the price before it and else by the tick rule, as `FeatureState.trade` does.
    """
    at = positions.astype(np.intp)  # what NumPy would make of them for each column
    price, volume = rows.price.take(at), rows.volume.take(at)
    traded = volume > 0
    return Ticks(
        price=price,
        bid=rows.bid.take(at),
        ask=rows.ask.take(at),
        bid_size=np.full(len(price), state.bid_size),
        ask_size=np.full(len(price), state.ask_size),
        volume=volume,
        trades=traded.astype(np.float64),
        signs=_signs(state, price, traded),
    )


def _signs(state: FeatureState, price: Floats, traded: Bools) -> Floats:
    """The aggressor's sign of each row that traded, and 0 of the others; leaves the last in `state`."""
    if not traded.any():
        return np.zeros(len(price))
    before = np.empty_like(price)
    before[0], before[1:] = state.price if state.ticks else price[0], price[:-1]
    if traded.all():
        return _signs_of_prints(state, price, before)
    signs = np.zeros(len(price))
    signs[traded] = _signs_of_prints(state, price[traded], before[traded])
    return signs


def _signs_of_prints(state: FeatureState, prints: Floats, mid: Floats) -> Floats:
    signs = np.sign(prints - mid)
    if not signs.all():
        change = np.sign(np.diff(prints, prepend=state.last_trade_price or prints[0]))
        signs = carried(np.where(signs != 0, signs, change), state.last_trade_sign)
    state.last_trade_price, state.last_trade_sign = float(prints[-1]), float(signs[-1])
    return signs
