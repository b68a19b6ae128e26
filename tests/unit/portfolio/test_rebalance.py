"""The life of a rebalance: sells before buys, the first failure chooses the end, an end is reached once."""

import pytest
from builders.rebalances import REBALANCE_ID, a_rebalance, a_report, an_order

from services.portfolio.domain.rebalance import OrderReport, Rebalance, State, client_order_id
from services.portfolio.domain.rebalance_schedule import (
    EVERY_LEAST_NS,
    EVERY_MOST_NS,
    Due,
    Rules,
    Schedule,
    require_every,
)
from trading.clock import SECOND_NS
from trading.errors import FailedPrecondition, InvalidArgument


def sendable(rebalance: Rebalance) -> list[str]:
    return [order.symbol for order in rebalance.sendable]


def told(rebalance: Rebalance, **reports: OrderReport) -> Rebalance:
    """After execution's word by symbol."""
    return rebalance.reported({client_order_id(REBALANCE_ID, name): said for name, said in reports.items()}, 9)


FILLED = {"AAPL": a_report(filled="10"), "TSLA": a_report(filled="5"), "MSFT": a_report(filled="7")}


def test_nothing_is_sent_before_the_start() -> None:
    assert sendable(a_rebalance()) == []


def test_buys_follow_when_every_sell_has_filled() -> None:
    started = a_rebalance().started(2)
    assert (started.state, started.version, sendable(started)) == (State.EXECUTING, 2, ["AAPL", "TSLA"])
    half = told(started, AAPL=FILLED["AAPL"], TSLA=a_report("ACCEPTED"))
    assert sendable(half) == []
    assert [order.symbol for order in half.working] == ["TSLA"]
    sold = told(half, TSLA=FILLED["TSLA"])
    assert sendable(sold) == ["MSFT"]
    done = told(sold, MSFT=FILLED["MSFT"])
    assert (done.state, done.error, done.updated_time_ns, done.version) == (State.DONE, "", 9, 5)


@pytest.mark.parametrize(
    ("report", "error"),
    [
        (a_report("DENIED", problem="POSITION_LIMIT: too large"), "AAPL was denied: POSITION_LIMIT: too large"),
        (a_report("REJECTED"), "AAPL was rejected: no reason was given"),
        (a_report("EXPIRED", filled="4"), "AAPL ended EXPIRED with 4 of 10 filled."),
        (a_report("CANCELED"), "AAPL ended CANCELED with 0 of 10 filled."),
    ],
)
def test_the_first_failure_ends_it_and_no_buy_is_sent(report: OrderReport, error: str) -> None:
    failed = told(a_rebalance().started(2), AAPL=report, TSLA=FILLED["TSLA"])
    assert (failed.state, failed.ending, sendable(failed)) == (State.EXECUTING, State.FAILED, [])
    failed = failed.closed(10)
    assert (failed.state, failed.error, sendable(failed)) == (State.FAILED, error, [])
    assert [order.status for order in failed.orders] == [report.status, "FILLED", ""]


def test_a_failure_waits_for_what_still_works() -> None:
    ending = told(a_rebalance().started(2), AAPL=a_report("DENIED", problem="no"), TSLA=a_report("ACCEPTED"))
    assert (ending.state, ending.ending, sendable(ending)) == (State.EXECUTING, State.FAILED, [])
    assert ending.closed(9) is ending
    ended = told(ending, TSLA=a_report("CANCELED")).closed(9)
    assert (ended.state, ended.error) == (State.FAILED, "AAPL was denied: no")


def test_an_order_that_filled_and_was_canceled_too_late_is_no_failure() -> None:
    assert an_order(status="CANCELED", filled_nanos=10 * 10**9).failure == ""


def test_a_cancel_before_the_start_ends_at_once_and_forbids_the_start() -> None:
    canceled = a_rebalance().canceled(5)
    assert (canceled.state, canceled.is_ended) == (State.CANCELED, True)
    with pytest.raises(FailedPrecondition) as refused:
        canceled.started(6)
    assert refused.value.reason == "REBALANCE_CLOSED"


def test_a_cancel_under_way_sends_nothing_more_and_waits_for_what_works() -> None:
    under_way = told(a_rebalance().started(2), AAPL=a_report("ACCEPTED"))
    ending = under_way.canceled(5)
    assert (ending.state, sendable(ending)) == (State.EXECUTING, [])
    assert ending.canceled(6) is ending
    ended = told(ending, AAPL=a_report("CANCELED", filled="3")).closed(6)
    assert (ended.state, ended.error) == (State.CANCELED, "")
    with pytest.raises(FailedPrecondition):
        ended.canceled(6)


def test_a_cancel_is_not_the_end_while_a_submit_may_be_under_way() -> None:
    ending = a_rebalance().started(2).canceled(3)
    assert (ending.state, [order.symbol for order in ending.doubtful]) == (State.EXECUTING, ["AAPL", "TSLA", "MSFT"])
    late = told(ending, AAPL=a_report("ACCEPTED"))
    assert late.closed(4) is late
    assert [order.symbol for order in late.working] == ["AAPL"]
    assert a_rebalance().closed(4).state is State.PROPOSED


def test_what_has_ended_is_not_canceled() -> None:
    done = a_rebalance(an_order()).started(2).reported({an_order().client_order_id: FILLED["AAPL"]}, 3)
    with pytest.raises(FailedPrecondition) as refused:
        done.canceled(4)
    assert (refused.value.reason, refused.value.metadata["state"]) == ("REBALANCE_CLOSED", "DONE")


def test_a_proposal_without_orders_is_done_when_it_starts() -> None:
    assert a_rebalance(state=State.PROPOSED, orders=()).started(2).state is State.DONE


def test_no_news_changes_nothing() -> None:
    started = a_rebalance().started(2)
    assert told(started) is started
    once = told(started, AAPL=a_report("ACCEPTED"))
    assert told(once, AAPL=a_report("ACCEPTED")) is once


def test_an_order_has_one_name_for_ever_that_execution_takes() -> None:
    assert client_order_id(REBALANCE_ID, "BTC-USDT") == f"{REBALANCE_ID.replace('-', '')}.BTC-USDT"
    odd = client_order_id(REBALANCE_ID, "BTC/USD")
    assert odd == client_order_id(REBALANCE_ID, "BTC/USD")
    assert len(client_order_id(REBALANCE_ID, "A" * 40)) == 36
    assert len({client_order_id(REBALANCE_ID, name) for name in ("A/B", "A*B", "A" * 40, "AB")}) == 4


def a_schedule(next_run_ns: int = 100 * SECOND_NS, *, enabled: bool = True) -> Schedule:
    return Schedule(Rules("main", {"AAPL": 1.0}), 10 * SECOND_NS, enabled=enabled, next_run_ns=next_run_ns)


@pytest.mark.parametrize(
    ("now_s", "due", "next_s"),
    [(99, Due.NOT_YET, 100), (100, Due.NOW, 110), (109, Due.NOW, 110), (110, Due.MISSED, 120), (155, Due.MISSED, 160)],
)
def test_a_run_is_due_for_one_step_and_then_missed_for_ever(now_s: int, due: Due, next_s: int) -> None:
    schedule = a_schedule()
    assert schedule.due(now_s * SECOND_NS) is due
    assert schedule.next_after(now_s * SECOND_NS) == next_s * SECOND_NS


def test_a_schedule_that_is_not_enabled_is_never_due() -> None:
    assert a_schedule(enabled=False).due(10**18) is Due.NOT_YET


def test_a_step_has_bounds() -> None:
    require_every(EVERY_LEAST_NS)
    require_every(EVERY_MOST_NS)
    for wrong in (0, EVERY_LEAST_NS - 1, EVERY_MOST_NS + 1):
        with pytest.raises(InvalidArgument):
            require_every(wrong)
