"""Lead: write the order log while the lease on it is ours, and stand by while it is another's."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from services.execution.ports.log import AnotherWriter, Lease
from services.execution.usecases.gate import Gate
from trading.clock import SECOND_NS, Clock
from trading.errors import Unavailable

STANDING_BY = "This replica stands by: another one writes the order log."
_FENCED = "Another replica has taken the lease on the order log."


@dataclass(frozen=True, slots=True)
class LeaseRhythm:
    """Seconds: how long a lease lasts without renewal, how often it is renewed, and how often a free one is tried for.

    Nothing is sent in the last `margin_s` of a lease: whoever takes it next must not meet an order on its way.
    """

    lasts_s: float = 5.0
    renew_every_s: float = 1.0
    try_every_s: float = 0.25
    margin_s: float = 0.5


class HoldLease:
    """The lease as this process knows it. Its end is counted by our own clock, from before it was asked for."""

    def __init__(self, lease: Lease, clock: Clock, rhythm: LeaseRhythm, log: Any) -> None:
        self._lease = lease
        self._clock = clock
        self._rhythm = rhythm
        self._log = log
        self._ends_ns = 0
        self.epoch: int | None = None
        """The fencing token: every write carries it, and only the newest is taken."""

    def is_held(self) -> bool:
        """Whether an order may be sent now."""
        return self._clock.monotonic_ns() < self._ends_ns

    async def take(self) -> None:
        """Wait until the lease is ours."""
        while True:
            asked_ns = self._clock.monotonic_ns()
            with contextlib.suppress(Unavailable):
                self.epoch = await self._lease.take(self._rhythm.lasts_s)
                if self.epoch is not None:
                    self._extend(asked_ns)
                    self._log.info("lease.taken", epoch=self.epoch)
                    return
            await asyncio.sleep(self._rhythm.try_every_s)

    async def keep(self) -> None:
        """Renew it for ever; raises AnotherWriter once it is somebody else's."""
        assert self.epoch is not None, "taken before it is kept"
        while True:
            await asyncio.sleep(self._rhythm.renew_every_s)
            asked_ns = self._clock.monotonic_ns()
            try:
                renewed = await self._lease.renew(self.epoch, self._rhythm.lasts_s)
            except Unavailable as error:  # who cannot reach it writes nothing either; it may still be ours afterwards
                self._log.warning("lease.renew_later", error=error.message)
                continue
            if not renewed:
                self._ends_ns = 0
                raise AnotherWriter(_FENCED, epoch=self.epoch)
            self._extend(asked_ns)

    async def give_back(self) -> None:
        """Let a replica that stands by take over at once."""
        self._ends_ns = 0
        if self.epoch is not None:
            with contextlib.suppress(Unavailable):
                await self._lease.give_back(self.epoch)

    def _extend(self, asked_ns: int) -> None:
        self._ends_ns = asked_ns + int((self._rhythm.lasts_s - self._rhythm.margin_s) * SECOND_NS)


class Lead:
    """The life of a replica: stand by, recall the log, run, and give the lease back at the end."""

    def __init__(
        self, lease: HoldLease, gate: Gate, start: Callable[[], Awaitable[None]], run: Callable[[], Awaitable[None]]
    ) -> None:
        self._lease = lease
        self._gate = gate
        self._start = start
        self._run = run

    async def __call__(self) -> None:
        """Until canceled, or until another replica has taken over: then raises AnotherWriter."""
        self._gate.shut(STANDING_BY)
        await self._lease.take()
        self._gate.shut("Orders are being reconciled with the venue.")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._lease.keep())
                await self._start()
                await self._run()
        finally:
            await self._lease.give_back()
