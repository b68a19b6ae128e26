"""A position by average cost, exact to 10⁻¹⁸."""

from dataclasses import dataclass

from trading.money import divide_half_even


@dataclass(frozen=True, slots=True)
class Position:
    """A signed quantity in nanos, what it cost (Σ price × quantity, 10⁻¹⁸, signed like it), and what was realised."""

    quantity_nanos: int = 0
    cost_value: int = 0
    realized_value: int = 0

    def after(self, signed_quantity_nanos: int, price_nanos: int) -> "Position":
        """The position after a trade: it opens at its price, and closes against the average cost."""
        held = self.quantity_nanos
        total = held + signed_quantity_nanos
        if held * signed_quantity_nanos >= 0:
            return Position(total, self.cost_value + price_nanos * signed_quantity_nanos, self.realized_value)
        closed = -signed_quantity_nanos if held * total >= 0 else held
        cost_of_closed = divide_half_even(self.cost_value * closed, held)
        realized = self.realized_value + price_nanos * closed - cost_of_closed
        if held * total >= 0:
            return Position(total, self.cost_value - cost_of_closed, realized)
        return Position(total, price_nanos * total, realized)

    def unrealized_value(self, mark_nanos: int) -> int:
        """Profit, in 10⁻¹⁸, of closing it all at `mark_nanos`."""
        return mark_nanos * self.quantity_nanos - self.cost_value

    @property
    def entry_price_nanos(self) -> int:
        """Average cost of one unit; 0 when flat."""
        return divide_half_even(self.cost_value, self.quantity_nanos) if self.quantity_nanos else 0
