"""Submit an order: judge it, write the intent down, send it, and wait as long as the caller wants."""

from collections.abc import Callable
from dataclasses import replace

from services.execution.domain.order import INITIALIZED, Denial, Fact, Order, OrderTerms
from services.execution.domain.request import OrderRequest, fingerprint, normalise
from services.execution.domain.risk import Intent, Situation, judge
from services.execution.domain.submission import Origin, Patience, Submitted, Wait
from services.execution.ports import SeenQuote
from services.execution.usecases.accounts import Account, Accounts
from services.execution.usecases.blotter import LiveOrder
from services.execution.usecases.gate import Gate
from services.execution.usecases.market import Market
from services.execution.usecases.observe import Observer
from services.execution.usecases.orders import Orders
from services.execution.usecases.send import Send
from trading.clock import Clock
from trading.errors import IdempotencyConflict
from trading.ids import OrderId, new_id
from trading.instruments import Instrument
from trading.order import OrderEventKind, OrderStatus, OrderType, TradingState


class Submit:
    """The story of a submit; the same (account, client order id) and body gives the same order for ever."""

    def __init__(
        self,
        venue: str,
        protocol: str,
        market: Market,
        orders: Orders,
        accounts: Accounts,
        send: Send,
        observer: Observer,
        gate: Gate,
        clock: Clock,
    ) -> None:
        self._venue = venue
        self._protocol = protocol
        self._market = market
        self._orders = orders
        self._journal = orders.journal
        self._blotter = orders.blotter
        self._accounts = accounts
        self._send = send
        self._observer = observer
        self._gate = gate
        self._clock = clock
        self._journal.on_abandoned = self._abandon

    async def __call__(self, request: OrderRequest, patience: Patience, origin: Origin) -> Submitted:
        """Take an order in.

        Raises InvalidArgument, UnknownSymbol, NotFound (account), IdempotencyConflict, ResourceExhausted when
        too much is under way, and Unavailable when nothing was accepted.
        """
        request = normalise(request)
        self._gate.check()
        account = self._accounts.get(request.account)
        request = replace(request, account=account.record.id)
        instrument = await self._market.catalogue.get(request.symbol)
        body = fingerprint(request, instrument)
        known = await self._orders.find_by_client_id(request.account, request.key(_NO_ID))
        if known is not None:
            return await self._again(known, body, patience)
        seen = await self._quote(instrument.symbol, account)
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
        terms = self._terms(request, instrument, account, body)
        denial = self._judge(terms, instrument, account, seen)
        live = LiveOrder(
            Order(terms),
            received_ns=origin.received_ns,
            tick_receive_time_ns=origin.tick_receive_time_ns,
            correlation_id=terms.client_order_id,
            traceparent=origin.traceparent,
        )
        self._observer.validated(live)
        durable = self._journal.open(live, self._verdict(terms, denial))
        if denial is None:
            durable.add_done_callback(lambda done: self._dispatch(live, done.exception()))
        return live

    def _judge(
        self, terms: OrderTerms, instrument: Instrument, account: Account, seen: SeenQuote | None
    ) -> Denial | None:
        now_ns = self._clock.monotonic_ns()
        intent = Intent(terms, instrument, seen and seen.quote, seen.age_ns if seen else 0)
        situation = Situation(
            limits=account.limits,
            trading_state=account.record.trading_state,
            holdings=self._blotter.holdings[account.record.id],
            opening_cash_nanos=account.record.opening_cash_nanos,
            multiplier=account.multiplier,
            mark=self._market.mid,
            submits_last_second=account.count_submits(now_ns),
            now_ns=self._clock.now_ns(),
        )
        denial = judge(intent, situation)
        if denial is None:
            account.submits.append(now_ns)
        return denial

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
            expire_time_ns=request.expire_time_ns,
            trail_nanos=request.trail_nanos,
            trail_bps=request.trail_bps,
            reduce_only=request.reduce_only,
            post_only=request.post_only,
            take_profit_nanos=request.take_profit_nanos,
            stop_loss_nanos=request.stop_loss_nanos,
            parent_order_id=request.parent_order_id,
            role=request.role,
            arrival_price_nanos=self._market.mid(instrument.symbol),
            venue_symbol=instrument.venue_symbol(self._protocol),
        )

    def _verdict(self, terms: OrderTerms, denial: Denial | None) -> tuple[Fact, Fact]:
        now_ns = self._clock.now_ns()
        created = Fact(INITIALIZED, now_ns, terms=terms)
        if denial is None:
            return created, Fact(OrderEventKind.SUBMITTED, now_ns)
        return created, Fact(OrderEventKind.DENIED, now_ns, reason=denial.message, denial=denial)

    async def _outcome(self, live: LiveOrder, account: Account, patience: Patience) -> Submitted:
        if live.order.denial is not None and live.order.denial.code == _DAILY_LOSS:
            await self._halt(account, live.order.denial)
        await self._journal.until_durable(live)
        await live.until(_condition(live.order, patience.until), patience.timeout_s)
        self._observer.replied(live)
        return Submitted(live.order, live.timings)

    async def _again(self, live: LiveOrder, body: str, patience: Patience) -> Submitted:
        if live.order.terms.fingerprint != body:
            raise IdempotencyConflict(
                "This client order id came before with another body.",
                client_order_id=live.order.terms.client_order_id,
                order_id=live.order.order_id,
            )
        await self._journal.until_durable(live)
        await live.until(_condition(live.order, patience.until), patience.timeout_s)
        return Submitted(live.order, live.timings, duplicate=True)

    async def _quote(self, symbol: str, account: Account) -> SeenQuote | None:
        seen = self._market.quotes.latest(symbol)
        limit = account.limits.max_quote_age_ns
        if seen is not None and (limit is None or seen.age_ns <= limit):
            return seen
        return await self._market.quotes.ask(symbol) or seen

    def _dispatch(self, live: LiveOrder, error: BaseException | None) -> None:
        if error is None and live.order.status is OrderStatus.SUBMITTED:
            self._send.start(live)

    def _abandon(self, live: LiveOrder) -> None:
        """The intent was written after its submitter was told that it was not: end it unsent."""
        if live.order.status is OrderStatus.SUBMITTED:
            self._journal.record(live, Fact(OrderEventKind.CANCELED, self._clock.now_ns(), reason="ABANDONED"))

    async def _halt(self, account: Account, denial: Denial) -> None:
        if account.record.trading_state is TradingState.ACTIVE:
            await self._accounts.set_trading_state(account, TradingState.HALTED, "daily-loss", denial.message)


def _condition(order: Order, until: Wait | None) -> Callable[[Order], bool]:
    usual = Wait.TERMINAL if order.terms.order_type is OrderType.MARKET else Wait.ACCEPTED
    return _CONDITIONS[until or usual]


_NO_ID = OrderId("")
_DAILY_LOSS = "DAILY_LOSS"
_CONDITIONS: dict[Wait, Callable[[Order], bool]] = {
    Wait.NONE: lambda order: True,
    Wait.ACCEPTED: lambda order: order.is_answered,
    Wait.TERMINAL: lambda order: order.status.is_closed,
}
