"""Accounts, limits and switches in SQLite or Postgres, each change with its audit row."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table, delete, insert, select, update

from fleet.database import Database
from services.execution.adapters import schema
from services.execution.domain.limits import RiskLimits, SignalTrading
from services.execution.ports.controls import AccountRecord, Audit, AuditEntry, AuditQuery
from trading.ids import AccountId
from trading.order import TradingState

_THE_SWITCH = 1


class SqlControls:
    """What an operator sets."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def accounts(self) -> Sequence[AccountRecord]:
        """Every account that was ever seen."""
        return [
            AccountRecord(**{**row, "trading_state": TradingState(row["trading_state"])})
            for row in await self._rows(schema.accounts)
        ]

    async def add_account(self, account: AccountRecord) -> None:
        """Remember a new account."""
        async with self._database.begin() as connection:
            await connection.execute(insert(schema.accounts).values(**_plain(account)))

    async def set_trading_state(self, account: AccountId, state: TradingState, audit: Audit) -> None:
        """Turn the kill switch of an account."""
        change = update(schema.accounts).where(schema.accounts.c.id == account).values(trading_state=state.value)
        async with self._database.begin() as connection:
            await connection.execute(change)
            await connection.execute(_audited("trading_state", account, {"state": state.value}, audit))

    async def limits(self) -> Sequence[RiskLimits]:
        """The limits of every account that has any."""
        return [RiskLimits(**row) for row in await self._rows(schema.risk_limits)]

    async def set_limits(self, limits: RiskLimits, audit: Audit) -> None:
        """Replace the limits of an account."""
        table, values = schema.risk_limits, _plain(limits)
        async with self._database.begin() as connection:
            await connection.execute(delete(table).where(table.c.account == limits.account))
            await connection.execute(insert(table).values(**values))
            await connection.execute(_audited("risk_limits", limits.account, values, audit))

    async def signal_trading(self) -> SignalTrading | None:
        """The switch, or None when it was never set."""
        for row in await self._rows(schema.signal_trading):
            fields = {name: value for name, value in row.items() if name != "id"}
            return SignalTrading(**{**fields, "models": tuple(json.loads(row["models"]))})
        return None

    async def set_signal_trading(self, switch: SignalTrading, audit: Audit) -> None:
        """Set the switch."""
        values = {**_plain(switch), "models": json.dumps(switch.models)}
        async with self._database.begin() as connection:
            await connection.execute(delete(schema.signal_trading))
            await connection.execute(insert(schema.signal_trading).values(id=_THE_SWITCH, **values))
            await connection.execute(_audited("signal_trading", switch.account, values, audit))

    async def audit(self, query: AuditQuery) -> Sequence[AuditEntry]:
        """The audit trail, newest first."""
        trail = schema.audit
        wanted = select(trail).order_by(trail.c.id.desc()).limit(query.limit)
        if query.account is not None:
            wanted = wanted.where(trail.c.account == query.account)
        if query.subject is not None:
            wanted = wanted.where(trail.c.subject == query.subject)
        if query.before is not None:
            wanted = wanted.where(trail.c.id < query.before)
        async with self._database.read() as connection:
            return [AuditEntry(**row) for row in (await connection.execute(wanted)).mappings()]

    async def _rows(self, table: Table) -> list[dict[str, Any]]:
        async with self._database.read() as connection:
            return [dict(row) for row in (await connection.execute(select(table))).mappings()]


def _plain(value: AccountRecord | RiskLimits | SignalTrading) -> dict[str, Any]:
    return {name: str(part) if isinstance(part, str) else part for name, part in dataclasses.asdict(value).items()}


def _audited(subject: str, account: str, value: dict[str, Any], audit: Audit) -> Any:
    return insert(schema.audit).values(
        subject=subject,
        account=account,
        value=json.dumps(value),
        actor=audit.actor[:128],
        reason=audit.reason,
        time_ns=audit.time_ns,
    )
