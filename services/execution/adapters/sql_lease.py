"""The lease on the order log: one row of its database, with an epoch that every write of the log is checked against."""

import os
import socket
from typing import Any

import psutil
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import IntegrityError

from fleet.database import Database
from services.execution.adapters import schema
from trading.clock import SECOND_NS, Clock

_THE_LOG = "order log"


class SqlLease:
    """A holder on this machine whose process is gone is no holder: a restart need not wait for its lease to end."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._holder = holder_name()

    async def take(self, lasts_s: float) -> int | None:
        """Take a lease that is free, has ended, or whose holder has died; its new epoch, or None."""
        try:
            return await self._take(lasts_s)
        except IntegrityError:  # another was the first to make the row
            return None

    async def _take(self, lasts_s: float) -> int | None:
        table = schema.leases
        async with self._database.begin() as connection:
            now_ns = await self._now_ns(connection)
            found = (await connection.execute(select(table).with_for_update())).mappings().first()
            values = {"holder": self._holder, "ends_ns": now_ns + int(lasts_s * SECOND_NS)}
            if found is None:
                await connection.execute(insert(table).values(name=_THE_LOG, epoch=1, **values))
                return 1
            if found["ends_ns"] > now_ns and not is_dead(found["holder"]):
                return None
            epoch = int(found["epoch"]) + 1
            await connection.execute(update(table).values(epoch=epoch, **values))
            return epoch

    async def renew(self, epoch: int, lasts_s: float) -> bool:
        """Extend a lease that is still ours; one that has ended is, until somebody takes it."""
        table = schema.leases
        async with self._database.begin() as connection:
            ends_ns = await self._now_ns(connection) + int(lasts_s * SECOND_NS)
            change = update(table).where(table.c.epoch == epoch).values(ends_ns=ends_ns)
            return bool((await connection.execute(change)).rowcount)

    async def give_back(self, epoch: int) -> None:
        """End it now."""
        table = schema.leases
        async with self._database.begin() as connection:
            await connection.execute(update(table).where(table.c.epoch == epoch).values(ends_ns=0))

    async def _now_ns(self, connection: Any) -> int:
        """The database's time where it has one: replicas on other hosts have clocks of their own."""
        if self._database.dialect == "sqlite":
            return self._clock.now_ns()
        seconds = (await connection.execute(text("SELECT extract(epoch FROM clock_timestamp())"))).scalar_one()
        return int(seconds * SECOND_NS)


def holder_name() -> str:
    """This process, told from every other one that was or will be: host, process id, start time."""
    return f"{socket.gethostname()}/{os.getpid()}/{psutil.Process().create_time():.2f}"


def is_dead(holder: str) -> bool:
    """Whether a holder was a process of this machine that has ended; False where nobody here can know."""
    host, _, rest = holder.partition("/")
    number, _, started = rest.partition("/")
    if host != socket.gethostname() or not number.isdigit():
        return False
    try:
        return f"{psutil.Process(int(number)).create_time():.2f}" != started
    except psutil.NoSuchProcess:
        return True
