"""Ticks go into the ring and on to the fleet; what the ring cannot take stops nothing."""

import pytest
from builders.market import a_bar, a_quote_block, a_trade_block
from fakes.market_data import FakePublisher

from fleet.ring import SEGMENTS
from fleet.tick_ring import QUOTE, TRADE, of_kind, open_tick_ring
from services.market_data.adapters.shared_ring import beside_ring
from services.market_data.domain.feed import FeedState, VenueStatus
from services.market_data.domain.gaps import Gap
from trading.errors import Unavailable
from trading.ids import new_id

pytestmark = pytest.mark.skipif(not SEGMENTS.is_dir(), reason="POSIX shared memory is no folder here")


async def test_without_a_name_there_is_no_ring() -> None:
    publisher = FakePublisher()
    async with beside_ring(publisher, "", ticks=16, symbols=1) as beside:
        assert beside is publisher


async def test_everything_is_published_and_ticks_are_in_the_ring_too() -> None:
    publisher, name = FakePublisher(), f"nt-test-{new_id()}"
    gap, status = Gap("paper", "AAPL", 1, 2, "lost"), VenueStatus("paper", FeedState.UP, "subscribed", 1)
    async with beside_ring(publisher, name, ticks=16, symbols=1) as beside:
        with open_tick_ring(name) as reader:
            await beside.quotes(a_quote_block((1, 2), (1, 2)), 7)
            await beside.trades(a_trade_block((1, 1)), 3)
            await beside.bar(a_bar())
            await beside.gap(gap)
            await beside.status(status)
            records = reader.take()

    assert of_kind(records, QUOTE)["sequence"].tolist() == [7, 8]
    assert of_kind(records, TRADE)["sequence"].tolist() == [3]
    assert [first for _, first in (*publisher.quote_blocks, *publisher.trade_blocks)] == [7, 3]
    assert (publisher.bars, publisher.gaps, publisher.statuses) == ([a_bar()], [gap], [status])


async def test_ticks_are_in_the_ring_even_when_the_fleet_cannot_be_told() -> None:
    publisher, name = FakePublisher(is_away=True), f"nt-test-{new_id()}"
    async with beside_ring(publisher, name, ticks=16, symbols=1) as beside:
        with open_tick_ring(name) as reader:
            with pytest.raises(Unavailable):
                await beside.quotes(a_quote_block((1, 2)), 0)

            assert len(reader.take()) == 1


async def test_a_symbol_too_many_is_left_out_of_the_ring_and_published_all_the_same() -> None:
    publisher, name = FakePublisher(), f"nt-test-{new_id()}"
    symbols = [f"A-RATHER-LONG-SYMBOL-{at}" for at in range(4)]
    async with beside_ring(publisher, name, ticks=16, symbols=1) as beside:
        with open_tick_ring(name) as reader:
            for symbol in (*symbols, *symbols):
                await beside.quotes(a_quote_block((1, 2), symbol=symbol), 0)
            seen = [reader.listing(code).symbol for code in reader.take()["instrument"]]

    assert seen == symbols[:2] * 2
    assert [block.symbol for block, _ in publisher.quote_blocks] == symbols * 2
