"""Orders through the bidi stream of a real execution process, on a venue that fills at once."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.bench.execution_desk import Desk, desk
from tests.bench.peers import NAUTILUS, PeerMissing
from tests.bench.result import Result, beside, of_samples

WARM_UP = 500
SAMPLES = 1_500
ORDERS = 6_000
IN_FLIGHT = 64
PEER_ORDERS = 10_000
_PEER = Path(__file__).with_name("execution_nautilus.py")


def submit_reply() -> Iterator[Result]:
    """One order after another, each answered when the venue has accepted it; the intent is durable before it is sent.

    The peer's simulated exchange is a call in the same process, and nothing is written down.
    """
    samples, extra = asyncio.run(_one_by_one())
    result = of_samples("execution.submit_reply", "µs", samples, extra=extra)
    try:
        peer = nautilus()
    except PeerMissing as reason:
        print(f"    without nautilus_trader: {reason}")
        yield result
        return
    name = "nautilus_trader, in process, nothing durable"
    yield beside(result, name, peer["version"], peer["submit_us"], ratio_of="ours/floor")


def throughput() -> Iterator[Result]:
    """Orders with many in flight, until every fill is recorded and told; all processes share the machine."""
    yield asyncio.run(_flood())


def nautilus() -> dict[str, Any]:
    """What the peer does with as many orders; raises PeerMissing."""
    return NAUTILUS.measure(_PEER, str(PEER_ORDERS))


async def _one_by_one() -> tuple[list[float], dict[str, Any]]:
    async with desk() as trading:
        await trading.one_by_one(WARM_UP)
        before = trading.cpu_s()
        samples = await trading.one_by_one(SAMPLES)
        return samples, {"cpu_ms_per_order": _spent(before, trading, SAMPLES)}


async def _flood() -> Result:
    async with desk() as trading:
        await trading.flood(WARM_UP, IN_FLIGHT)
        await trading.settled(WARM_UP)
        before = trading.cpu_s()
        seconds = await trading.flood(ORDERS, IN_FLIGHT)
        seconds += await trading.settled(WARM_UP + ORDERS)
        extra = {"in_flight": IN_FLIGHT, "cpu_ms_per_order": _spent(before, trading, ORDERS)}
        return Result("execution.throughput", "orders/s", round(ORDERS / seconds), ORDERS, extra=extra)


def _spent(before: Mapping[str, float], trading: Desk, orders: int) -> dict[str, float]:
    return {name: round((spent - before[name]) * 1e3 / orders, 3) for name, spent in trading.cpu_s().items()}
