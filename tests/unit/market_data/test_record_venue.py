"""A recording lasts as long as it should, and ends early only for a reason."""

import asyncio

import pytest

from services.market_data.domain.feed import Feed, FeedRefused, FeedState, Venue
from services.market_data.usecases.record_venue import RecordVenue
from trading.errors import Unavailable


class Run:
    """A venue's loop that connects, or does not, and then runs for ever."""

    def __init__(self, **states: FeedState) -> None:
        self.venue = Venue("paper", states or {"stocks": FeedState.UP})
        self._states = states or {"stocks": FeedState.UP}
        self.is_running = False

    async def __call__(self) -> None:
        self.is_running = True
        try:
            for channel, state in self._states.items():
                feed = Feed(state, state.name, 0, was_up=state is FeedState.UP)
                self.venue.put(channel, feed, 0)
            await asyncio.Event().wait()
        finally:
            self.is_running = False


async def test_it_ends_when_the_time_is_over_and_says_how_it_goes() -> None:
    run, said = Run(), list[float]()

    await RecordVenue(run, run.venue, said.append)(0.25, asyncio.Event())

    assert not run.is_running
    assert said == sorted(said)
    assert said[-1] < 0.25


async def test_it_ends_when_it_is_told_to() -> None:
    run, stop = Run(), asyncio.Event()
    recording = asyncio.create_task(RecordVenue(run, run.venue, lambda _: stop.set())(3_600, stop))

    await asyncio.wait_for(recording, 60)

    assert not run.is_running


async def test_a_refusal_of_every_connection_ends_it() -> None:
    run = Run(stocks=FeedState.FAILED)

    with pytest.raises(FeedRefused, match="paper stocks: FAILED"):
        await RecordVenue(run, run.venue, lambda _: None)(3_600, asyncio.Event())


async def test_one_connection_that_is_refused_does_not_end_the_other_and_is_told() -> None:
    run = Run(stocks=FeedState.FAILED, crypto=FeedState.UP)

    complaint = await RecordVenue(run, run.venue, lambda _: None)(0.2, asyncio.Event())

    assert complaint == "paper stocks: FAILED"


async def test_a_venue_without_any_connection_for_the_symbols_says_so() -> None:
    run = Run()

    with pytest.raises(FeedRefused, match="binance carries nothing like these symbols"):
        await RecordVenue(run, Venue("binance", []), lambda _: None)(5, asyncio.Event())


async def test_a_venue_that_was_never_there_is_no_empty_recording() -> None:
    run = Run(stocks=FeedState.DOWN)

    with pytest.raises(Unavailable, match="paper stocks: DOWN"):
        await RecordVenue(run, run.venue, lambda _: None)(0.15, asyncio.Event())


async def test_a_loop_that_dies_is_not_taken_for_an_end() -> None:
    async def die() -> None:
        raise RuntimeError("a defect")

    venue = Venue("paper", ["stocks"])
    with pytest.raises(RuntimeError, match="a defect"):
        await RecordVenue(die, venue, lambda _: None)(5, asyncio.Event())
