"""Cancel an order: say so in the log, ask the venue, and wait for its answer."""

import asyncio
from typing import Any

from services.execution.domain.order import Fact, Order
from services.execution.ports.venue import Broker, VenueRefused
from services.execution.usecases.background import Background
from services.execution.usecases.blotter import LiveOrder
from services.execution.usecases.orders import Orders
from trading.clock import Clock
from trading.errors import FailedPrecondition, TradingError, Unavailable
from trading.ids import AccountId, OrderId
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
        check_open(live.order)
        await live.until(_is_cancelable, self._wait_s)
        check_open(live.order)
        if live.order.status is OrderStatus.EMULATED:
            await self._journal.record(live, Fact(OrderEventKind.CANCELED, self._clock.now_ns()))
            return live
        if live.order.venue_order_id is None:
            raise FailedPrecondition(
                "The venue has not confirmed the order yet; it is being asked.",
                reason="ORDER_UNRESOLVED",
                order_id=order_id,
            )
        refusal = await self._background.see_through(self._ask(live))
        if refusal is not None:
            raise FailedPrecondition(
                f"The venue refused the cancel: {refusal.message}", reason="CANCEL_REJECTED", order_id=order_id
            )
        await live.until(lambda order: order.status is not OrderStatus.PENDING_CANCEL, self._wait_s)
        return live

    def cancel_all(self, account: AccountId | None = None, symbol: str | None = None) -> list[LiveOrder]:
        """Ask for a cancel of every open order of an account and a symbol, or of all; returns those asked for.

        Raises Unavailable while the log is not recalled: nobody knows then what is open.
        """
        self._orders.check_recalled()
        found = [
            live for live in self._orders.blotter.open_orders(account) if symbol in (None, live.order.terms.symbol)
        ]
        for live in found:
            self.start(live)
        return found

    def start(self, live: LiveOrder) -> "asyncio.Task[None]":
        """Ask for a cancel in the background; the task ends with the venue's answer, or without one."""
        return self._background.start(self._cancel_quietly(live.order.order_id))

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
    """It is held, or the venue has named it: a change under way is about to give it another name."""
    held = order.status is OrderStatus.EMULATED
    named = order.venue_order_id is not None and order.wished is None
    return held or named or order.status.is_closed


def check_open(order: Order) -> None:
    """Raise FailedPrecondition when nothing can be asked of the order any more."""
    if order.status.is_closed:
        raise FailedPrecondition(
            f"The order is {order.status} already.", reason="ORDER_CLOSED", order_id=order.order_id, status=order.status
        )
