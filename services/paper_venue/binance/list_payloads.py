"""Order lists as Binance writes them, in answers and in user data events."""

from services.paper_venue.binance.ledger import name_of
from services.paper_venue.binance.listing import Listing, Pair
from services.paper_venue.binance.order_payloads import OrderPayloads, Payload
from services.paper_venue.binance.texts import TimeUnit
from services.paper_venue.domain.exchange import Exchange
from services.paper_venue.domain.groups import Group
from services.paper_venue.domain.orders import EventKind, GroupKind, OrderEvent


class ListPayloads:
    """Writes order lists of the account, with what `orders` writes of their members."""

    def __init__(self, exchange: Exchange, listing: Listing, orders: OrderPayloads) -> None:
        self._exchange = exchange
        self._listing = listing
        self._orders = orders

    def is_open(self, group: Group) -> bool:
        """A member of the list may still trade."""
        return any(order.status.is_open for order in self._exchange.members(group))

    def status(self, group: Group, unit: TimeUnit) -> Payload:
        """An order list as it stands."""
        is_open = self.is_open(group)
        return {
            "orderListId": group.number,
            "contingencyType": "OCO" if group.kind is GroupKind.OCO else "OTO",
            "listStatusType": "EXEC_STARTED" if is_open else "ALL_DONE",
            "listOrderStatus": "EXECUTING" if is_open else "ALL_DONE",
            "listClientOrderId": group.name or group.group_id,
            "transactionTime": unit.of(group.created_ns),
            "symbol": self._name(group.symbol),
            "orders": [
                {"symbol": self._name(group.symbol), "orderId": order.sequence, "clientOrderId": name_of(order)}
                for order in self._exchange.members(group)
            ],
        }

    def placed(self, group: Group, pair: Pair, unit: TimeUnit, answer: str) -> Payload:
        """A new order list with reports of its orders, at the length that was asked for."""
        writer = {"ACK": self._orders.acknowledged, "RESULT": self._orders.result, "FULL": self._orders.full}[answer]
        reports = [writer(order, pair, unit) for order in self._exchange.members(group)]
        return self.status(group, unit) | {"orderReports": reports}

    def canceled(self, group: Group, pair: Pair, unit: TimeUnit) -> Payload:
        """An order list that was cancelled."""
        reports = [self._orders.canceled(order, pair, unit) for order in self._exchange.members(group)]
        return self.status(group, unit) | {"orderReports": reports}

    def event(self, event: OrderEvent, now_ns: int, unit: TimeUnit) -> Payload | None:
        """The listStatus that an event of a member brings: its list has begun, is renamed, or has ended."""
        group = self._exchange.group_of(event.order)
        kind = None if group is None else self._change(group, event)
        if group is None or kind is None:
            return None
        told = self.status(group, unit)
        return {
            "e": "listStatus",
            "E": unit.of(now_ns),
            "s": told["symbol"],
            "g": group.number,
            "c": told["contingencyType"],
            "l": kind,
            "L": told["listOrderStatus"],
            "r": "NONE",
            "C": told["listClientOrderId"],
            "T": unit.of(event.time_ns),
            "O": [
                {"s": told["symbol"], "i": order.sequence, "c": name_of(order)}
                for order in self._exchange.members(group)
            ],
        }

    def _change(self, group: Group, event: OrderEvent) -> str | None:
        begins = EventKind.HELD if group.has_entry else EventKind.NEW
        if event.kind is begins and event.order.order_id == group.order_ids[-1]:
            return "EXEC_STARTED"
        if event.kind is EventKind.AMENDED:
            return "UPDATED"
        return "ALL_DONE" if not event.order.status.is_open and not self.is_open(group) else None

    def _name(self, symbol: str) -> str:
        pair = self._listing.of_symbol(symbol)
        return symbol if pair is None else pair.name
