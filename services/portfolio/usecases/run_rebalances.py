"""Sends the orders of rebalances that are under way and follows them to their end, over crashes and restarts.

Every order has a client order id of its own that execution knows for ever: an order whose answer was lost is
submitted again and found, not placed again. So nothing needs to be written down between a submit and its answer. A
rebalance that is to end is closed only when execution has said of every order what became of it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from services.portfolio.domain.rebalance import Order, OrderReport, Rebalance
from services.portfolio.ports import Orders, Rebalances
from services.portfolio.usecases.changes import Changes
from trading.clock import Clock
from trading.errors import Kind, TradingError, Unavailable

_FINAL = frozenset({Kind.INVALID_ARGUMENT, Kind.NOT_FOUND, Kind.ALREADY_EXISTS, Kind.PERMISSION_DENIED})
"""A submit that fails so will always fail so; anything else is asked again."""
_DENIED = "DENIED"
_TRIES = 5
Ask = Callable[[Order], Awaitable[OrderReport | None]]


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
        current = rebalance
        while sendable := current.sendable:
            before, current = current, await self._send(current, sendable)
            if current.version == before.version:
                break  # execution is away: next time
        if current.ending and not current.is_ended:
            current = await self._end(current)
        elif current.working:
            current = await self._each(current, current.working, self._look_up)
        return current.is_ended

    async def _send(self, rebalance: Rebalance, sendable: Sequence[Order]) -> Rebalance:
        first = sendable[: self._concurrent]
        return await self._report(rebalance, first, lambda order: self._submit(rebalance.account, order))

    async def _submit(self, account: str, order: Order) -> OrderReport:
        try:
            return await self._orders.submit(account, order)
        except TradingError as error:
            if error.kind not in _FINAL:
                raise
            return OrderReport("", _DENIED, 0, f"{error.reason}: {error.message}")

    async def _end(self, rebalance: Rebalance) -> Rebalance:
        """Cancel what works and, once no order is in doubt, close."""
        doubtful, answered = rebalance.doubtful, _Answered()

        async def find(order: Order) -> OrderReport | None:
            return answered.count(await self._orders.find(rebalance.account, order))

        current = await self._each(rebalance, doubtful, find)
        current = await self._each(current, current.working, self._cancel)
        if answered.times < len(doubtful):
            return current
        return await self._keep(current, lambda newest: newest.closed(self._clock.now_ns()))

    async def _each(self, rebalance: Rebalance, orders: Sequence[Order], ask: Ask) -> Rebalance:
        """Ask about every order, a few at a time."""
        current = rebalance
        for first in range(0, len(orders), self._concurrent):
            current = await self._report(current, orders[first : first + self._concurrent], ask)
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

    async def _report(self, rebalance: Rebalance, orders: Sequence[Order], ask: Ask) -> Rebalance:
        """Ask about some orders together, and keep what was answered."""
        answers = await asyncio.gather(*map(ask, orders), return_exceptions=True)
        reports: dict[str, OrderReport] = {}
        for order, answer in zip(orders, answers, strict=True):
            if isinstance(answer, OrderReport):
                reports[order.client_order_id] = answer
            elif isinstance(answer, TradingError):
                self._log.debug("rebalance.later", id=rebalance.id, symbol=order.symbol, reason=answer.reason)
            elif answer is not None:
                raise answer
        return await self._keep(rebalance, lambda newest: newest.reported(reports, self._clock.now_ns()))

    async def _keep(self, rebalance: Rebalance, change: Callable[[Rebalance], Rebalance]) -> Rebalance:
        """Keep a change, on top of what another hand has changed meanwhile: an answer must never be lost."""
        current = rebalance
        for _ in range(_TRIES):
            changed = change(current)
            if changed is current:
                return current
            if await self._rebalances.put(changed, was=current.version):
                self._changes.ring()
                return changed
            current = await self._rebalances.get(current.id) or current
        raise Unavailable("The rebalance changes too often to keep an answer; it is asked for again.", id=rebalance.id)


class _Answered:
    """Counts answers."""

    def __init__(self) -> None:
        self.times = 0

    def count(self, answer: OrderReport | None) -> OrderReport | None:
        """Count an answer and give it back."""
        self.times += 1
        return answer
