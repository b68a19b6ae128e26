"""What an account holds and what its working orders may still add to it."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from services.execution.domain.charge import Charge
from services.execution.domain.order import Execution, Order
from services.execution.domain.position import Position
from trading.clock import DAY_NS
from trading.order import Side


@dataclass(slots=True)
class Working:
    """What the working orders of one symbol may still trade, in nanos."""

    buy_nanos: int = 0
    sell_nanos: int = 0

    def add(self, side: Side, quantity_nanos: int) -> None:
        """Let `quantity_nanos` more (or, negative, less) work on one side."""
        if side is Side.BUY:
            self.buy_nanos += quantity_nanos
        else:
            self.sell_nanos += quantity_nanos


@dataclass(slots=True)
class Holdings:
    """The sums that risk is judged by, kept in step with every order and fill of one account.

    `cash_flow_value` is Σ −side × price × quantity − fees − charges (10⁻¹⁸); `realized_today_value` counts the UTC day
    of the newest fill or charge.
    """

    positions: dict[str, Position] = field(default_factory=dict)
    working: defaultdict[str, Working] = field(default_factory=lambda: defaultdict(Working))
    open_orders: int = 0
    cash_flow_value: int = 0
    day: int = 0
    realized_today_value: int = 0

    def position(self, symbol: str) -> Position:
        """What is held of a symbol; flat when it was never traded."""
        return self.positions.get(symbol, _FLAT)

    def replace(self, before: Order | None, after: Order) -> None:
        """Take in that an order moved: what it may still trade, and whether it is open."""
        working = after.working_nanos - (before.working_nanos if before else 0)
        if working:
            self.working[after.terms.symbol].add(after.terms.side, working)
        self.open_orders += (not after.status.is_closed) - (before is not None and not before.status.is_closed)

    def fill(self, symbol: str, side: Side, execution: Execution, time_ns: int) -> None:
        """Take in one trade, each exactly once."""
        before = self.position(symbol)
        after = before.after(side.sign * execution.quantity_nanos, execution.price_nanos)
        fee_value = execution.fee_nanos * _NANO
        self.positions[symbol] = after
        self.cash_flow_value -= side.sign * execution.price_nanos * execution.quantity_nanos + fee_value
        self._realize(after.realized_value - before.realized_value - fee_value, time_ns // DAY_NS)

    def charge(self, charge: Charge) -> int:
        """Take in one charge, each exactly once; returns the profit that it made (10⁻¹⁸).

        Units that are taken are a sale for nothing: what they had cost is lost.
        """
        amount_value = charge.amount_nanos * _NANO
        profit = -amount_value if charge.kind.is_profit_or_loss else 0
        if charge.quantity_nanos:
            before = self.position(charge.symbol)
            after = self.positions[charge.symbol] = before.after(-charge.quantity_nanos, 0)
            profit += after.realized_value - before.realized_value
        self.cash_flow_value -= amount_value
        self._realize(profit, charge.event_time_ns // DAY_NS)
        return profit

    def reach(self, symbol: str) -> tuple[int, int]:
        """The longest and the shortest position that the working orders of a symbol can lead to."""
        held = self.position(symbol).quantity_nanos
        working = self.working.get(symbol)
        return (held + working.buy_nanos, held - working.sell_nanos) if working else (held, held)

    def symbols(self) -> set[str]:
        """Every symbol that is held or worked."""
        return self.positions.keys() | self.working.keys()

    def realized_on(self, day: int) -> int:
        """Realised profit of a UTC day (days since 1970) in 10⁻¹⁸; only the newest day is kept."""
        return self.realized_today_value if day == self.day else 0

    def _realize(self, value: int, day: int) -> None:
        if day > self.day:
            self.day, self.realized_today_value = day, 0
        if day == self.day:
            self.realized_today_value += value


def sum_of(accounts: Iterable[Holdings]) -> dict[str, int]:
    """The signed quantity of every symbol over several accounts, in nanos."""
    total: dict[str, int] = {}
    for holdings in accounts:
        for symbol, held in holdings.positions.items():
            total[symbol] = total.get(symbol, 0) + held.quantity_nanos
    return total


_FLAT = Position()
_NANO = 1_000_000_000
