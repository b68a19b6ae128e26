"""Waiting for what another task, process or server makes true."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

TIMEOUT_S = 20.0


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
