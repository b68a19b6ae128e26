"""What tells the relay of rows in the outbox that the journal did not hand over: LISTEN on Postgres, nothing on SQLite.

A trigger notifies of every insert (migration 0004), whoever makes it: an import, a repair by hand, another process.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

CHANNEL = "execution_outbox"
_RETRY_WAIT_S = 1.0
_LOST = -1
MISSED = sys.maxsize
"""Rung after a connection was made again: nobody knows what was written meanwhile."""


class PostgresBell:
    """Holds one connection of the pool for as long as it listens."""

    def __init__(self, engine: AsyncEngine, log: Any) -> None:
        self._engine = engine
        self._log = log

    async def rings(self) -> AsyncIterator[int]:
        """The newest place in the log of each insert, for ever; MISSED when some may have gone by unheard."""
        while True:
            try:
                async for place in self._listen():
                    yield place
            except (OSError, TimeoutError, SQLAlchemyError) as error:
                self._log.warning("outbox.bell_lost", error=str(error))
            await asyncio.sleep(_RETRY_WAIT_S)

    async def _listen(self) -> AsyncIterator[int]:
        heard: asyncio.Queue[int] = asyncio.Queue()
        async with self._engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            driver.add_termination_listener(lambda _driver: heard.put_nowait(_LOST))
            await driver.add_listener(CHANNEL, lambda _driver, _pid, _channel, text: heard.put_nowait(int(text)))
            try:
                yield MISSED
                while (place := await heard.get()) != _LOST:
                    yield place
            finally:
                await connection.invalidate()  # a connection that listens is of no use to others


class SilentBell:
    """For a database that only we write to."""

    async def rings(self) -> AsyncIterator[int]:
        """Never."""
        await asyncio.get_running_loop().create_future()
        yield MISSED
