"""The window of daily returns that optimiser and risk read from history."""

import pytest
from fakes.portfolio import FakeMarketData

from services.portfolio.domain.estimation.history import span_of
from services.portfolio.domain.matrices import Refusal
from services.portfolio.usecases.read_returns import ReadReturns
from trading.clock import DAY_NS, ManualClock
from trading.errors import FailedPrecondition, InvalidArgument, UnknownSymbol

TODAY = 20_000
NOW_NS = TODAY * DAY_NS + 12 * 3_600 * 1_000_000_000
CLOSES = {
    "AAPL": {TODAY - 4: 100.0, TODAY - 3: 110.0, TODAY - 2: 99.0, TODAY - 1: 99.0, TODAY: 500.0},
    "MSFT": {TODAY - 5: 7.0, TODAY - 4: 10.0, TODAY - 2: 12.0, TODAY - 1: 15.0, TODAY: 1.0},
}


def reader() -> ReadReturns:
    return ReadReturns(FakeMarketData(closes=CLOSES), ManualClock(NOW_NS))


async def test_returns_run_over_the_days_that_all_symbols_traded_and_that_are_over() -> None:
    returns = await reader()(["MSFT", "AAPL"], 2)
    assert returns.tolist() == [pytest.approx([0.2, -0.01]), pytest.approx([0.25, 0.0])]


async def test_the_newest_days_are_kept() -> None:
    assert (await reader()(["AAPL"], 2))[:, 0].tolist() == pytest.approx([-0.1, 0.0])


async def test_too_few_common_days_say_how_many_there_are_and_whose_history_is_short() -> None:
    with pytest.raises(FailedPrecondition) as refused:
        await reader()(["AAPL", "MSFT"], 3)
    assert refused.value.reason == "INSUFFICIENT_HISTORY"
    found = refused.value.metadata
    assert (found["wanted"], found["available"], found["shortest"]) == (3, 2, "AAPL")


@pytest.mark.parametrize("days", [0, 1, 2521])
async def test_a_window_out_of_bounds_is_refused(days: int) -> None:
    with pytest.raises(InvalidArgument):
        await reader()(["AAPL"], days)


async def test_a_symbol_that_nobody_knows_or_that_comes_twice_is_refused() -> None:
    with pytest.raises(UnknownSymbol):
        await reader()(["AAPL", "NOPE"], 2)
    with pytest.raises(Refusal):
        await reader()(["AAPL", "AAPL"], 2)


def test_the_span_ends_with_the_last_finished_day_and_leaves_room_for_holidays() -> None:
    span = span_of(252, NOW_NS)
    assert span.end_ns == TODAY * DAY_NS
    assert span.end_ns - span.start_ns > 252 / 5 * 7 * DAY_NS
