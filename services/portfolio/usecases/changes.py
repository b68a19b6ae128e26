"""Tells whoever waits inside the process that something has changed."""

import asyncio
import contextlib


class Changes:
    """A bell: some events that stay set until their one listener clears them, and any number of waiting watchers."""

    def __init__(self, *listening: asyncio.Event) -> None:
        self._listening = listening
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake everybody."""
        for event in self._listening:
            event.set()
        rung, self._rung = self._rung, asyncio.Event()
        rung.set()

    async def next(self, timeout_s: float) -> None:
        """Wait for the next ring, or until the time is over: another process may have changed something too."""
        rung = self._rung
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await rung.wait()
