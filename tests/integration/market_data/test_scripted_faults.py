"""What a venue itself may do wrong, scripted by its admin route: nothing is lost or doubled where it can be known."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from builders.live_venue import LiveVenue, live_venue
from builders.venue_adapters import PROTOCOLS
from builders.venue_desk import CLOCK, desk, until
from waiting import within

from services.market_data.domain.feed import FeedState
from trading.clock import SECOND_NS

STALE_S = 1.0
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def venue() -> Iterator[LiveVenue]:
    with live_venue("--admin", "--quote-rate", "40", "--trade-rate", "40", "--connections", "1000") as running:
        yield running


class Script:
    """The venue's admin route."""

    def __init__(self, venue: LiveVenue) -> None:
        self._url = f"{venue.line['admin']}/faults"

    def arm(self, kind: str, **members: Any) -> int:
        """Let something go wrong; gives the fault's number."""
        answer = httpx.post(self._url, json={"kind": kind, **members}, trust_env=False, timeout=60)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def hits(self, fault: int) -> int:
        faults = httpx.get(self._url, trust_env=False, timeout=60).json()["faults"]
        return int(next(found["hits"] for found in faults if found["id"] == fault))

    def clear(self) -> None:
        httpx.delete(self._url, trust_env=False, timeout=60)


@pytest.fixture
def script(venue: LiveVenue) -> Iterator[Script]:
    found = Script(venue)
    yield found
    found.clear()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_trades_that_the_venue_tells_twice_go_out_once(protocol: str, venue: LiveVenue, script: Script) -> None:
    async with desk(protocol, venue) as made:
        fault = script.arm("duplicate", protocol=protocol, channel="trades", count=20)
        await until(lambda: script.hits(fault) == 20)
        await made.flows()
        await made.check()


@pytest.mark.parametrize("kind", ["drop", "reorder", "late"])
async def test_where_trades_are_numbered_a_hole_is_filled_without_any_loss_of_the_connection(
    kind: str, venue: LiveVenue, script: Script
) -> None:
    async with desk("binance", venue) as made:
        members = {"delay_s": 0.2} if kind == "late" else {}
        fault = script.arm(kind, protocol="binance", channel="trades", count=5, **members)
        await until(lambda: script.hits(fault) == 5)
        await made.flows()
        await made.check()

    assert made.counts.reconnects == 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_reset_while_the_venue_s_memory_does_not_answer_is_filled_when_it_does(
    protocol: str, venue: LiveVenue, script: Script
) -> None:
    paths = {
        "alpaca": "/v1beta3/crypto/us/trades",
        "polygon": "/v3/trades/X:BTCUSD",
        "binance": "/binance/api/v3/historicalTrades",
    }
    async with desk(protocol, venue) as made:
        fault = script.arm("status", protocol=protocol, transport="http", path=paths[protocol], status=503, count=3)
        made.proxy.reset()
        await until(lambda: script.hits(fault) == 3)
        await made.flows()
        await made.check()

    assert made.counts.reconnects == 1


@pytest.mark.timed
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_stream_that_says_nothing_while_its_connection_lives_is_stale(
    protocol: str, venue: LiveVenue, script: Script
) -> None:
    async with desk(protocol, venue, stale_s=STALE_S) as made:
        began_ns = CLOCK.monotonic_ns()
        script.arm("mute", protocol=protocol, transport="stream", duration_s=60)
        await until(lambda: made.states[-1] is FeedState.STALE)
        found_ns = CLOCK.monotonic_ns() - began_ns
        script.clear()
        await until(lambda: made.states[-1] is FeedState.UP)

    assert found_ns <= within(STALE_S + 1) * SECOND_NS
    assert FeedState.DOWN not in made.states
