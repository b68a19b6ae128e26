"""Control what accounts may do: limits, kill switch, and the accounts themselves."""

import asyncio
from collections.abc import Sequence

from services.execution.domain.limits import RiskLimits
from services.execution.domain.order import Order
from services.execution.ports.controls import AuditEntry, AuditQuery, ControlStore
from services.execution.ports.venue import Broker
from services.execution.usecases.accounts import Account, Accounts
from services.execution.usecases.background import Background
from services.execution.usecases.blotter import LiveOrder
from services.execution.usecases.cancel import Cancel
from services.execution.usecases.flatten import Flatten
from trading.clock import SECOND_NS
from trading.errors import Unavailable
from trading.ids import AccountId
from trading.order import TradingState


class Control:
    """What an operator may ask for."""

    def __init__(
        self,
        accounts: Accounts,
        cancel: Cancel,
        flatten: Flatten,
        background: Background,
        broker: Broker,
        store: ControlStore,
        *,
        cancel_wait_s: float,
    ) -> None:
        self._accounts = accounts
        self._cancel = cancel
        self._flatten = flatten
        self._background = background
        self._broker = broker
        self._store = store
        self._cancel_wait_s = cancel_wait_s

    async def set_trading_state(
        self, account: str, state: TradingState, actor: str, reason: str, *, cancel_open: bool, flatten: bool = False
    ) -> tuple[int, int]:
        """Turn the kill switch of one account, or of all; returns how many cancels and closing orders were sent.

        To flatten, an account that is to be HALTED is REDUCING until its closing orders have been sent. Once asked
        for, it is done to the end, whatever becomes of the caller.
        """
        chosen = self._accounts.chosen(account)
        turning = self._turn(chosen, state, actor, reason, cancel_open=cancel_open, flatten=flatten)
        return await self._background.see_through(turning)

    async def _turn(
        self,
        chosen: Sequence[Account],
        state: TradingState,
        actor: str,
        reason: str,
        *,
        cancel_open: bool,
        flatten: bool,
    ) -> tuple[int, int]:
        first = TradingState.REDUCING if flatten and state is TradingState.HALTED else state
        unwritten = [each for each in chosen if not await self._set(each, first, actor, reason)]
        canceled = self._cancel_open(chosen) if cancel_open or flatten else []
        closing = 0
        if flatten:
            await self._until_closed(canceled)
            closing = sum([await self._flatten(each.record.id) for each in chosen])
        if state is not first:
            unwritten = [each for each in chosen if not await self._set(each, state, actor, reason)]
        if unwritten:
            raise Unavailable(
                f"Trading is {state}, and {len(canceled)} cancels were asked for; it could not be written down, and "
                "ends with this process.",
                retry_after_s=1,
            )
        return len(canceled), closing

    async def _set(self, account: Account, state: TradingState, actor: str, reason: str) -> bool:
        """Turn the switch, which holds at once; False when it could not be written down."""
        try:
            await self._accounts.set_trading_state(account, state, actor, reason)
        except Unavailable:
            return False
        return True

    def cancel_orders(self, account: str, symbol: str | None) -> int:
        """Ask for a cancel of every open order of an account (all when empty) and symbol; returns how many."""
        names: list[AccountId | None] = [self._accounts.get(account).record.id] if account else [None]
        return sum(len(self._cancel.cancel_all(name, symbol)) for name in names)

    def limits(self, account: str) -> RiskLimits:
        """The limits of an account; raises NotFound."""
        return self._accounts.get(account).limits

    async def set_limits(self, limits: RiskLimits, actor: str) -> RiskLimits:
        """Replace the limits of an account; raises InvalidArgument, NotFound."""
        return await self._accounts.set_limits(limits, actor)

    async def audit(self, query: AuditQuery) -> Sequence[AuditEntry]:
        """Who changed what, newest first; raises NotFound for an unknown account."""
        if query.account:
            self._accounts.get(query.account)
        return await self._store.audit(query)

    async def accounts(self) -> list[Account]:
        """Every account, with the venue's word of at most a second ago where the venue answers."""
        await self._accounts.refresh_if_older(self._broker, SECOND_NS)
        return self._accounts.all()

    def _cancel_open(self, accounts: Sequence[Account]) -> list[LiveOrder]:
        return [live for each in accounts for live in self._cancel.cancel_all(each.record.id)]

    async def _until_closed(self, orders: Sequence[LiveOrder]) -> None:
        """What still works could trade against the closing orders; the venue's silence is waited for only so long."""
        if orders:
            await asyncio.gather(*(live.until(_is_closed, self._cancel_wait_s) for live in orders))


def _is_closed(order: Order) -> bool:
    return order.status.is_closed
