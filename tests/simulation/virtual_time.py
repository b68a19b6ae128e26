"""Time that passes only when nobody has anything left to do: an event loop, a clock and ids that a seed repeats."""

import asyncio
import random
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from unittest import mock

import uuid_utils

from trading.clock import SECOND_NS

EPOCH_NS = 1_750_000_000 * SECOND_NS
"""Where the clocks of a simulation start (ns UTC)."""


class VirtualTimeLoop(asyncio.BaseEventLoop):
    """An event loop without sockets, threads and signals, that leaps to its next timer instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Leap(self)
        self._tasks: set[asyncio.Task[Any]] = set()
        self.elapsed_s = 0.0

    def time(self) -> float:
        """Virtual seconds since the start."""
        return self.elapsed_s

    def create_task(self, *arguments: Any, **options: Any) -> "asyncio.Task[Any]":
        """A task that lives until it is done or buried, even one that waits for an answer that will never come."""
        task: asyncio.Task[Any] = super().create_task(*arguments, **options)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _process_events(self, _events: Sequence[Any]) -> None:
        """Nothing comes from outside."""

    def _write_to_self(self) -> None:
        """Nobody sleeps who would have to be woken."""


class _Leap:
    """Stands where a loop waits for its sockets."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop

    def select(self, timeout_s: float | None) -> Sequence[Any]:
        if timeout_s is None:
            raise RuntimeError("Deadlock: everybody waits and no timer is set.")
        self._loop.elapsed_s += max(timeout_s, 0.0)
        return ()


class VirtualClock:
    """The clock of a loop: both of its readings advance with virtual time."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop

    def now_ns(self) -> int:
        return EPOCH_NS + self.monotonic_ns()

    def monotonic_ns(self) -> int:
        return round(self._loop.elapsed_s * SECOND_NS)


class Ids:
    """UUIDv7s that are a function of a seed and of virtual time."""

    def __init__(self, seed: str, clock: VirtualClock) -> None:
        self._chance = random.Random(seed)
        self._clock = clock

    def __call__(self) -> uuid.UUID:
        milliseconds = self._clock.now_ns() // 1_000_000
        value = milliseconds << 80 | 0x7 << 76 | self._chance.getrandbits(12) << 64
        return uuid.UUID(int=value | 0b10 << 62 | self._chance.getrandbits(62))


IDS: ContextVar[Ids] = ContextVar("IDS")
"""Where a process gets its ids from: the tasks that it starts inherit it, and what a dead one takes hurts nobody."""


@contextmanager
def seeded_ids() -> Iterator[None]:
    """Let every fresh id come from `IDS`."""
    with mock.patch.object(uuid_utils, "uuid7", _next_id):
        yield


def _next_id() -> uuid.UUID:
    return IDS.get()()
