"""Groups of orders that release and end each other, and what each event of one member means for the others."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from services.paper_venue.domain.orders import EventKind, GroupKind, Order, OrderEvent, OrderRequest, Status


class StepKind(StrEnum):
    """What is done to a member: it begins to work, or stops being an order."""

    RELEASE = "RELEASE"
    CANCEL = "CANCEL"
    EXPIRE = "EXPIRE"
    SHRINK = "SHRINK"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do because of an event; `remaining_nanos` is what SHRINK leaves to be filled."""

    kind: StepKind
    order_id: str
    remaining_nanos: int = 0


@dataclass(frozen=True, slots=True)
class GroupRequest:
    """Orders to take in together, the entry first, if there is one.

    Where the `first_fill_decides` between two exits, any fill of one expires the other. Else a partial fill leaves the
    other as much as itself, and the end of one cancels the other.
    """

    kind: GroupKind
    orders: tuple[OrderRequest, ...]
    first_fill_decides: bool = False
    name: str = ""

    @property
    def has_entry(self) -> bool:
        return self.kind is not GroupKind.OCO


@dataclass(slots=True)
class Group:
    """Orders by id, the entry first; `number` counts groups from 0, `over` says that nothing more follows of it."""

    group_id: str
    number: int
    kind: GroupKind
    symbol: str
    name: str
    order_ids: list[str]
    first_fill_decides: bool
    created_ns: int
    over: bool = False

    @property
    def has_entry(self) -> bool:
        return self.kind is not GroupKind.OCO

    @property
    def entry_id(self) -> str | None:
        return self.order_ids[0] if self.has_entry else None

    @property
    def exit_ids(self) -> list[str]:
        return self.order_ids[1:] if self.has_entry else self.order_ids

    def follow(self, event: OrderEvent) -> list[Step]:
        """What an event of one member means for the others."""
        order = event.order
        if event.kind is EventKind.REPLACED and order.replaced_by is not None:
            self.order_ids[self.order_ids.index(order.order_id)] = order.replaced_by
            return []
        if self.over or order.order_id not in self.order_ids:
            return []
        return self._after_entry(event) if order.order_id == self.entry_id else self._after_exit(event)

    def _after_entry(self, event: OrderEvent) -> list[Step]:
        if event.order.status is Status.FILLED:
            self.over = self.kind is GroupKind.OTO
            return [Step(StepKind.RELEASE, order_id) for order_id in self.exit_ids]
        return [] if event.order.status.is_open else self._end(event, self.exit_ids)

    def _after_exit(self, event: OrderEvent) -> list[Step]:
        order = event.order
        others = [order_id for order_id in self.order_ids if order_id != order.order_id]
        decided = event.kind is EventKind.FILL and self.first_fill_decides
        if decided or event.kind is EventKind.TRIGGERED or not order.status.is_open:
            return self._end(event, others)
        if event.kind in (EventKind.FILL, EventKind.AMENDED):
            exits = [order_id for order_id in others if order_id != self.entry_id]
            return [Step(StepKind.SHRINK, order_id, order.remaining_nanos) for order_id in exits]
        return []

    def _end(self, event: OrderEvent, order_ids: list[str]) -> list[Step]:
        self.over = True
        canceled = event.kind is EventKind.CANCELED
        runs_out = event.kind is EventKind.EXPIRED or (self.first_fill_decides and not canceled)
        return [Step(StepKind.EXPIRE if runs_out else StepKind.CANCEL, order_id) for order_id in order_ids]


class Groups:
    """Every group that is remembered, at most `kept`, oldest first."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._groups: OrderedDict[str, Group] = OrderedDict()
        self._opened = 0

    def __iter__(self) -> Iterator[Group]:
        return iter(self._groups.values())

    def open(self, group_id: str, request: GroupRequest, now_ns: int) -> Group:
        """Begin a group without orders."""
        symbol = request.orders[0].symbol
        group = Group(
            group_id, self._opened, request.kind, symbol, request.name, [], request.first_fill_decides, now_ns
        )
        self._opened += 1
        self._groups[group_id] = group
        while len(self._groups) > self._kept:
            self._groups.popitem(last=False)
        return group

    def of(self, order: Order) -> Group | None:
        """The group that an order belongs to, while it is remembered."""
        return None if order.group is None else self._groups.get(order.group.group_id)
