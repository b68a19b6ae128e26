"""A few threads for arithmetic that would hold up the event loop; NumPy lets go of the lock meanwhile."""

import asyncio
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
def open_threads(threads: int) -> Iterator[ThreadOffload]:
    """Threads for as long as the block runs."""
    with ThreadPoolExecutor(threads, thread_name_prefix="arithmetic") as pool:
        yield ThreadOffload(pool)
