"""Change a working order: judge what it would become, say so in the log, ask the venue, and wait for its answer."""

from typing import Any

from services.execution.domain.change import Change, changed
from services.execution.domain.news import differences, news_of
from services.execution.domain.order import Denial, Fact, Order, OrderTerms
from services.execution.domain.trigger import sent_terms
from services.execution.domain.venue import VenueOrder, VenueUpdate
from services.execution.ports.venue import Broker, VenueRefused
from services.execution.usecases.accounts import Accounts
from services.execution.usecases.background import Background
from services.execution.usecases.blotter import LiveOrder
from services.execution.usecases.cancel import check_open
from services.execution.usecases.gate import Gate
from services.execution.usecases.judge import Judge
from services.execution.usecases.market import Market
from services.execution.usecases.orders import Orders
from services.execution.usecases.record_venue_event import RecordVenueEvent
from trading.clock import Clock
from trading.errors import FailedPrecondition, Unavailable
from trading.ids import OrderId
from trading.order import OrderEventKind, OrderStatus

_CHANGEABLE = frozenset({OrderStatus.ACCEPTED, OrderStatus.TRIGGERED, OrderStatus.PARTIALLY_FILLED})


class Modify:
    """A refused change leaves the order as it was; while one is under way, the larger quantity is what may trade."""

    def __init__(
        self,
        broker: Broker,
        market: Market,
        orders: Orders,
        accounts: Accounts,
        judge: Judge,
        record: RecordVenueEvent,
        background: Background,
        gate: Gate,
        clock: Clock,
        log: Any,
        *,
        wait_s: float,
    ) -> None:
        self._broker = broker
        self._market = market
        self._orders = orders
        self._accounts = accounts
        self._judge = judge
        self._record = record
        self._background = background
        self._gate = gate
        self._clock = clock
        self._log = log
        self._wait_s = wait_s

    async def __call__(self, order_id: OrderId, change: Change) -> LiveOrder:
        """Ask for a change and wait for the venue's answer, which may still be under way at the end of the wait.

        Raises UnknownOrder, InvalidArgument, FailedPrecondition when the order is not at work, when risk denies the
        change or the venue refuses it, and ResourceExhausted or Unavailable when nothing was asked for.
        """
        self._gate.check()
        live = await self._orders.need(order_id)
        check_open(live.order)
        await live.until(_is_settled, self._wait_s)
        _check_changeable(live.order)
        account = self._accounts.get(live.order.account)
        instrument = await self._market.catalogue.get(live.order.terms.symbol)
        seen = await self._judge.quote(instrument.symbol, account)
        # Nothing is awaited from here to the fact in the log: what was judged is what is asked for.
        _check_changeable(live.order)
        self._orders.journal.check_room()
        self._background.check_room()
        wished = changed(live.order, change)
        denial = self._judge(wished, instrument, account, seen, live.order)
        if denial is not None:
            raise _denied(order_id, denial)
        before = live.order
        self._orders.journal.record(live, Fact(OrderEventKind.PENDING_UPDATE, self._clock.now_ns(), terms=wished))
        refusal = await self._background.see_through(self._ask(live, before, wished))
        if refusal is not None:
            raise FailedPrecondition(
                f"The venue refused the change: {refusal.message}", reason="MODIFY_REJECTED", order_id=order_id
            )
        await live.until(lambda order: order.wished is None, self._wait_s)
        return live

    async def _until_durable(self, live: LiveOrder) -> None:
        """Without the order log nothing is asked for: the change is over before it began."""
        try:
            await self._orders.journal.flush()
        except Unavailable as error:
            if live.order.status is OrderStatus.PENDING_UPDATE:
                self._record.record(live, self._refused(error.message))
            raise

    async def _ask(self, live: LiveOrder, before: Order, wished: OrderTerms) -> VenueRefused | None:
        """Ask the venue; its refusal is an answer, its silence leaves the order to reconciliation."""
        await self._until_durable(live)
        try:
            found = await self._broker.modify(before, sent_terms(before, wished))
        except VenueRefused as refusal:
            if live.order.status is OrderStatus.PENDING_UPDATE:
                self._record.record(live, self._refused(refusal.message))
            return refusal
        except Unavailable as error:
            self._log.warning("modify.unanswered", order_id=live.order.order_id, error=error.message)
        else:
            self._take_in(live, found)
        return None

    def _take_in(self, live: LiveOrder, found: VenueOrder) -> None:
        """The stream may have told of it before the call came back."""
        if found.status.is_closed:
            for fact in differences(live.order, found):
                self._record.record(live, fact)
            return
        update = VenueUpdate(found, OrderEventKind.UPDATED, found.event_time_ns or self._clock.now_ns())
        told = news_of(live.order, update, ())
        if told is not None:
            self._record.record(live, told)

    def _refused(self, reason: str) -> Fact:
        return Fact(OrderEventKind.MODIFY_REJECTED, self._clock.now_ns(), reason=reason)


def _is_settled(order: Order) -> bool:
    return order.status in _CHANGEABLE or order.status.is_closed or order.status is OrderStatus.EMULATED


def _check_changeable(order: Order) -> None:
    check_open(order)
    if order.status not in _CHANGEABLE:
        raise FailedPrecondition(
            f"Expected an order at work, was {order.status}: cancel it and submit another.",
            reason="ORDER_NOT_AT_WORK",
            order_id=order.order_id,
            status=order.status,
        )


def _denied(order_id: OrderId, denial: Denial) -> FailedPrecondition:
    return FailedPrecondition(denial.message, reason=denial.code, order_id=order_id, **denial.limits)
