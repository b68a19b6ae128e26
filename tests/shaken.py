"""An event loop on which short pauses may be over at once: what holds on it does not hold by luck (`make test-shaken`).

A test that polls for one thing and then looks at another, which comes an await later, passes while its pause is longer
than that await takes, and fails on a busy machine. Here the pause may end before anybody else has moved.
"""

import random
from asyncio import DefaultEventLoopPolicy, SelectorEventLoop, TimerHandle
from contextvars import Context
from typing import Any

SHORT_S = 0.04
"""The longest pause that may be cut short; longer ones are time-outs, which keep their time."""
CUT = 0.5
"""How many of the short pauses are."""


class ShakenLoop(SelectorEventLoop):
    """Ends some short pauses at once, as a timer does that is late already; nothing else changes its turn."""

    def __init__(self, seed: str) -> None:
        super().__init__()
        self._chance = random.Random(seed)

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> TimerHandle:
        now = self.time()
        cut = when - now < SHORT_S and self._chance.random() < CUT
        return super().call_at(now if cut else when, callback, *args, context=context)


class ShakenPolicy(DefaultEventLoopPolicy):
    """Makes shaken loops; the seed says which pauses are cut."""

    def __init__(self, seed: str) -> None:
        super().__init__()
        self._seed = seed

    def new_event_loop(self) -> ShakenLoop:
        return ShakenLoop(self._seed)
