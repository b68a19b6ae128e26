"""The exchange for one customer: takes orders in, keeps their story and the account, and says what happened.

It speaks no venue's protocol: each protocol translates its own words into these calls, and listens to the events.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from services.paper_venue.domain.account import Account, AccountRules
from services.paper_venue.domain.checks import check_buying_power, check_fields, check_position, check_wash_trade
from services.paper_venue.domain.matching import MatchingEngine
from services.paper_venue.domain.orders import EventKind, Order, OrderEvent, OrderRequest
from services.paper_venue.domain.ticks import Kind, Row, Ticks
from services.paper_venue.domain.touch import Slippage, Touch
from trading.errors import AlreadyExists, FailedPrecondition, InvalidArgument, UnknownOrder
from trading.instruments import AssetClass, Instrument, Instruments
from trading.money import ONE
from trading.order import TimeInForce

Listener = Callable[[OrderEvent], None]


@dataclass(frozen=True, slots=True)
class ExchangeRules:
    """What the exchange charges and remembers; `orders_kept` bounds closed orders and fills each."""

    slippage: Slippage = field(default_factory=Slippage)
    account: AccountRules = field(default_factory=AccountRules)
    orders_kept: int = 100_000


@dataclass(frozen=True, slots=True)
class Changes:
    """What a replacement changes; None keeps the old value. Amounts in nanos."""

    quantity_nanos: int | None = None
    limit_nanos: int | None = None
    stop_nanos: int | None = None
    time_in_force: TimeInForce | None = None
    client_order_id: str | None = None


class Exchange:
    """Orders, account and market of one customer; every call says at what time (ns UTC) it happens."""

    def __init__(self, instruments: Iterable[Instrument], rules: ExchangeRules, new_id: Callable[[], str]) -> None:
        listed = tuple(instruments)
        self.instruments = Instruments(listed)
        self.symbols = tuple(instrument.symbol for instrument in listed)
        self._engine = MatchingEngine(rules.slippage, new_id)
        for instrument in listed:
            self._engine.list_instrument(instrument.symbol, instrument.tick_nanos)
        self.account = Account(rules.account, lambda symbol: self._engine.touch(symbol).mark())
        self._rules = rules
        self._new_id = new_id
        self._orders: dict[str, Order] = {}
        self._ids: dict[str, str] = {}
        self._closed: deque[str] = deque()
        self._fills: deque[OrderEvent] = deque(maxlen=rules.orders_kept)
        self._listeners: list[Listener] = []
        self._sequence = 0
        self._quoted = [False] * len(listed)

    def listen(self, listener: Listener) -> None:
        """Have every order event told to `listener`, in the order in which they happen."""
        self._listeners.append(listener)

    def touch(self, symbol: str) -> Touch:
        """The market of a canonical symbol as the exchange sees it."""
        return self._engine.touch(symbol)

    def order(self, order_id: str) -> Order:
        """An order as it stands; raises UnknownOrder."""
        order = self._orders.get(order_id)
        if order is None:
            raise UnknownOrder(f"order not found for {order_id}", order_id=order_id)
        return order

    def order_by_client_id(self, client_order_id: str) -> Order:
        """The order that a customer named so; raises UnknownOrder."""
        order_id = self._ids.get(client_order_id)
        if order_id is None:
            raise UnknownOrder(f"order not found for {client_order_id}", client_order_id=client_order_id)
        return self.order(order_id)

    def orders(self) -> Iterator[Order]:
        """Every order that is remembered, oldest first."""
        return iter(self._orders.values())

    def open_orders(self) -> list[Order]:
        """Orders that may still trade, oldest first."""
        return list(self._engine.open_orders.values())

    def fills(self) -> Iterator[OrderEvent]:
        """Every fill that is remembered, oldest first."""
        return iter(self._fills)

    def submit(self, request: OrderRequest, now_ns: int) -> Order:
        """Check and take in an order, then match it; returns it as it was accepted, before any fill.

        Raises UnknownSymbol, AlreadyExists (client order id), InvalidArgument or FailedPrecondition (reason).
        """
        instrument = self.instruments.get(request.symbol)
        request = replace(request, symbol=instrument.symbol)
        self._check_client_order_id(request.client_order_id)
        check_fields(request, instrument)
        quantity = request.quantity_nanos or self._quantity_for(request, instrument)
        price = self._price_for(request, quantity)
        check_position(request, quantity, instrument, self.account)
        check_wash_trade(request, price, self._engine.best_resting(request.symbol, request.side.opposite))
        check_buying_power(request, quantity, price, instrument, self.account)
        order = self._register(request, quantity, now_ns)
        self.account.hold(order, price)
        self._tell(self._engine.submit(order, now_ns))
        return order

    def cancel(self, order_id: str, now_ns: int) -> Order:
        """Cancel an open order; raises UnknownOrder, or FailedPrecondition when it is closed."""
        self._open(order_id)
        self._tell(self._engine.cancel(order_id, now_ns))
        return self._orders[order_id]

    def replace(self, order_id: str, changes: Changes, now_ns: int) -> Order:
        """Put a new order in the place of an open one; returns the new one as it was accepted.

        The new order stands for what the old one has not filled yet: its quantity is the new total less those fills.
        Raises like `submit` and `cancel`; on any refusal the old order stays as it was.
        """
        old = self._open(order_id)
        total = old.quantity_nanos if changes.quantity_nanos is None else changes.quantity_nanos
        if total <= old.filled_nanos:
            raise InvalidArgument("qty must be > filled_qty", field="qty")
        request = replace(
            old.request,
            quantity_nanos=total - old.filled_nanos,
            notional_nanos=None,
            limit_nanos=old.limit_nanos if changes.limit_nanos is None else changes.limit_nanos,
            stop_nanos=old.request.stop_nanos if changes.stop_nanos is None else changes.stop_nanos,
            time_in_force=changes.time_in_force or old.time_in_force,
            client_order_id=changes.client_order_id or self._new_id(),
        )
        return self._swap(old, request, now_ns)

    def expire(self, time_in_force: TimeInForce, now_ns: int) -> None:
        """End every open order of that time in force: DAY orders at the close."""
        for order in self.open_orders():
            if order.time_in_force is time_in_force:
                self._tell(self._engine.expire(order.order_id, now_ns))

    def clear_quotes(self, asset_class: AssetClass) -> None:
        """The market of a whole class is closed: orders wait for its next quotes."""
        for instrument in self.instruments:
            if instrument.asset_class is asset_class:
                self._engine.touch(instrument.symbol).take_quote(0, 0, 0, 0)

    def apply(self, ticks: Ticks, now_ns: int) -> None:
        """Let the market move: every tick is matched while orders are open, else only the last ones count."""
        rows = ticks if self._engine.open_orders else ticks.last_of_each()
        for row in rows.rows():
            self._apply_row(row, now_ns)

    def _apply_row(self, row: Row, now_ns: int) -> None:
        symbol = self.symbols[row.instrument]
        if row.kind == Kind.QUOTE:
            self._quoted[row.instrument] = True
            self._tell(self._engine.on_quote(symbol, row.a, row.b, row.c, row.d, now_ns))
            return
        # Until an instrument has a quote, its last trade (or bar) stands in for one.
        price, size = (row.a, row.b) if row.kind == Kind.TRADE else (row.d, round(row.volume * ONE))
        if not self._quoted[row.instrument]:
            self._tell(self._engine.on_quote(symbol, price, size, price, size, now_ns))
        self._tell(self._engine.on_trade(symbol, price, now_ns))

    def _swap(self, old: Order, request: OrderRequest, now_ns: int) -> Order:
        """Withdraw `old`, submit its successor; put `old` back untouched when the successor is refused."""
        instrument = self.instruments.get(request.symbol)
        self._check_client_order_id(request.client_order_id)
        check_fields(request, instrument)
        price = self._price_for(request, request.quantity_nanos)
        check_wash_trade(request, price, self._engine.best_resting(request.symbol, request.side.opposite))
        self.account.release(old.order_id)
        try:
            check_position(request, request.quantity_nanos, instrument, self.account)
            check_buying_power(request, request.quantity_nanos, price, instrument, self.account)
        except FailedPrecondition:
            self.account.hold(old, self._price_for(old.request, old.quantity_nanos))
            raise
        new = self._register(request, request.quantity_nanos, now_ns, old.order_id)
        self._tell(self._engine.retire(old.order_id, new.order_id, now_ns))
        self.account.hold(new, price)
        self._tell(self._engine.submit(new, now_ns))
        return new

    def _open(self, order_id: str) -> Order:
        order = self.order(order_id)
        if not order.status.is_open:
            raise FailedPrecondition(
                f'order is already in "{order.status.value.lower()}" state', reason="ORDER_CLOSED", order_id=order_id
            )
        return order

    def _check_client_order_id(self, client_order_id: str) -> None:
        if client_order_id in self._ids:
            raise AlreadyExists("client_order_id must be unique", client_order_id=client_order_id)

    def _quantity_for(self, request: OrderRequest, instrument: Instrument) -> int:
        """How much a sum of money buys at the touch, rounded down to the lot."""
        price = self._engine.estimate(instrument.symbol, request.side, 1)
        if not price:
            raise FailedPrecondition("notional orders need a quote", reason="NO_QUOTE", symbol=instrument.symbol)
        quantity = (request.notional_nanos or 0) * ONE // price
        quantity -= quantity % instrument.lot_nanos
        if quantity <= 0:
            raise InvalidArgument("notional is too small", field="notional")
        return quantity

    def _price_for(self, request: OrderRequest, quantity: int) -> int:
        """What a unit may cost at worst: the limit, else the stop, else what the touch asks for this quantity."""
        stated = request.limit_nanos or request.stop_nanos
        return stated or self._engine.estimate(request.symbol, request.side, quantity)

    def _register(self, request: OrderRequest, quantity: int, now_ns: int, replaces: str | None = None) -> Order:
        self._sequence += 1
        order_id = self._new_id()
        if not request.client_order_id:
            request = replace(request, client_order_id=order_id)
        order = Order(order_id, request, quantity, self._sequence, now_ns, now_ns, replaces=replaces)
        self._orders[order_id] = order
        self._ids[request.client_order_id] = order_id
        return order

    def _tell(self, events: Iterable[OrderEvent]) -> None:
        for event in events:
            event = self._book(event)
            self._orders[event.order.order_id] = event.order
            if event.execution is not None:
                self._fills.append(event)
            if not event.order.status.is_open:
                self.account.release(event.order.order_id)
                self._forget_beyond_bound(event.order.order_id)
            for listener in self._listeners:
                listener(event)

    def _book(self, event: OrderEvent) -> OrderEvent:
        if event.kind is not EventKind.FILL or event.execution is None:
            return event
        fee, position = self.account.apply(event.order, event.execution)
        return replace(event, execution=replace(event.execution, fee_nanos=fee, position_nanos=position))

    def _forget_beyond_bound(self, order_id: str) -> None:
        self._closed.append(order_id)
        while len(self._closed) > self._rules.orders_kept:
            self._orders.pop(self._closed.popleft(), None)
