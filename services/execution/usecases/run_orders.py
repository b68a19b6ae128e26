"""Run everything that moves orders, and stop it in the order that loses nothing."""

import asyncio
import contextlib

from services.execution.usecases.background import Background
from services.execution.usecases.follow_venue import FollowVenue
from services.execution.usecases.gate import Gate
from services.execution.usecases.journal import Journal
from services.execution.usecases.reconcile import Reconcile
from services.execution.usecases.relay_outbox import RelayOutbox


class RunOrders:
    """One loop for the writer, the relay, the venue and reconciliation, because they end one after the other."""

    def __init__(
        self,
        journal: Journal,
        relay: RelayOutbox,
        background: Background,
        follow: FollowVenue,
        reconcile: Reconcile,
        gate: Gate,
        *,
        drain_s: float,
    ) -> None:
        self._journal = journal
        self._relay = relay
        self._background = background
        self._follow = follow
        self._reconcile = reconcile
        self._gate = gate
        self._drain_s = drain_s

    async def __call__(self) -> None:
        """Run until cancelled; then drain."""
        async with asyncio.TaskGroup() as group:
            parts = (
                self._journal.write_forever(),
                self._relay.run(),
                self._background.run(),
                self._follow.listen(),
                self._follow.catch_up(),
                self._reconcile.forever(),
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
