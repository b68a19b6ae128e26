"""Run everything that moves orders, and stop it in the order that loses nothing."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from services.execution.usecases.background import Background
from services.execution.usecases.gate import Gate
from services.execution.usecases.journal import Journal
from services.execution.usecases.relay_outbox import RelayOutbox


class RunOrders:
    """One loop for the writer, the relay and all that watches, because they end one after the other."""

    def __init__(
        self,
        journal: Journal,
        relay: RelayOutbox,
        background: Background,
        gate: Gate,
        *,
        watching: Sequence[Callable[[], Coroutine[Any, Any, None]]],
        drain_s: float,
    ) -> None:
        self._journal = journal
        self._relay = relay
        self._background = background
        self._gate = gate
        self._watching = watching
        self._drain_s = drain_s

    async def __call__(self) -> None:
        """Run until cancelled; then drain."""
        async with asyncio.TaskGroup() as group:
            parts = (
                self._journal.write_forever(),
                self._relay.run(),
                self._background.run(),
                *(watch() for watch in self._watching),
            )
            tasks = [group.create_task(part) for part in parts]
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self._gate.shut("The service is stopping.")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._drain_s):
                        await self._drain()
                for task in tasks:
                    task.cancel()

    async def _drain(self) -> None:
        await self._background.drain(self._drain_s)
        await self._journal.finish()
        await self._relay.until_empty(_LAST_WORDS_S)
        await self._journal.finish()


_LAST_WORDS_S = 1.0
