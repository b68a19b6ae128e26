"""What the books must say: positions and cash recomputed from the fills alone."""

from collections.abc import Iterable
from dataclasses import dataclass

from neuraltrader.execution.v1 import execution_pb2
from trading.money import notional_nanos


@dataclass(frozen=True, slots=True)
class Books:
    """Signed quantities by symbol, without flat ones, and exact cash; all in nanos."""

    positions: dict[str, int]
    cash_nanos: int


def fold(fills: Iterable[execution_pb2.Fill], opening_cash_nanos: int) -> Books:
    """Positions = Σ signed quantity; cash = opening − Σ signed notional − Σ fees."""
    positions: dict[str, int] = {}
    cash = opening_cash_nanos
    for fill in fills:
        sign = 1 if fill.side == execution_pb2.SIDE_BUY else -1
        positions[fill.symbol] = positions.get(fill.symbol, 0) + sign * fill.quantity_nanos
        cash -= sign * notional_nanos(fill.price_nanos, fill.quantity_nanos) + fill.fee_nanos
    return Books({symbol: quantity for symbol, quantity in positions.items() if quantity}, cash)
