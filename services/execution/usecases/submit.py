"""Submit an order: judge it, write the intent down, send it, and wait as long as the caller wants."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from services.execution.domain.order import INITIALIZED, Denial, Fact, Order, OrderTerms
from services.execution.domain.request import OrderRequest, fingerprint, normalise
from services.execution.domain.submission import Origin, Patience, Submitted, Wait
from services.execution.ports.market import SeenQuote
from services.execution.ports.venue import Broker
from services.execution.usecases.accounts import Account, Accounts
from services.execution.usecases.blotter import LiveOrder
from services.execution.usecases.gate import Gate
from services.execution.usecases.judge import Judge
from services.execution.usecases.market import Market
from services.execution.usecases.observe import Observer
from services.execution.usecases.orders import Orders
from services.execution.usecases.send import Send
from trading.clock import DAY_NS, Clock
from trading.errors import IdempotencyConflict, InvalidArgument
from trading.ids import OrderId, new_id
from trading.instruments import AssetClass, Instrument
from trading.order import OrderEventKind, OrderStatus, OrderType, TimeInForce


class Submit:
    """The story of a submit; the same (account, client order id) and body gives the same order for ever."""

    def __init__(
        self,
        venue: str,
        broker: Broker,
        market: Market,
        orders: Orders,
        accounts: Accounts,
        judge: Judge,
        send: Send,
        observer: Observer,
        gate: Gate,
        clock: Clock,
    ) -> None:
        self._venue = venue
        self._broker = broker
        self._market = market
        self._orders = orders
        self._journal = orders.journal
        self._blotter = orders.blotter
        self._accounts = accounts
        self._judge = judge
        self._send = send
        self._observer = observer
        self._gate = gate
        self._clock = clock
        self._journal.on_abandoned = self._abandon
        self.on_begun: Callable[[LiveOrder], None] = _ignore
        self.on_daily_loss: Callable[[Account], Awaitable[None]] = _look_away

    async def __call__(self, request: OrderRequest, patience: Patience, origin: Origin) -> Submitted:
        """Take an order in.

        Raises InvalidArgument, UnknownSymbol, NotFound (account), IdempotencyConflict, ResourceExhausted when
        too much is under way, and Unavailable when nothing was accepted.
        """
        request = normalise(request)
        self._gate.check()
        account = self._accounts.get(request.account)
        if request.account != account.record.id:
            request = replace(request, account=account.record.id)
        instrument = await self._market.catalogue.get(request.symbol)
        body = fingerprint(request, instrument)
        known = await self._orders.find_by_client_id(request.account, request.key(_NO_ID))
        if known is not None:
            return await self._again(known, body, patience)
        seen = await self._judge.quote(instrument.symbol, account)
        # Nothing is awaited from here to the intent's place in the queue: what was judged is what is reserved.
        known = self._blotter.by_client_id(request.account, request.key(_NO_ID))
        if known is not None:
            return await self._again(known, body, patience)
        live = self._begin(request, instrument, account, seen, body, origin)
        return await self._outcome(live, account, patience)

    def _begin(
        self,
        request: OrderRequest,
        instrument: Instrument,
        account: Account,
        seen: SeenQuote | None,
        body: str,
        origin: Origin,
    ) -> LiveOrder:
        self._journal.check_room()
        self._send.check_room()
        self._check_end(request)
        terms = self._terms(request, instrument, account, body)
        denial = self._judge(terms, instrument, account, seen)
        held = denial is None and not self._broker.works(terms, instrument)
        live = LiveOrder(
            Order(terms),
            received_ns=origin.received_ns,
            tick_receive_time_ns=origin.tick_receive_time_ns,
            correlation_id=terms.client_order_id,
            traceparent=origin.traceparent,
        )
        self._observer.validated(live)
        durable = self._journal.open(live, self._verdict(terms, denial, held=held))
        if denial is None:
            self.on_begun(live)
            if not held:
                durable.add_done_callback(lambda done: self.dispatch(live, done.exception()))
        return live

    def _terms(self, request: OrderRequest, instrument: Instrument, account: Account, body: str) -> OrderTerms:
        order_id = OrderId(new_id())
        return OrderTerms(
            order_id=order_id,
            client_order_id=request.key(order_id),
            account=account.record.id,
            venue=self._venue,
            symbol=instrument.symbol,
            side=request.side,
            order_type=request.order_type,
            time_in_force=request.time_in_force,
            quantity_nanos=request.quantity_nanos,
            price_nanos=request.price_nanos,
            stop_price_nanos=request.stop_price_nanos,
            currency=instrument.currency,
            client_timestamp_ns=request.client_timestamp_ns,
            fingerprint=body,
            expire_time_ns=request.expire_time_ns or self._end_of_day_ns(request, instrument),
            trail_nanos=request.trail_nanos,
            trail_bps=request.trail_bps,
            reduce_only=request.reduce_only,
            post_only=request.post_only,
            take_profit_nanos=request.take_profit_nanos,
            stop_loss_nanos=request.stop_loss_nanos,
            parent_order_id=request.parent_order_id,
            role=request.role,
            arrival_price_nanos=self._market.mid(instrument.symbol),
            venue_symbol=instrument.venue_symbol(self._broker.protocol),
        )

    def _check_end(self, request: OrderRequest) -> None:
        if request.expire_time_ns is not None and request.expire_time_ns <= self._clock.now_ns():
            raise InvalidArgument(
                "Expected an end that lies ahead.", field="expire_time_ns", value=request.expire_time_ns
            )

    def _verdict(self, terms: OrderTerms, denial: Denial | None, *, held: bool) -> tuple[Fact, Fact]:
        now_ns = self._clock.now_ns()
        created = Fact(INITIALIZED, now_ns, terms=terms)
        if denial is None:
            return created, Fact(OrderEventKind.EMULATED if held else OrderEventKind.SUBMITTED, now_ns)
        return created, Fact(OrderEventKind.DENIED, now_ns, reason=denial.message, denial=denial)

    async def _outcome(self, live: LiveOrder, account: Account, patience: Patience) -> Submitted:
        if live.order.denial is not None and live.order.denial.code == _DAILY_LOSS:
            await self.on_daily_loss(account)
        await self._until(live, patience)
        self._observer.replied(live)
        return Submitted(live.order, live.timings)

    async def _until(self, live: LiveOrder, patience: Patience) -> None:
        """Wait for a durable intent and for what the caller wants, most often at once: a wait is a turn of the loop."""
        is_met, durable = _condition(live.order, patience.until), live.durable
        first_s = min(patience.timeout_s, self._journal.patience_s)
        await live.until(lambda order: (durable is None or durable.done()) and is_met(order), first_s)
        await self._journal.until_durable(live, first_s)
        await live.until(is_met, patience.timeout_s - first_s)

    async def _again(self, live: LiveOrder, body: str, patience: Patience) -> Submitted:
        if live.order.terms.fingerprint != body:
            raise IdempotencyConflict(
                "This client order id came before with another body.",
                client_order_id=live.order.terms.client_order_id,
                order_id=live.order.order_id,
            )
        await self._until(live, patience)
        return Submitted(live.order, live.timings, duplicate=True)

    def _end_of_day_ns(self, request: OrderRequest, instrument: Instrument) -> int | None:
        """When we end a DAY order ourselves, at UTC midnight: what never closes has no session that would."""
        waits = request.order_type is not OrderType.MARKET and request.time_in_force is TimeInForce.DAY
        if not waits or instrument.asset_class is not AssetClass.CRYPTO:
            return None
        return (self._clock.now_ns() // DAY_NS + 1) * DAY_NS

    def dispatch(self, live: LiveOrder, error: BaseException | None) -> None:
        """Send an order whose intent is durable."""
        if error is None and live.order.status is OrderStatus.SUBMITTED:
            self._send.start(live)

    def _abandon(self, live: LiveOrder) -> None:
        """The intent was written after its submitter was told that it was not: end it unsent."""
        if live.order.status is OrderStatus.SUBMITTED:
            self._journal.record(live, Fact(OrderEventKind.CANCELED, self._clock.now_ns(), reason="ABANDONED"))


def _condition(order: Order, until: Wait | None) -> Callable[[Order], bool]:
    usual = Wait.TERMINAL if order.terms.order_type is OrderType.MARKET else Wait.ACCEPTED
    return _CONDITIONS[until or usual]


def _ignore(_live: LiveOrder) -> None:
    """Nobody wants to know of new orders yet."""


async def _look_away(_account: Account) -> None:
    """Nobody watches losses yet."""


_NO_ID = OrderId("")
_DAILY_LOSS = "DAILY_LOSS"
_CONDITIONS: dict[Wait, Callable[[Order], bool]] = {
    Wait.NONE: lambda order: True,
    Wait.ACCEPTED: lambda order: order.is_answered,
    Wait.TERMINAL: lambda order: order.status.is_closed,
}
