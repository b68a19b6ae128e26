"""A session's ticks all arrive, in order, in blocks as big as the market is busy."""

import asyncio

import pytest
from builders.market import NOON_NS, a_quote_block
from fakes.market_data import FakeSession, eventually

from services.market_data.domain.feed import FeedLost, FeedRefused
from services.market_data.domain.ticks import Ticks
from services.market_data.usecases.carry_session import CarrySession
from trading.clock import ManualClock


class Sink:
    """Where ticks are published to."""

    def __init__(self) -> None:
        self.lots: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, ticks: Ticks) -> None:
        await self.gate.wait()
        if ticks.count:
            self.lots.append([int(time) - NOON_NS for block in ticks.quotes for time in block.event_time_ns])

    @property
    def ticks(self) -> list[int]:
        return [tick for lot in self.lots for tick in lot]


def a_frame(*ticks: int) -> Ticks:
    return Ticks((a_quote_block(*[(1, 2)] * len(ticks), times_ns=[NOON_NS + tick for tick in ticks]),))


def a_carry(session: FakeSession, sink: Sink, *, full_ticks: int = 256, flush_ns: int = 10**12) -> CarrySession:
    return CarrySession(session, sink, ManualClock(), full_ticks=full_ticks, flush_ns=flush_ns)


@pytest.mark.parametrize("reason", [FeedLost("reset"), FeedRefused("402")])
async def test_everything_that_was_read_is_published_before_the_end_is_told(reason: FeedLost | FeedRefused) -> None:
    session, sink = FakeSession().say(a_frame(1, 2), a_frame(3)).end(reason), Sink()

    assert await a_carry(session, sink)() is reason
    assert sink.ticks == [1, 2, 3]


async def test_a_quiet_market_pays_no_waiting() -> None:
    session, sink = FakeSession(), Sink()
    carrying = asyncio.create_task(a_carry(session, sink)())

    session.say(a_frame(1))
    await eventually(lambda: sink.lots == [[1]])
    session.say(a_frame(2))
    await eventually(lambda: sink.lots == [[1], [2]])

    session.end(FeedLost("over"))
    await carrying


async def test_frames_that_are_at_hand_leave_together() -> None:
    session, sink = FakeSession().say(a_frame(1), a_frame(2), a_frame(3)).end(FeedLost("over")), Sink()

    await a_carry(session, sink)()

    assert sink.lots == [[1, 2, 3]]


async def test_a_full_lot_leaves_although_more_is_at_hand() -> None:
    session, sink = FakeSession().say(*map(a_frame, range(6))).end(FeedLost("over")), Sink()

    await a_carry(session, sink, full_ticks=2)()

    assert sink.lots == [[0, 1], [2, 3], [4, 5]]


async def test_after_the_longest_wait_a_lot_leaves_although_it_is_not_full() -> None:
    session, sink = FakeSession().say(*map(a_frame, range(3))).end(FeedLost("over")), Sink()

    await a_carry(session, sink, flush_ns=0)()

    assert sink.lots == [[0], [1], [2]]


async def test_a_slow_publisher_holds_the_reader_back_and_nothing_is_lost() -> None:
    session, sink = FakeSession().say(*map(a_frame, range(100))).end(FeedLost("over")), Sink()
    sink.gate.clear()
    carrying = asyncio.create_task(a_carry(session, sink, full_ticks=2)())

    await eventually(lambda: session.reads >= 2)
    for _ in range(50):
        await asyncio.sleep(0)
    assert session.reads == 2  # one lot is on its way, and until it has left the socket waits

    sink.gate.set()
    await carrying
    assert sink.ticks == list(range(100))


async def test_frames_without_ticks_publish_nothing() -> None:
    session, sink = FakeSession().say(Ticks(), Ticks()).end(FeedLost("over")), Sink()

    await a_carry(session, sink)()

    assert sink.lots == []


async def test_a_publisher_that_breaks_ends_the_session_loudly() -> None:
    async def fail(_: Ticks) -> None:
        raise RuntimeError("a defect")

    session = FakeSession().say(a_frame(1))

    with pytest.raises(RuntimeError, match="a defect"):
        await CarrySession(session, fail, ManualClock(), full_ticks=1, flush_ns=0)()
