"""The best bid and ask of one instrument, and what an impatient order pays against them."""

from collections.abc import Iterator
from dataclasses import dataclass

from trading.order import Side


@dataclass(slots=True)
class Touch:
    """The last quote and the last trade of an instrument; prices and sizes in nanos, 0 where there is none."""

    bid: int = 0
    bid_size: int = 0
    ask: int = 0
    ask_size: int = 0
    last: int = 0

    def take_quote(self, bid: int, bid_size: int, ask: int, ask_size: int) -> None:
        """A new quote replaces the old one whole."""
        self.bid, self.bid_size, self.ask, self.ask_size = bid, bid_size, ask, ask_size

    def opposite(self, side: Side) -> tuple[int, int]:
        """Price and displayed size that an order of `side` trades against; size 0 when that side is empty."""
        price, size = (self.ask, self.ask_size) if side is Side.BUY else (self.bid, self.bid_size)
        return (price, size) if price > 0 else (0, 0)

    def mark(self) -> int:
        """What a position is worth per unit: the middle of the quote, else the last trade, else 0."""
        if self.bid > 0 and self.ask > 0:
            return (self.bid + self.ask) // 2
        return self.last or self.bid or self.ask

    def trigger_price(self, side: Side) -> int:
        """What stops look at: the last trade where there are trades, else the opposite touch."""
        return self.last or self.opposite(side)[0]


@dataclass(frozen=True, slots=True)
class Slippage:
    """How the price worsens for what goes beyond the displayed size.

    Each further displayed size costs `ticks` more; beyond `most_levels` the rest fills at the last level, so that
    one absurd order stays a bounded number of fills.
    """

    ticks: int = 1
    most_levels: int = 50


def sweep(
    touch: Touch, side: Side, quantity: int, limit: int | None, tick: int, slippage: Slippage
) -> Iterator[tuple[int, int]]:
    """The (price, quantity) fills of an impatient order of `quantity` nanos, never worse than `limit`."""
    price, displayed = touch.opposite(side)
    step = side.sign * slippage.ticks * tick
    for level in range(slippage.most_levels):
        if quantity <= 0 or displayed <= 0 or price <= 0 or _is_worse(price, limit, side):
            return
        is_last = step == 0 or level == slippage.most_levels - 1
        taken = quantity if is_last else min(quantity, displayed)
        yield price, taken
        quantity -= taken
        price += step


def _is_worse(price: int, limit: int | None, side: Side) -> bool:
    return limit is not None and side.sign * (price - limit) > 0
