"""Cancel an order: say so in the log, ask the venue, and wait for its answer."""

from typing import Any

from services.execution.domain.order import Fact, Order
from services.execution.ports import Broker, VenueRefused
from services.execution.usecases.background import Background
from services.execution.usecases.blotter import LiveOrder
from services.execution.usecases.orders import Orders
from trading.clock import Clock
from trading.errors import FailedPrecondition, TradingError, Unavailable
from trading.ids import OrderId
from trading.order import OrderEventKind, OrderStatus


class Cancel:
    """Cancels always pass risk, the kill switch included."""

    def __init__(
        self, broker: Broker, orders: Orders, background: Background, clock: Clock, log: Any, *, wait_s: float
    ) -> None:
        self._broker = broker
        self._orders = orders
        self._journal = orders.journal
        self._background = background
        self._clock = clock
        self._log = log
        self._wait_s = wait_s

    async def __call__(self, order_id: OrderId) -> LiveOrder:
        """Ask for a cancel and wait for the venue's answer, which may still be under way at the end of the wait.

        Raises UnknownOrder, and FailedPrecondition when the order is closed or the venue refuses.
        """
        live = await self._orders.need(order_id)
        _check_open(live.order)
        await live.until(_is_cancelable, self._wait_s)
        _check_open(live.order)
        if live.order.venue_order_id is None:
            raise FailedPrecondition(
                "The venue has not confirmed the order yet; it is being asked.",
                reason="ORDER_UNRESOLVED",
                order_id=order_id,
            )
        refusal = await self._background.start(self._ask(live))
        if refusal is not None:
            raise FailedPrecondition(
                f"The venue refused the cancel: {refusal.message}", reason="CANCEL_REJECTED", order_id=order_id
            )
        await live.until(lambda order: order.status is not OrderStatus.PENDING_CANCEL, self._wait_s)
        return live

    async def cancel_all(self, account: str | None = None) -> int:
        """Ask for a cancel of every open order; returns how many were asked for."""
        open_orders = [live for live in self._orders.blotter.open_orders() if account in (None, live.order.account)]
        for live in open_orders:
            self._background.start(self._cancel_quietly(live.order.order_id))
        return len(open_orders)

    async def _cancel_quietly(self, order_id: OrderId) -> None:
        try:
            await self(order_id)
        except TradingError as error:  # it closed meanwhile, or the venue is away: the order shows which
            self._log.info("cancel_all.not_canceled", order_id=order_id, reason=error.reason)

    async def _ask(self, live: LiveOrder) -> VenueRefused | None:
        """Ask the venue; its refusal is an answer, its silence leaves the order to reconciliation."""
        self._journal.record(live, Fact(OrderEventKind.PENDING_CANCEL, self._clock.now_ns()))
        try:
            await self._broker.cancel(live.order)
        except VenueRefused as refusal:
            self._restore(live, refusal.message)
            return refusal
        except Unavailable as error:
            self._log.warning("cancel.unanswered", order_id=live.order.order_id, error=error.message)
        return None

    def _restore(self, live: LiveOrder, reason: str) -> None:
        if live.order.status is OrderStatus.PENDING_CANCEL:
            self._journal.record(live, Fact(OrderEventKind.CANCEL_REJECTED, self._clock.now_ns(), reason=reason))


def _is_cancelable(order: Order) -> bool:
    return order.venue_order_id is not None or order.status.is_closed


def _check_open(order: Order) -> None:
    if order.status.is_closed:
        raise FailedPrecondition(
            f"The order is {order.status} already.", reason="ORDER_CLOSED", order_id=order.order_id, status=order.status
        )
