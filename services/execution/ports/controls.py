"""Accounts, limits and switches, kept with an audit trail."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from services.execution.domain.limits import RiskLimits, SignalTrading
from trading.ids import AccountId
from trading.order import TradingState


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """What is remembered of an account; `opening_cash_nanos` is the venue's word when it was first seen.

    Charges before `charges_after_ns` (ns UTC) are in that word, and are never asked for.
    """

    id: AccountId
    venue: str
    currency: str
    opening_cash_nanos: int
    trading_state: TradingState = TradingState.ACTIVE
    charges_after_ns: int = 0


@dataclass(frozen=True, slots=True)
class Audit:
    """Who changed something, when (ns UTC) and why."""

    actor: str
    time_ns: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which changes to list, newest first; None means all. `before` is the last id of the page before."""

    limit: int
    account: str | None = None
    subject: str | None = None
    before: int | None = None


class AuditEntry(NamedTuple):
    """One change as the trail remembers it; `value` is JSON, the time ns UTC."""

    id: int
    subject: str
    account: str
    value: str
    actor: str
    reason: str
    time_ns: int


class ControlStore(Protocol):
    """Accounts, limits and switches, each change with its audit row."""

    async def accounts(self) -> Sequence[AccountRecord]:
        """Every account that was ever seen."""
        ...

    async def add_account(self, account: AccountRecord) -> None:
        """Remember a new account."""
        ...

    async def set_trading_state(self, account: AccountId, state: TradingState, audit: Audit) -> None:
        """Turn the kill switch of an account."""
        ...

    async def limits(self) -> Sequence[RiskLimits]:
        """The limits of every account that has any."""
        ...

    async def set_limits(self, limits: RiskLimits, audit: Audit) -> None:
        """Replace the limits of an account."""
        ...

    async def signal_trading(self) -> SignalTrading | None:
        """The switch, or None when it was never set."""
        ...

    async def set_signal_trading(self, switch: SignalTrading, audit: Audit) -> None:
        """Set the switch."""
        ...

    async def audit(self, query: AuditQuery) -> Sequence[AuditEntry]:
        """Who changed what."""
        ...
