"""Rebalances from wish to order: proposed, and executed once, over a real SQLite file."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from builders.rebalance_desk import RULES, RebalanceDesk, rebalance_desk, states
from builders.rebalances import a_report

from services.portfolio.domain.rebalance import Rules, State
from trading.errors import (
    InvalidArgument,
    NotFound,
    UnknownSymbol,
)
from trading.money import ONE


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[RebalanceDesk]:
    """A hundred AAPL at 100 and 50 TSLA at 200, in an account of 100,000."""
    async with rebalance_desk(tmp_path) as opened:
        yield opened


async def test_a_proposal_is_stored_and_sends_nothing(desk: RebalanceDesk) -> None:
    made = await desk.propose(RULES)
    assert await desk.find(made.id) == made
    assert [(order.symbol, order.quantity_nanos / ONE) for order in made.orders] == [
        ("AAPL", -100),
        ("TSLA", -50),
        ("MSFT", 125),
    ]
    assert (made.state, made.equity_nanos, made.weights) == (State.PROPOSED, 100_000 * ONE, {"AAPL": 0.1, "TSLA": 0.1})
    assert not await desk.run()
    assert desk.orders.submits == []


async def test_any_spelling_is_understood_and_no_symbol_is_named_twice(desk: RebalanceDesk) -> None:
    desk.mark("BTC-USDT", "50000")
    made = await desk.propose(Rules("", {"BTC/USD": 0.1}, keep_others=True))
    assert [(order.symbol, order.is_always_open) for order in made.orders] == [("BTC-USDT", True)]
    assert (made.account, made.rules.targets) == ("main", {"BTC-USDT": 0.1})
    with pytest.raises(InvalidArgument) as refused:
        await desk.propose(Rules("main", {"BTC/USD": 0.1, "BTCUSDT": 0.1}))
    assert refused.value.reason == "DUPLICATE_SYMBOL"


async def test_what_cannot_be_proposed_is_refused_and_stored_nowhere(desk: RebalanceDesk) -> None:
    many = dict.fromkeys(("MSFT", "SPY"), 0.1)
    for rules, error in (
        (Rules("main", {"NOPE": 0.1}), UnknownSymbol),
        (Rules("main", {}), InvalidArgument),
        (Rules("other", {"AAPL": 0.1}), NotFound),
        (Rules("main", many), InvalidArgument),  # two sells and two buys are more than three orders
    ):
        with pytest.raises(error):
            await desk.propose(rules)
    assert await desk.rebalances.page("", 10, "") == ()


async def test_a_symbol_that_nobody_quotes_is_left_alone(desk: RebalanceDesk) -> None:
    del desk.market_data.quotes["MSFT"]
    made = await desk.propose(Rules("main", {"MSFT": 0.5}, keep_others=True))
    assert made.left_alone == {"MSFT": "no_price"}


async def test_targets_may_be_found_by_the_optimiser(desk: RebalanceDesk) -> None:
    made = await desk.propose(Rules("main", keep_others=True), b"problem")
    assert (desk.asked_targets, made.rules.targets) == ([b"problem"], {"AAPL": 0.25})
    with pytest.raises(InvalidArgument):
        await desk.propose(RULES, b"problem")
    desk.found_targets = {}
    with pytest.raises(InvalidArgument):
        await desk.propose(Rules("main"), b"problem")


async def test_an_execution_sells_first_and_ends_done(desk: RebalanceDesk) -> None:
    done = await desk.executed()
    assert desk.orders.submits == ["AAPL", "TSLA", "MSFT"]
    assert (done.state, states(done)) == (
        State.DONE,
        [("AAPL", "FILLED"), ("TSLA", "FILLED"), ("MSFT", "FILLED")],
    )
    assert not await desk.run()


async def test_executing_twice_places_nothing_twice(desk: RebalanceDesk) -> None:
    done = await desk.executed()
    again = await desk.execute(done.id)
    await desk.run()
    assert again == done
    assert len(desk.orders.placed) == 3


async def test_two_starts_at_once_are_one(desk: RebalanceDesk) -> None:
    made = await desk.propose(RULES)
    first, second = await asyncio.gather(desk.execute(made.id), desk.execute(made.id))
    assert (first.state, second.state) == (State.EXECUTING, State.EXECUTING)
    await asyncio.gather(desk.run(), desk.run())  # and so are two runners
    while await desk.run():
        pass
    assert len(desk.orders.placed) == 3
    assert (await desk.find(made.id)).state is State.DONE


async def test_a_life_that_ended_between_submit_and_answer_places_nothing_twice(desk: RebalanceDesk) -> None:
    made = await desk.execute((await desk.propose(RULES)).id)
    for order in made.sendable:
        await desk.orders.submit("main", order)  # the answer never reached the table
    while await desk.run():
        pass
    assert (await desk.find(made.id)).state is State.DONE
    assert (len(desk.orders.placed), len(desk.orders.submits)) == (3, 5)


async def test_buys_wait_for_a_sell_that_still_works(desk: RebalanceDesk) -> None:
    desk.orders.answers["TSLA"] = a_report("ACCEPTED", order_id="slow")
    working = await desk.executed()
    assert states(working) == [("AAPL", "FILLED"), ("TSLA", "ACCEPTED"), ("MSFT", "")]
    desk.orders.reports["slow"] = a_report("ACCEPTED", order_id="slow")
    assert await desk.run()
    desk.orders.reports["slow"] = a_report("FILLED", filled="50", order_id="slow")
    assert await desk.run()
    assert not await desk.run()
    assert (await desk.find(working.id)).state is State.DONE


async def test_an_execution_that_is_away_is_asked_again(desk: RebalanceDesk) -> None:
    desk.orders.is_away = True
    waiting = await desk.executed()
    assert (waiting.state, waiting.version) == (State.EXECUTING, 2)
    desk.orders.is_away = False
    assert not await desk.run()
    assert (await desk.find(waiting.id)).state is State.DONE
