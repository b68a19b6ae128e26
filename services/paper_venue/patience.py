"""Ends a connection from outside its own task: its time to live is simply over."""

import asyncio


def run_out(patience: asyncio.Timeout | None) -> None:
    """Let a timeout expire now; one that is not running, or has expired already, is left alone.

    Whoever publishes the market must never fail on one customer's behalf, so being late here is no mistake.
    """
    if patience is not None and not patience.expired():
        patience.reschedule(asyncio.get_running_loop().time())
