"""Watch the day's loss of every account: at its limit trading halts and working orders are canceled."""

import asyncio
from typing import Any

from services.execution.domain.risk import daily_loss_nanos
from services.execution.usecases.accounts import Account, Accounts
from services.execution.usecases.cancel import Cancel
from services.execution.usecases.judge import Judge
from trading.errors import Unavailable
from trading.money import format_nanos
from trading.order import TradingState


class WatchLosses:
    """A falling market needs no order of ours to be noticed."""

    def __init__(self, accounts: Accounts, judge: Judge, cancel: Cancel, log: Any, *, every_s: float) -> None:
        self._accounts = accounts
        self._judge = judge
        self._cancel = cancel
        self._log = log
        self._every_s = every_s

    async def forever(self) -> None:
        """Look every `every_s` seconds."""
        while True:
            await asyncio.sleep(self._every_s)
            for account in self._accounts.all():
                await self.look(account)

    async def look(self, account: Account) -> None:
        """Halt the account if its day has lost as much as it may."""
        limit = account.limits.max_daily_loss_nanos
        if limit is None or account.record.trading_state is not TradingState.ACTIVE:
            return
        loss = daily_loss_nanos(self._judge.situation(account))
        if loss <= 0 or loss < limit:
            return
        reason = f"The day has lost {format_nanos(loss)}, its limit is {format_nanos(limit)}."
        self._log.error("daily_loss.halt", account=account.record.id, loss=format_nanos(loss))
        self._cancel.cancel_all(account.record.id)
        try:
            await self._accounts.set_trading_state(account, TradingState.HALTED, "daily-loss", reason)
        except Unavailable as error:  # it holds all the same, and after a restart the loss is found again
            self._log.error("daily_loss.not_written", account=account.record.id, error=error.message)
