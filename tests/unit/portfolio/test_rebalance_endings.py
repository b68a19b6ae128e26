"""How rebalances end that do not end well: denied, canceled, refused by name, over a real SQLite file."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from builders.rebalance_desk import RULES, RebalanceDesk, rebalance_desk, states
from builders.rebalances import a_report

from services.portfolio.domain.rebalance import Order, OrderReport, Rules, State
from trading.errors import (
    FailedPrecondition,
    InvalidArgument,
    Kind,
    NotFound,
    TradingError,
)
from trading.money import ONE


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[RebalanceDesk]:
    """A hundred AAPL at 100 and 50 TSLA at 200, in an account of 100,000."""
    async with rebalance_desk(tmp_path) as opened:
        yield opened


async def test_a_denied_order_fails_it_with_the_reason_and_leaves_the_rest_stated(desk: RebalanceDesk) -> None:
    desk.orders.answers["AAPL"] = a_report("DENIED", problem="TRADING_HALTED: the account is halted")
    failed = await desk.executed()
    assert (failed.state, failed.error) == (State.FAILED, "AAPL was denied: TRADING_HALTED: the account is halted")
    assert states(failed) == [("AAPL", "DENIED"), ("TSLA", "FILLED"), ("MSFT", "")]
    assert failed.orders[0].problem == "TRADING_HALTED: the account is halted"
    assert await desk.execute(failed.id) == failed


async def test_a_submit_that_can_never_work_is_a_denial(desk: RebalanceDesk) -> None:
    desk.orders.answers["TSLA"] = InvalidArgument("Expected a positive quantity.", reason="BAD_QUANTITY")
    failed = await desk.executed()
    assert failed.error == "TSLA was denied: BAD_QUANTITY: Expected a positive quantity."


async def test_a_failure_cancels_what_still_works(desk: RebalanceDesk) -> None:
    desk.orders.answers["AAPL"] = a_report("DENIED", problem="no")
    desk.orders.answers["TSLA"] = a_report("ACCEPTED", order_id="slow")
    desk.orders.reports["slow"] = a_report("ACCEPTED", order_id="slow")
    failed = await desk.executed()
    assert desk.orders.cancels == ["slow"]
    assert (failed.state, states(failed)) == (
        State.FAILED,
        [("AAPL", "DENIED"), ("TSLA", "CANCELED"), ("MSFT", "")],
    )


async def test_a_cancel_sends_nothing_more_and_cancels_what_works(desk: RebalanceDesk) -> None:
    desk.orders.answers["TSLA"] = a_report("ACCEPTED", order_id="slow")
    working = await desk.executed()
    desk.orders.reports["slow"] = a_report("FILLED", filled="50", order_id="slow")  # it fills before the cancel comes
    ending = await desk.cancel(working.id)
    assert (ending.state, ending.ending) == (State.EXECUTING, State.CANCELED)
    assert not await desk.run()
    ended = await desk.find(working.id)
    assert (ended.state, states(ended)[2]) == (State.CANCELED, ("MSFT", ""))
    with pytest.raises(FailedPrecondition):
        await desk.cancel(working.id)
    assert (await desk.cancel((await desk.propose(RULES)).id)).state is State.CANCELED


async def test_an_order_that_was_placed_without_an_answer_is_found_before_the_end(desk: RebalanceDesk) -> None:
    made = await desk.execute((await desk.propose(RULES)).id)
    desk.orders.answers["AAPL"] = a_report("ACCEPTED", order_id="slow")
    await desk.orders.submit("main", made.orders[0])  # the answer never reached the table
    await desk.cancel(made.id)
    desk.orders.is_away = True
    assert await desk.run()
    assert (await desk.find(made.id)).state is State.EXECUTING  # nobody knows yet what became of the orders
    desk.orders.is_away = False
    assert not await desk.run()
    ended = await desk.find(made.id)
    assert (ended.state, states(ended)) == (State.CANCELED, [("AAPL", "CANCELED"), ("TSLA", ""), ("MSFT", "")])
    assert desk.orders.cancels == ["slow"]


async def test_a_cancel_in_the_middle_of_a_submit_loses_no_answer(desk: RebalanceDesk) -> None:
    made = await desk.execute((await desk.propose(RULES)).id)
    submit = desk.orders.submit

    async def canceled_meanwhile(account: str, order: Order) -> OrderReport:
        if order.symbol == "AAPL":
            await desk.cancel(made.id)
        return await submit(account, order)

    desk.orders.submit = canceled_meanwhile  # type: ignore[method-assign]
    while await desk.run():
        pass
    ended = await desk.find(made.id)
    assert (ended.state, states(ended)) == (State.CANCELED, [("AAPL", "FILLED"), ("TSLA", "FILLED"), ("MSFT", "")])


async def test_a_canceled_proposal_is_not_executed(desk: RebalanceDesk) -> None:
    made = await desk.propose(RULES)
    await desk.cancel(made.id)
    with pytest.raises(FailedPrecondition) as refused:
        await desk.execute(made.id)
    assert refused.value.reason == "REBALANCE_CLOSED"


async def test_an_account_executes_one_at_a_time(desk: RebalanceDesk) -> None:
    first, second = await desk.propose(RULES), await desk.propose(RULES)
    await desk.execute(first.id)
    with pytest.raises(FailedPrecondition) as refused:
        await desk.execute(second.id)
    assert refused.value.reason == "REBALANCE_UNDER_WAY"
    await desk.run()
    assert (await desk.execute(second.id)).state is State.EXECUTING


async def test_a_book_that_moved_too_far_since_the_proposal_is_refused_by_name(desk: RebalanceDesk) -> None:
    made = await desk.propose(RULES)
    desk.trade("SPY", "25", "500")  # an eighth of the equity
    desk.mark("SPY", "500")
    with pytest.raises(TradingError) as refused:
        await desk.execute(made.id)
    assert (refused.value.kind, refused.value.reason) == (Kind.ABORTED, "BOOK_MOVED")
    assert refused.value.metadata["moved"] == pytest.approx(0.125)
    assert (await desk.find(made.id)).state is State.PROPOSED


async def test_a_market_that_moved_too_far_is_refused_too(desk: RebalanceDesk) -> None:
    made = await desk.propose(RULES)
    desk.mark("MSFT", "445")
    with pytest.raises(TradingError) as refused:
        await desk.execute(made.id)
    assert refused.value.reason == "BOOK_MOVED"
    desk.mark("MSFT", "430")
    assert (await desk.execute(made.id)).state is State.EXECUTING


async def test_an_empty_side_of_the_market_is_taken_for_its_middle(desk: RebalanceDesk) -> None:
    desk.market_data.quotes["MSFT"] = desk.market_data.quotes["MSFT"]._replace(bid_nanos=0)
    made = await desk.propose(Rules("main", {"MSFT": 0.5}, keep_others=True))
    assert [(order.symbol, order.price_nanos) for order in made.orders] == [("MSFT", 400 * ONE)]
    desk.market_data.quotes["MSFT"] = desk.market_data.quotes["MSFT"]._replace(ask_nanos=0)
    assert (await desk.propose(Rules("main", {"MSFT": 0.5}, keep_others=True))).left_alone == {"MSFT": "no_price"}


async def test_what_does_not_exist_is_not_found(desk: RebalanceDesk) -> None:
    for ask in (desk.find, desk.execute, desk.cancel):
        with pytest.raises(NotFound):
            await ask("nothing")
