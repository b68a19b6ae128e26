"""Control what accounts may do: limits, kill switch, and the accounts themselves."""

from services.execution.domain.limits import RiskLimits
from services.execution.ports import Broker
from services.execution.usecases.accounts import Account, Accounts
from services.execution.usecases.cancel import Cancel
from trading.clock import SECOND_NS
from trading.order import TradingState


class Control:
    """What an operator may ask for."""

    def __init__(self, accounts: Accounts, cancel: Cancel, broker: Broker) -> None:
        self._accounts = accounts
        self._cancel = cancel
        self._broker = broker

    async def set_trading_state(
        self, account: str, state: TradingState, actor: str, reason: str, *, cancel_open: bool
    ) -> int:
        """Turn the kill switch of one account, or of all; returns how many cancels were asked for."""
        chosen = self._accounts.chosen(account)
        for each in chosen:
            await self._accounts.set_trading_state(each, state, actor, reason)
        if not cancel_open:
            return 0
        return sum([await self._cancel.cancel_all(each.record.id) for each in chosen])

    def limits(self, account: str) -> RiskLimits:
        """The limits of an account; raises NotFound."""
        return self._accounts.get(account).limits

    async def set_limits(self, limits: RiskLimits, actor: str) -> RiskLimits:
        """Replace the limits of an account; raises InvalidArgument, NotFound."""
        return await self._accounts.set_limits(limits, actor)

    async def accounts(self) -> list[Account]:
        """Every account, with the venue's word of at most a second ago where the venue answers."""
        await self._accounts.refresh_if_older(self._broker, SECOND_NS)
        return self._accounts.all()
