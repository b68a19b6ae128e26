"""Keeps execution's newest word on the accounts, and lives on the last one while execution is away."""

from collections.abc import Collection
from typing import Any

from services.portfolio.domain.account import AccountTerms
from services.portfolio.ports import Accounts, Execution
from trading.errors import NotFound, TradingError, Unavailable


class KnowAccounts:
    """Which accounts there are, on what terms."""

    def __init__(
        self, execution: Execution, accounts: Accounts, configured: Collection[str], log: Any, *, timeout_s: float
    ) -> None:
        self._execution = execution
        self._accounts = accounts
        self._configured = frozenset(configured)
        self._log = log
        self._timeout_s = timeout_s
        self._newest: dict[str, AccountTerms] = {}

    async def learn(self) -> None:
        """Ask execution and keep what it says; raises TradingError when it is away."""
        self._newest = {terms.id: terms for terms in await self._execution.accounts(self._timeout_s)}
        await self._accounts.remember(tuple(self._newest.values()))

    async def all(self) -> tuple[AccountTerms, ...]:
        """The accounts by id, as fresh as execution can say within the timeout."""
        try:
            newest = await self._execution.accounts(self._timeout_s)
        except TradingError as error:
            self._log.debug("accounts.remembered", reason=error.reason)
            return await self.remembered()
        self._newest = {terms.id: terms for terms in newest}
        return tuple(sorted(newest))

    async def one(self, account: str) -> AccountTerms:
        """One account; raises NotFound, or Unavailable for a configured one that execution never told of."""
        for terms in await self.all():
            if terms.id == account:
                return terms
        raise self._absent(account)

    async def remembered(self) -> tuple[AccountTerms, ...]:
        """The accounts by execution's last word, without asking it again."""
        if not self._newest:
            self._newest = {terms.id: terms for terms in await self._accounts.recall()}
        return tuple(sorted(self._newest.values()))

    def is_configured(self, account: str) -> bool:
        """The settings name it, whether execution has spoken or not."""
        return account in self._configured

    def _absent(self, account: str) -> TradingError:
        if not self._newest and self.is_configured(account):
            return Unavailable("Execution has not told its accounts yet.", account=account, retry_after_s=1)
        return NotFound(f"There is no account {account!r}.", reason="UNKNOWN_ACCOUNT", account=account)
