"""What Binance's customers call their orders and fills: whole numbers, and names that may be used again."""

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from services.paper_venue.domain.exchange import Exchange
from services.paper_venue.domain.orders import EventKind, Order, OrderEvent
from trading.errors import UnknownOrder

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")
_AGAIN = "~"
"""Separates a name that is used again from its count; no customer may write it."""


class _Bounded(OrderedDict[KeyT, ValueT], Generic[KeyT, ValueT]):
    """Remembers the newest `most` entries."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, key: KeyT, value: ValueT) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        while len(self) > self._most:
            self.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Fill:
    """One fill under its number; `event` has the order as it stood after it."""

    number: int
    event: OrderEvent

    @property
    def is_maker(self) -> bool:
        """The order had rested before it was filled."""
        return self.event.execution is not None and self.event.execution.is_maker


@dataclass(slots=True)
class Ledger:
    """Follows the exchange's events; `kept` bounds remembered names and fills, each."""

    exchange: Exchange
    kept: int
    _by_number: "_Bounded[int, str]" = field(init=False)
    _by_name: "_Bounded[str, str]" = field(init=False)
    _cancellations: "_Bounded[str, str]" = field(init=False)
    _fills: deque[Fill] = field(init=False)
    _filled: int = 0
    heard: int = 0
    """How many events there have been: the number of the newest one."""

    def __post_init__(self) -> None:
        self._by_number, self._by_name = _Bounded(self.kept), _Bounded(self.kept)
        self._cancellations = _Bounded(self.kept)
        self._fills = deque(maxlen=self.kept)

    def take(self, event: OrderEvent) -> None:
        """Hear of an order event before any customer does."""
        self.heard += 1
        order = event.order
        if event.kind in (EventKind.NEW, EventKind.HELD, EventKind.AMENDED):
            self._by_number[order.sequence] = order.order_id
            self._by_name[name_of(order)] = order.order_id
        elif event.execution is not None:
            self._filled += 1
            self._fills.append(Fill(self._filled, event))

    def unused(self, name: str) -> str:
        """The name that the exchange may know a new order by: a name may be used again once its order has closed."""
        taken = self._by_name.get(name)
        return name if taken is None else f"{name}{_AGAIN}{taken}"

    def find(self, number: int | None, name: str | None) -> Order:
        """An order by its number, else by the name it was given last; raises UnknownOrder."""
        order_id = self._by_number.get(number) if number is not None else self._by_name.get(name or "")
        if order_id is None:
            raise UnknownOrder("Order does not exist.")
        return self.exchange.order(order_id)

    def is_open(self, name: str) -> bool:
        """An open order carries this name."""
        order_id = self._by_name.get(name)
        try:
            return order_id is not None and self.exchange.order(order_id).status.is_open
        except UnknownOrder:
            return False

    def expect_cancellation(self, order_id: str, name: str) -> None:
        """The next cancellation of that order is called so."""
        self._cancellations[order_id] = name

    def cancellation_of(self, order_id: str) -> str | None:
        """How the customer called the cancellation of an order."""
        return self._cancellations.get(order_id)

    def fills(self) -> Iterator[Fill]:
        """Remembered fills, oldest first."""
        return iter(self._fills)

    def newest_fill(self) -> Fill:
        """The fill that was heard of last; raises IndexError before the first."""
        return self._fills[-1]

    def fills_of(self, order: Order) -> list[Fill]:
        """The fills of one order, oldest first."""
        found = []
        for fill in reversed(self._fills):
            if fill.event.time_ns < order.created_ns:
                break
            if fill.event.order.order_id == order.order_id:
                found.append(fill)
        return found[::-1]


def name_of(order: Order) -> str:
    """The customer's own name for an order."""
    return order.client_order_id.partition(_AGAIN)[0]
