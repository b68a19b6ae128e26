"""The exchange for one customer: takes orders in, keeps their story and the account, and says what happened.

It speaks no venue's protocol: each protocol translates its own words into these calls, and listens to the events.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from services.paper_venue.domain.account import Account, AccountRules
from services.paper_venue.domain.admission import Admission
from services.paper_venue.domain.fees import fee_of
from services.paper_venue.domain.group_desk import GroupDesk
from services.paper_venue.domain.groups import Group, GroupRequest
from services.paper_venue.domain.matching import MatchingEngine
from services.paper_venue.domain.orders import EventKind, Order, OrderEvent, OrderRequest, Status, Trail
from services.paper_venue.domain.register import Register
from services.paper_venue.domain.ticks import Kind, Row, Ticks
from services.paper_venue.domain.touch import Slippage, Touch
from trading.errors import FailedPrecondition, InvalidArgument
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
    trail: Trail | None = None
    time_in_force: TimeInForce | None = None
    client_order_id: str | None = None


class Exchange:
    """Orders, account and market of one customer; every call says at what time (ns UTC) it happens."""

    def __init__(self, instruments: Iterable[Instrument], rules: ExchangeRules, new_id: Callable[[], str]) -> None:
        listed = tuple(instruments)
        self.instruments = Instruments(listed)
        self.symbols = tuple(instrument.symbol for instrument in listed)
        self._listed = {instrument.symbol: instrument for instrument in listed}
        self._engine = MatchingEngine(rules.slippage, new_id)
        for instrument in listed:
            self._engine.list_instrument(instrument.symbol, instrument.tick_nanos)
        self.account = Account(rules.account, lambda symbol: self._engine.touch(symbol).mark())
        self._admission = Admission(self._engine, self.account)
        self._register = Register(rules.orders_kept, new_id)
        self._desk = GroupDesk(self._engine, self.account, self._admission, self._register, self.instruments)
        self._fees = rules.account.fees
        self._listeners: list[Listener] = []
        self._quoted = [False] * len(listed)

    def listen(self, listener: Listener) -> None:
        """Have every order event told to `listener`, in the order in which they happen."""
        self._listeners.append(listener)

    def touch(self, symbol: str) -> Touch:
        """The market of a canonical symbol as the exchange sees it."""
        return self._engine.touch(symbol)

    def order(self, order_id: str) -> Order:
        """An order as it stands; raises UnknownOrder."""
        return self._register.order(order_id)

    def order_by_client_id(self, client_order_id: str) -> Order:
        """The order that a customer named so; raises UnknownOrder."""
        return self._register.named(client_order_id)

    def orders(self) -> Iterator[Order]:
        """Every order that is remembered, oldest first."""
        return iter(self._register)

    def open_orders(self) -> list[Order]:
        """Orders that may still trade, oldest first."""
        return list(self._engine.open_orders.values())

    def fills(self) -> Iterator[OrderEvent]:
        """Every fill that is remembered, oldest first."""
        return iter(self._register.fills)

    def groups(self) -> Iterator[Group]:
        """Every group of orders that is remembered, oldest first."""
        return iter(self._register.groups)

    def group_of(self, order: Order) -> Group | None:
        """The group that an order belongs to."""
        return self._register.groups.of(order)

    def members(self, group: Group) -> list[Order]:
        """The orders of a group as they stand, the entry first; without those that are forgotten."""
        return self._register.members(group)

    def legs(self, order: Order) -> list[Order]:
        """The other orders of the group that an order stands for: as its entry, or as the first of a pair."""
        group = self.group_of(order)
        return self.members(group)[1:] if group is not None and group.order_ids[0] == order.order_id else []

    def is_leg(self, order: Order) -> bool:
        """Another order stands for its group."""
        group = self.group_of(order)
        return group is not None and group.order_ids[0] != order.order_id

    def submit(self, request: OrderRequest, now_ns: int) -> Order:
        """Check and take in an order, then match it; returns it as it was accepted, before any fill.

        Raises UnknownSymbol, AlreadyExists (client order id), InvalidArgument or FailedPrecondition (reason).
        """
        instrument = self.instruments.get(request.symbol)
        request = replace(request, symbol=instrument.symbol)
        self._register.check_name(request.client_order_id)
        self._admission.check_words(request, instrument)
        quantity = self._admission.quantity_of(request, instrument)
        price = self._admission.price_of(request, quantity)
        self._admission.check_wash_trade(request, price)
        self._admission.check_means(request, quantity, price, instrument)
        order = self._register.enter(request, quantity, now_ns)
        self.account.hold(order, price)
        self._tell(self._engine.submit(order, now_ns))
        return order

    def submit_group(self, request: GroupRequest, now_ns: int) -> list[Order]:
        """Check and take in orders that release and end each other; the first one stands for the means of all.

        Returns them as they were accepted, before any fill. Raises like `submit`; on a refusal of one none is taken in.
        """
        instrument = self.instruments.get(request.orders[0].symbol)
        request = replace(request, orders=tuple(replace(each, symbol=instrument.symbol) for each in request.orders))
        price = self._desk.check(request, instrument)
        orders = self._desk.enter(request, now_ns)
        for events in self._desk.begin(orders, price, now_ns):
            self._tell(events)
        first, *others = orders
        return [first, *(replace(order, status=Status.HELD) for order in others)]

    def amend(self, order_id: str, quantity_nanos: int, client_order_id: str, now_ns: int) -> Order:
        """Make an open order smaller where it stands in the queue, under a new name or its own.

        Raises like `submit` and `cancel`.
        """
        order = self._register.open_order(order_id)
        if not order.filled_nanos < quantity_nanos < order.quantity_nanos:
            raise InvalidArgument("qty must be > filled_qty and < qty", field="qty")
        if client_order_id != order.client_order_id:
            self._register.check_name(client_order_id)
        request = replace(order.request, client_order_id=client_order_id)
        self._tell(self._engine.amend(replace(order, request=request, quantity_nanos=quantity_nanos), now_ns))
        return self.order(order_id)

    def cancel(self, order_id: str, now_ns: int) -> Order:
        """Cancel an open order; raises UnknownOrder, or FailedPrecondition when it is closed."""
        self._register.open_order(order_id)
        self._tell(self._engine.cancel(order_id, now_ns))
        return self.order(order_id)

    def cancel_all(self, now_ns: int, symbol: str | None = None) -> list[Order]:
        """Cancel every open order, or those of one symbol; returns them as they stand then."""
        found = [order for order in self.open_orders() if symbol in (None, order.symbol)]
        for order in found:
            if order.order_id in self._engine.open_orders:  # else its group has ended with another
                self._tell(self._engine.cancel(order.order_id, now_ns))
        return [self.order(order.order_id) for order in found]

    def replace(self, order_id: str, changes: Changes, now_ns: int) -> Order:
        """Put a new order in the place of an open one; returns the new one as it was accepted.

        The new order stands for what the old one has not filled yet: its quantity is the new total less those fills.
        Raises like `submit` and `cancel`; on any refusal the old order stays as it was.
        """
        old = self._register.open_order(order_id)
        total = old.quantity_nanos if changes.quantity_nanos is None else changes.quantity_nanos
        if total <= old.filled_nanos:
            raise InvalidArgument("qty must be > filled_qty", field="qty")
        request = replace(
            old.request,
            quantity_nanos=total - old.filled_nanos,
            notional_nanos=None,
            limit_nanos=old.limit_nanos if changes.limit_nanos is None else changes.limit_nanos,
            stop_nanos=old.request.stop_nanos if changes.stop_nanos is None else changes.stop_nanos,
            trail=changes.trail or old.request.trail,
            time_in_force=changes.time_in_force or old.time_in_force,
            client_order_id=changes.client_order_id or self._register.new_id(),
        )
        try:
            return self._swap(old, request, now_ns)
        except FailedPrecondition:
            self._tell([OrderEvent(EventKind.REPLACE_REJECTED, old, now_ns)])
            raise

    def expire(self, time_in_force: TimeInForce, now_ns: int, trading_hours: str | None = None) -> None:
        """End every open order of that time in force: DAY orders at the close of an exchange, or of all (None)."""
        for order in self.open_orders():
            hours = self._listed[order.symbol].trading_hours
            due = order.time_in_force is time_in_force and trading_hours in (None, hours)
            if due and order.order_id in self._engine.open_orders:
                self._tell(self._engine.expire(order.order_id, now_ns))

    def halt(self, symbol: str) -> None:
        """Stop the trading of an instrument: nothing is matched, new orders are refused; raises UnknownSymbol."""
        self._engine.halt(self.instruments.get(symbol).symbol)

    def resume(self, symbol: str, now_ns: int) -> None:
        """Let an instrument trade again; raises UnknownSymbol."""
        self._tell(self._engine.resume(self.instruments.get(symbol).symbol, now_ns))

    def halted(self) -> list[str]:
        """The instruments whose trading is halted."""
        return [symbol for symbol in self.symbols if self._engine.is_halted(symbol)]

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
        quantity = request.quantity_nanos
        self._register.check_name(request.client_order_id)
        self._admission.check_words(request, instrument)
        price = self._admission.price_of(request, quantity)
        self._admission.check_wash_trade(request, price)
        holds = self.account.holds(old.order_id)  # else another order of its group does, or will
        self.account.release(old.order_id)
        try:
            if holds:
                self._admission.check_means(request, quantity, price, instrument)
        except FailedPrecondition:
            self.account.hold(old, self._admission.price_of(old.request, old.quantity_nanos))
            raise
        new = self._register.enter(request, quantity, now_ns, replaces=old.order_id, group=old.group)
        self._tell(self._engine.retire(old.order_id, new.order_id, now_ns))
        if holds:
            self.account.hold(new, price)
        submit = self._engine.hold if old.status is Status.HELD else self._engine.submit
        self._tell(submit(new, now_ns))
        return new

    def _tell(self, events: Iterable[OrderEvent]) -> None:
        for event in events:
            event = self._book(event)
            self._register.keep(event)
            if event.kind is EventKind.AMENDED:
                self.account.shrink_hold(event.order)
            if not event.order.status.is_open:
                self.account.release(event.order.order_id)
            for listener in self._listeners:
                listener(event)
            if event.order.group is not None:
                for following in self._desk.follow(event):
                    self._tell(following)

    def _book(self, event: OrderEvent) -> OrderEvent:
        if event.kind is not EventKind.FILL or event.execution is None:
            return event
        order, execution = event.order, event.execution
        fee = fee_of(self._fees, order, execution, self._listed[order.symbol])
        position = self.account.apply(order, execution, fee)
        booked = replace(execution, fee_nanos=fee.nanos, fee_in_units=fee.in_units, position_nanos=position)
        return replace(event, execution=booked)
