"""Through a network with faults every trade arrives once and in order, in each protocol; and soon again."""

import asyncio
from collections.abc import Iterator

import pytest
from builders.live_venue import LiveVenue, live_venue
from builders.venue_adapters import PROTOCOLS
from builders.venue_desk import CLOCK, desk, until
from waiting import within

from services.market_data.domain.feed import FeedState
from trading.clock import SECOND_NS

MUTE_S = 1.0
pytestmark = pytest.mark.parametrize("protocol", PROTOCOLS)


@pytest.fixture(scope="module")
def venue() -> Iterator[LiveVenue]:
    with live_venue("--quote-rate", "40", "--trade-rate", "40", "--connections", "1000") as running:
        yield running


@pytest.mark.timed
async def test_after_resets_every_trade_arrives_once_and_in_order_within_two_seconds(
    protocol: str, venue: LiveVenue
) -> None:
    async with desk(protocol, venue) as made:
        for _ in range(3):
            before, began_ns = made.ticks, CLOCK.monotonic_ns()
            made.proxy.reset()
            await until(lambda before=before: made.ticks > before and made.states[-1] is FeedState.UP)  # type: ignore[misc]
            assert CLOCK.monotonic_ns() - began_ns <= within(2) * SECOND_NS
            await made.flows()
        await made.check()

    assert made.counts.reconnects == 3
    assert made.states == [FeedState.UP, *(FeedState.DOWN, FeedState.UP) * 3]
    quotes = [gap for gap in made.publisher.gaps if gap.symbol == "BTC-USDT"]
    assert [gap.reason.partition(":")[0] for gap in quotes] == ["quotes missed"] * 3


@pytest.mark.timed
async def test_a_mute_socket_is_found_within_its_timer_and_nothing_is_lost(protocol: str, venue: LiveVenue) -> None:
    async with desk(protocol, venue, mute_s=MUTE_S) as made:
        made.proxy.mute()
        began_ns = CLOCK.monotonic_ns()
        await until(lambda: FeedState.DOWN in made.states)
        found_ns = CLOCK.monotonic_ns() - began_ns
        made.proxy.reset()
        made.proxy.speak()
        await made.flows()
        await made.check()

    assert found_ns <= within(MUTE_S + 1) * SECOND_NS


async def test_a_refused_period_is_waited_out_and_filled(protocol: str, venue: LiveVenue) -> None:
    async with desk(protocol, venue) as made:
        await made.proxy.refuse()
        await until(lambda: FeedState.DOWN in made.states)
        await asyncio.sleep(1.0)  # the fault itself: nobody listens for a while
        await made.proxy.start()
        await made.flows()
        await made.check()

    assert made.states == [FeedState.UP, FeedState.DOWN, FeedState.UP]
