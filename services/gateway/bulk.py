"""A process beside the gateway that turns big bodies into messages and big messages into bodies.

A JSON parser holds the interpreter: 100,000 rows in a thread would stop every other client for a tenth of a second.
The process is started by the first body that needs it; small ones are done here and now, unless a reader written in C
is to be kept apart from the gateway.
"""

import asyncio
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from trading.errors import ResourceExhausted, Unavailable

T = TypeVar("T")


class Bulk:
    """Does work on bytes, here or in the process; `close` ends it."""

    def __init__(self, from_bytes: int, waiting_max: int) -> None:
        self._from_bytes = from_bytes
        self._waiting_max = waiting_max
        self._waiting = 0
        self._process: ProcessPoolExecutor | None = None

    async def do(self, work: Callable[[bytes], T], content: bytes, *, apart: bool = False) -> T:
        """What `work`, a function of a module, makes of the content; `apart` in the process however small it is.

        Raises ResourceExhausted when too much waits, Unavailable when the process died; the next work has a new one.
        """
        if not apart and len(content) < self._from_bytes:
            return work(content)
        if self._waiting >= self._waiting_max:
            raise ResourceExhausted(f"{self._waiting} big bodies wait already.", retry_after_s=1)
        self._waiting += 1
        process = self._started()
        try:
            return await asyncio.get_running_loop().run_in_executor(process, work, content)
        except BrokenProcessPool as error:
            if self._process is process:
                self._process = None
            raise Unavailable("The process for big bodies ended; trying again may help.") from error
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Wait for the work in progress and end the process."""
        if self._process is not None:
            self._process.shutdown(cancel_futures=True)

    def _started(self) -> ProcessPoolExecutor:
        if self._process is None:
            self._process = ProcessPoolExecutor(1, get_context("spawn"), _leave_signals)
        return self._process


def _leave_signals() -> None:
    """Ctrl-C goes to the gateway, which ends this process when it has answered."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
