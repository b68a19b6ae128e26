"""Waiting for what another task, process or server makes true."""

import asyncio
import inspect
import os
from collections.abc import Awaitable, Callable

TIMEOUT_S = 60.0
"""Long: a condition that is met costs nothing of it, and a machine may be busy with much else."""
QUIET = os.environ.get("NT_QUIET") == "1"


def within(promised_s: float) -> float:
    """The longest that something promised within a time may take, in seconds.

    It is the promise itself where nothing else runs (NT_QUIET=1, `make test-timed`). Elsewhere a test must not fail
    for lack of speed: there it only tells "soon" from "never", or from a time-out ten times as long.
    """
    return promised_s if QUIET else max(60.0, 10 * promised_s)


async def until(condition: Callable[[], bool | Awaitable[bool]], what: str, timeout_s: float = TIMEOUT_S) -> None:
    """Poll a condition; fails the test when it stays false."""
    try:
        async with asyncio.timeout(timeout_s):
            while not await _is_true(condition()):  # noqa: ASYNC110  # no event tells what another process does
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"Waited {timeout_s} s in vain for {what}.") from None


async def _is_true(answer: bool | Awaitable[bool]) -> bool:
    return await answer if inspect.isawaitable(answer) else bool(answer)
