"""A loop asks the venue for missed trades until they are there, or until patience ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from builders.market import NOON_NS, a_share, a_trade_block
from fakes.market_data import FakeTrades, eventually

from services.market_data.domain.trade_line import LineRules, Passed
from services.market_data.domain.trade_lines import TradeLines
from services.market_data.usecases.fill_holes import FillHoles, FillPolicy
from trading.clock import ManualClock
from trading.errors import FailedPrecondition, ResourceExhausted, Unavailable
from trading.market import TradeBlock
from trading.money import ONE


def trades(*numbers: int) -> TradeBlock:
    block = a_trade_block(*((1, 1) for _ in numbers), times_ns=[NOON_NS + number * ONE for number in numbers])
    return TradeBlock(
        block.venue, block.symbol, block.event_time_ns, block.receive_time_ns, block.price_nanos, block.size_nanos,
        np.zeros(len(numbers), np.int64), tuple(map(str, numbers)),
    )  # fmt: skip


class Desk:
    """A line that was cut after trade 1 and a loop that fills it."""

    def __init__(self, source: FakeTrades, policy: FillPolicy) -> None:
        self.clock, self.lines, self.passed = ManualClock(), TradeLines("paper", LineRules(held_most=100)), []
        self.lines.begin(["AAPL"], NOON_NS)
        self.lines.take(trades(1))
        self.lines.hold(["AAPL"], "reset")
        self.fill = FillHoles(self.lines, source, self._pass_on, self.clock, policy)

    async def _pass_on(self, symbol: str, passed: Passed) -> None:
        self.passed.append(passed)

    @property
    def ids(self) -> list[str]:
        return [name for one in self.passed if one.block is not None for name in one.block.trade_ids]


@asynccontextmanager
async def filling(source: FakeTrades, policy: FillPolicy | None = None) -> AsyncIterator[Desk]:
    desk = Desk(source, policy or FillPolicy(wait_most_s=0.001, settle_ns=0))
    task = asyncio.create_task(desk.fill([a_share()]))
    try:
        yield desk
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_missed_trades_are_asked_for_with_an_overlap() -> None:
    source = FakeTrades({"AAPL": trades(1, 2, 3)})
    async with filling(source) as desk:
        await eventually(lambda: desk.ids == ["2", "3"])

    assert source.asked[0].time_ns == NOON_NS + ONE - 5 * ONE
    assert source.asked[0].trade_id == "1"


@pytest.mark.parametrize("failure", [Unavailable("502"), ResourceExhausted("429")])
async def test_a_venue_that_cannot_answer_is_asked_again(failure: Exception) -> None:
    async with filling(FakeTrades({"AAPL": trades(1, 2)}, [failure, failure])) as desk:
        await eventually(lambda: desk.ids == ["2"])


async def test_a_venue_that_names_a_time_is_not_asked_before_it_and_then_once_more() -> None:
    source = FakeTrades({"AAPL": trades(1, 2)}, [ResourceExhausted("429", retry_after_s=0.2)])
    began = asyncio.get_running_loop().time()
    async with filling(source) as desk:
        await eventually(lambda: desk.ids == ["2"])

    assert asyncio.get_running_loop().time() - began >= 0.2
    assert len(source.asked) == 2


async def test_a_quiet_symbol_is_asked_about_when_the_venue_s_memory_has_had_time_to_catch_up() -> None:
    source = FakeTrades({"AAPL": trades(1, 2)})
    async with filling(source, FillPolicy(settle_ns=ONE, wait_most_s=0.001)) as desk:
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert source.asked == []
        desk.clock.advance(ONE)
        await eventually(lambda: desk.ids == ["2"])


async def test_a_symbol_with_live_trades_is_asked_about_at_once() -> None:
    source = FakeTrades({"AAPL": trades(1, 2, 3)})
    async with filling(source, FillPolicy(settle_ns=ONE, wait_most_s=0.001)) as desk:
        desk.lines.take(trades(3))
        await eventually(lambda: desk.ids == ["2", "3"])


async def test_a_long_hole_is_filled_answer_by_answer() -> None:
    source = FakeTrades({"AAPL": trades(*range(1, 31))})
    async with filling(source, FillPolicy(trades_most=10, overlap_ns=0, wait_most_s=0.001, settle_ns=0)) as desk:
        desk.lines.take(trades(31))
        source.remembered["AAPL"] = trades(*range(1, 32))
        await eventually(lambda: desk.ids == [str(number) for number in range(2, 32)])

    assert len(source.asked) >= 3


async def test_a_refusal_is_given_up_at_once_and_told() -> None:
    async with filling(FakeTrades(failures=[FailedPrecondition("not entitled")])) as desk:
        await eventually(lambda: not desk.lines.any_open)
        desk.passed.append(desk.lines.take(trades(9)))

    assert [one.gap.reason for one in desk.passed if one.gap] == ["trades missed: reset"]


@pytest.mark.parametrize("source", [FakeTrades(failures=[Unavailable("502")] * 10_000), FakeTrades()])
async def test_when_patience_ends_the_hole_stays_and_is_told(source: FakeTrades) -> None:
    async with filling(source) as desk:
        desk.lines.take(trades(5))
        await eventually(lambda: len(source.asked) > 2)
        assert desk.lines.any_open
        desk.clock.advance(6 * ONE)
        await eventually(lambda: desk.ids == ["5"])

    (gap,) = [one.gap for one in desk.passed if one.gap]
    assert (gap.from_time_ns, gap.to_time_ns) == (NOON_NS + ONE, NOON_NS + 5 * ONE)


async def test_too_many_live_trades_end_the_wait_before_patience_does() -> None:
    async with filling(FakeTrades()) as desk:
        desk.lines.take(trades(*range(5, 206)))
        await eventually(lambda: len(desk.ids) == 201)


async def test_it_sleeps_while_nothing_is_missing_and_wakes_for_a_new_hole() -> None:
    source = FakeTrades({"AAPL": trades(1, 2, 3)})
    async with filling(source) as desk:
        await eventually(lambda: not desk.lines.any_open)
        asked = len(source.asked)
        desk.lines.hold(["AAPL"], "again")
        desk.fill.wake()
        await eventually(lambda: len(source.asked) > asked and not desk.lines.any_open)
