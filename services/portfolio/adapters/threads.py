"""A few threads for arithmetic that would hold up the event loop; NumPy lets go of the lock meanwhile."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import ParamSpec, TypeVar

Args = ParamSpec("Args")
Result = TypeVar("Result")


class ThreadOffload:
    """Offload over a pool of threads."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool

    async def __call__(self, function: Callable[Args, Result], *args: Args.args, **kwargs: Args.kwargs) -> Result:
        """Run `function` on a thread and give back what it returns or raises."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(function, *args, **kwargs))


@contextmanager
def open_threads(threads: int, *, niceness: int = 0) -> Iterator[ThreadOffload]:
    """Threads for as long as the block runs; nice ones, on Linux, leave the cores to whoever else wants them."""
    with ThreadPoolExecutor(threads, "arithmetic", _be_nice, (niceness,)) as pool:
        yield ThreadOffload(pool)


def _be_nice(niceness: int) -> None:
    """Only Linux knows the priority of a single thread."""
    if niceness and sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
