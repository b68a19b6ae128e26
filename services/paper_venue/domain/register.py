"""What the exchange remembers: every order by its id and its customer's name, every fill, every group."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

from services.paper_venue.domain.groups import Group, Groups
from services.paper_venue.domain.orders import Membership, Order, OrderEvent, OrderRequest
from trading.errors import AlreadyExists, FailedPrecondition, UnknownOrder


class Register:
    """Orders as they stand; `kept` bounds closed orders, fills and groups, each. A customer's name is never free again.

    `new_id` names orders.
    """

    def __init__(self, kept: int, new_id: Callable[[], str]) -> None:
        self.new_id = new_id
        self.fills: deque[OrderEvent] = deque(maxlen=kept)
        self.groups = Groups(kept)
        self._kept = kept
        self._orders: dict[str, Order] = {}
        self._names: dict[str, str] = {}
        self._closed: deque[str] = deque()
        self._sequence = 0

    def __iter__(self) -> Iterator[Order]:
        return iter(self._orders.values())

    def order(self, order_id: str) -> Order:
        """An order as it stands; raises UnknownOrder."""
        order = self._orders.get(order_id)
        if order is None:
            raise UnknownOrder(f"order not found for {order_id}", order_id=order_id)
        return order

    def named(self, client_order_id: str) -> Order:
        """The order that a customer named so; raises UnknownOrder."""
        order_id = self._names.get(client_order_id)
        if order_id is None:
            raise UnknownOrder(f"order not found for {client_order_id}", client_order_id=client_order_id)
        return self.order(order_id)

    def open_order(self, order_id: str) -> Order:
        """An order that may still trade; raises UnknownOrder, or FailedPrecondition when it is closed."""
        order = self.order(order_id)
        if not order.status.is_open:
            raise FailedPrecondition(
                f'order is already in "{order.status.value.lower()}" state', reason="ORDER_CLOSED", order_id=order_id
            )
        return order

    def members(self, group: Group) -> list[Order]:
        """The orders of a group, the entry first; without those that are forgotten."""
        return [self._orders[order_id] for order_id in group.order_ids if order_id in self._orders]

    def check_name(self, client_order_id: str) -> None:
        """Refuse a name that an order has had; raises AlreadyExists."""
        if client_order_id in self._names:
            raise AlreadyExists("client_order_id must be unique", client_order_id=client_order_id)

    def enter(
        self,
        request: OrderRequest,
        quantity: int,
        now_ns: int,
        replaces: str | None = None,
        group: Membership | None = None,
    ) -> Order:
        """A new order; who gave it no name calls it by its id."""
        self._sequence += 1
        order_id = self.new_id()
        if not request.client_order_id:
            request = replace(request, client_order_id=order_id)
        order = Order(order_id, request, quantity, self._sequence, now_ns, now_ns, replaces=replaces, group=group)
        self._orders[order_id] = order
        self._names[request.client_order_id] = order_id
        return order

    def keep(self, event: OrderEvent) -> None:
        """Remember what has happened."""
        order = event.order
        self._orders[order.order_id] = order
        self._names.setdefault(order.client_order_id, order.order_id)  # an amendment may have renamed it
        if event.execution is not None:
            self.fills.append(event)
        if not order.status.is_open:
            self._closed.append(order.order_id)
            while len(self._closed) > self._kept:
                self._orders.pop(self._closed.popleft(), None)
