"""An event loop that takes its freedoms: what holds on it does not hold by luck (`make test-shaken`)."""

import asyncio
import random
from asyncio import DefaultEventLoopPolicy, Handle, SelectorEventLoop, TimerHandle
from contextvars import Context
from typing import Any

LATE = 0.2  # how many of the tasks' steps come later than their turn
LATE_S = 0.002
SHORT_S = 0.05  # a pause for others that a test or a loop makes: it may be over before they have done a thing


class ShakenLoop(SelectorEventLoop):
    """Lets tasks take their steps out of turn, and ends short pauses at once, as a late timer does.

    Only the steps of tasks are moved: each task has at most one step waiting, so that its own order stays, while the
    order between tasks is one that nobody promised. Callbacks of transports keep theirs, on which asyncio is built.
    """

    def __init__(self, seed: str) -> None:
        super().__init__()
        self._chance = random.Random(seed)

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> Handle:
        if isinstance(getattr(callback, "__self__", None), asyncio.Task) and self._chance.random() < LATE:
            late_s = self._chance.choice((0.0, self._chance.uniform(0, LATE_S)))
            return super().call_at(self.time() + late_s, callback, *args, context=context)
        return super().call_soon(callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> TimerHandle:
        now = self.time()
        if when - now < SHORT_S and self._chance.random() < 0.5:
            when = now
        return super().call_at(when, callback, *args, context=context)


class ShakenPolicy(DefaultEventLoopPolicy):
    """Makes shaken loops; the seed says how they shake."""

    def __init__(self, seed: str) -> None:
        super().__init__()
        self._seed = seed

    def new_event_loop(self) -> ShakenLoop:
        return ShakenLoop(self._seed)
