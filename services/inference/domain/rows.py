"""Rows of market data to score: parsed once at the edge, trusted inside."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.inference.domain.feature_series import Ticks
from services.inference.domain.features import FeatureState
from trading.errors import InvalidArgument

Floats = npt.NDArray[np.float64]

MOST_ROWS = 100_000
_SPREAD_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Rows:
    """N rows as columns, in units; `spread` counts where `spread_given`."""

    symbol: Sequence[str]
    price: Floats
    volume: Floats
    bid: Floats
    ask: Floats
    spread: Floats
    spread_given: npt.NDArray[np.bool_]
    timestamp_ns: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.symbol)


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
    right = np.abs(rows.spread - (rows.ask - rows.bid)) <= _SPREAD_TOLERANCE * rows.ask
    _refuse(rows, "spread", rows.spread_given & ~right, "ask − bid")


def _refuse(rows: Rows, name: str, bad: npt.NDArray[np.bool_], expected: str) -> None:
    if bad.any():
        position = int(bad.argmax())
        field = f"market_data[{position}].{name}"
        was = getattr(rows, name)[position].item()
        raise InvalidArgument(f"Expected {expected} in {field}, was {was!r}.", field=field, value=was)


def next_ticks(state: FeatureState, rows: Rows, positions: npt.NDArray[np.int64]) -> Ticks:
    """Rows of one symbol as alternatives for its next tick.

    A row carries no sizes: those displayed last stand. A volume is one trade at the row's price, whose
    aggressor the tick rule tells.
    """
    price, volume = rows.price[positions], rows.volume[positions]
    change = np.sign(price - state.last_trade_price) if state.last_trade_price else np.zeros(len(price))
    sign = np.where(change != 0, change, state.last_trade_sign)
    traded = (volume > 0).astype(np.float64)
    sizes = np.ones(len(price))
    return Ticks(
        price=price,
        bid=rows.bid[positions],
        ask=rows.ask[positions],
        bid_size=state.bid_size * sizes,
        ask_size=state.ask_size * sizes,
        volume=volume,
        trades=traded,
        signs=traded * sign,
    )
