"""The record of charges in SQLite or Postgres."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from fleet.database import Database
from services.execution.adapters.schema import charges, leases, order_events
from services.execution.domain.charge import Charge, ChargeKind, LoggedCharge
from services.execution.ports.log import AnotherWriter
from trading.ids import AccountId, EventId, OrderId

_CHUNK = 500


class SqlCharges:
    """Charges over SQLAlchemy Core; few come in a day, so nothing here is hot."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def known(self, charge_ids: Sequence[EventId]) -> frozenset[EventId]:
        """Those of the ids that were recorded before."""
        async with self._database.read() as connection:
            return await _known(connection, charge_ids)

    async def record(self, found: Sequence[Charge], epoch: int | None, *, paid: bool = False) -> None:
        """Write those that are new while the lease is ours, each with its place among the charges and in the log."""
        try:
            async with self._database.begin() as connection:
                await _check_lease(connection, epoch)
                known = await _known(connection, [charge.charge_id for charge in found])
                fresh = [charge for charge in found if charge.charge_id not in known]
                if fresh:
                    last = await _newest(connection, charges.c.sequence)
                    log_sequence = await _newest(connection, order_events.c.log_sequence)
                    rows = [_row(last + n, log_sequence, charge, paid) for n, charge in enumerate(fresh, 1)]
                    await connection.execute(insert(charges), rows)
        except IntegrityError as error:
            raise AnotherWriter("Another writer has recorded a charge.", cause=str(error.orig)) from error

    async def head(self) -> int:
        """The newest sequence."""
        async with self._database.read() as connection:
            return await _newest(connection, charges.c.sequence)

    async def newest_ns(self) -> int:
        """When the newest charge was made."""
        async with self._database.read() as connection:
            return await _newest(connection, charges.c.event_time_ns)

    async def list(self, after: int, limit: int, account: str | None = None) -> Sequence[LoggedCharge]:
        """Charges that count, in their order."""
        query = _in_order(limit).where(charges.c.sequence > after, ~charges.c.paid)
        return await self._read(query if account is None else query.where(charges.c.account == account))

    async def untold(self, limit: int) -> Sequence[LoggedCharge]:
        """Charges that wait to be published."""
        return await self._read(_in_order(limit).where(~charges.c.told))

    async def note_told(self, found: Sequence[LoggedCharge]) -> None:
        """They are published."""
        sequences = [logged.sequence for logged in found]
        async with self._database.begin() as connection:
            await connection.execute(update(charges).where(charges.c.sequence.in_(sequences)).values(told=True))

    async def _read(self, query: Select[Any]) -> Sequence[LoggedCharge]:
        async with self._database.read() as connection:
            return [_logged(row) for row in (await connection.execute(query)).mappings()]


async def _check_lease(connection: AsyncConnection, epoch: int | None) -> None:
    """The lease's row stays locked until the commit: nobody can take the log over in between."""
    if epoch is None:
        return
    newest = (await connection.execute(select(leases.c.epoch).with_for_update(read=True))).scalar()
    if newest != epoch:
        raise AnotherWriter("Another writer holds the lease on the order log.", ours=epoch, newest=newest)


async def _known(connection: AsyncConnection, charge_ids: Sequence[EventId]) -> frozenset[EventId]:
    known: set[EventId] = set()
    column = charges.c.charge_id
    for first in range(0, len(charge_ids), _CHUNK):
        query = select(column).where(column.in_(charge_ids[first : first + _CHUNK]))
        known.update((await connection.execute(query)).scalars())
    return frozenset(known)


async def _newest(connection: AsyncConnection, column: Any) -> int:
    return int((await connection.execute(select(func.coalesce(func.max(column), 0)))).scalar_one())


def _in_order(limit: int) -> Select[Any]:
    return select(charges).order_by(charges.c.sequence).limit(limit)


def _row(sequence: int, log_sequence: int, charge: Charge, paid: bool) -> dict[str, Any]:
    return {
        "sequence": sequence,
        "log_sequence": log_sequence,
        "charge_id": charge.charge_id,
        "venue_id": charge.venue_id,
        "account": charge.account,
        "kind": charge.kind.value,
        "symbol": charge.symbol,
        "currency": charge.currency,
        "amount_nanos": charge.amount_nanos,
        "quantity_nanos": charge.quantity_nanos,
        "order_id": charge.order_id,
        "event_time_ns": charge.event_time_ns,
        "receive_time_ns": charge.receive_time_ns,
        "paid": paid,
        "told": paid,  # what nobody counts is told to nobody
    }


def _logged(row: Mapping[str, Any]) -> LoggedCharge:
    charge = Charge(
        EventId(row["charge_id"]),
        row["venue_id"],
        AccountId(row["account"]),
        ChargeKind(row["kind"]),
        row["symbol"],
        row["currency"],
        row["amount_nanos"],
        row["quantity_nanos"],
        None if row["order_id"] is None else OrderId(row["order_id"]),
        row["event_time_ns"],
        row["receive_time_ns"],
    )
    return LoggedCharge(row["sequence"], row["log_sequence"], charge)
