"""Sends the orders of rebalances that are under way and follows them to their end, over crashes and restarts.

Every order has a client order id of its own that execution knows for ever: an order whose answer was lost is
submitted again and found, not placed again. So nothing needs to be written down between a submit and its answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from services.portfolio.domain.rebalance import Order, OrderReport, Rebalance
from services.portfolio.ports import Orders, Rebalances
from services.portfolio.usecases.changes import Changes
from trading.clock import Clock
from trading.errors import Kind, TradingError

_FINAL = frozenset({Kind.INVALID_ARGUMENT, Kind.NOT_FOUND, Kind.ALREADY_EXISTS, Kind.PERMISSION_DENIED})
"""A submit that fails so will always fail so; anything else is asked again."""
_DENIED = "DENIED"
Ask = Callable[[Order], Awaitable[OrderReport]]


class RunRebalances:
    """Moves every rebalance that is under way as far as it goes now."""

    def __init__(
        self, rebalances: Rebalances, orders: Orders, changes: Changes, clock: Clock, log: Any, *, concurrent: int
    ) -> None:
        self._rebalances = rebalances
        self._orders = orders
        self._changes = changes
        self._clock = clock
        self._log = log
        self._concurrent = concurrent

    async def __call__(self) -> bool:
        """Whether some are still under way; raises Unavailable when the database is gone."""
        under_way = await self._rebalances.executing()
        if not under_way:
            return False
        return any(not ended for ended in await asyncio.gather(*map(self._advance, under_way)))

    async def _advance(self, rebalance: Rebalance) -> bool:
        """Whether it has ended."""
        current: Rebalance | None = rebalance
        while current and (sendable := current.sendable):
            before = current
            current = await self._send(current, sendable)
            if current is None or current.version == before.version:
                break  # another hand changed it, or execution is away: next time
        if current and not current.is_ended and current.working:
            current = await self._follow(current)
        return current is not None and current.is_ended

    async def _send(self, rebalance: Rebalance, sendable: Sequence[Order]) -> Rebalance | None:
        """Submit some orders; None when the rebalance was changed by another hand meanwhile."""
        first = sendable[: self._concurrent]
        return await self._report(rebalance, first, lambda order: self._submit(rebalance.account, order))

    async def _submit(self, account: str, order: Order) -> OrderReport:
        try:
            return await self._orders.submit(account, order)
        except TradingError as error:
            if error.kind not in _FINAL:
                raise
            return OrderReport("", _DENIED, 0, f"{error.reason}: {error.message}")

    async def _follow(self, rebalance: Rebalance) -> Rebalance | None:
        """Ask for every order that works; where an end was chosen, ask for its cancel."""
        ask = self._cancel if rebalance.ending else self._look_up
        current: Rebalance | None = rebalance
        working = rebalance.working
        for first in range(0, len(working), self._concurrent):
            if current:
                current = await self._report(current, working[first : first + self._concurrent], ask)
        return current

    async def _look_up(self, order: Order) -> OrderReport:
        return await self._orders.look_up(order.order_id)

    async def _cancel(self, order: Order) -> OrderReport:
        try:
            return await self._orders.cancel(order.order_id)
        except TradingError as error:
            if error.kind is not Kind.FAILED_PRECONDITION:
                raise
            return await self._orders.look_up(order.order_id)  # it ended by itself meanwhile

    async def _report(self, rebalance: Rebalance, orders: Sequence[Order], ask: Ask) -> Rebalance | None:
        """Ask about some orders together, and keep what was answered."""
        answers = await asyncio.gather(*map(ask, orders), return_exceptions=True)
        reports: dict[str, OrderReport] = {}
        for order, answer in zip(orders, answers, strict=True):
            if isinstance(answer, OrderReport):
                reports[order.client_order_id] = answer
            elif isinstance(answer, TradingError):
                self._log.info("rebalance.later", id=rebalance.id, symbol=order.symbol, reason=answer.reason)
            else:
                raise answer
        return await self._keep(rebalance, rebalance.reported(reports, self._clock.now_ns()))

    async def _keep(self, before: Rebalance, after: Rebalance) -> Rebalance | None:
        if after is before:
            return before
        if not await self._rebalances.put(after, was=before.version):
            return None
        self._changes.ring()
        return after
