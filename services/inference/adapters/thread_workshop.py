"""One thread beside the event loop, for the sums of big requests."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class ThreadWorkshop:
    """The `Workshop` port on a thread; NumPy lets the event loop run meanwhile."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="workshop")

    async def do(self, work: Callable[[], T]) -> T:
        """Do it after what was asked before, and give what it gives or raise what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Wait for the work in progress and end the thread."""
        self._thread.shutdown(cancel_futures=True)
