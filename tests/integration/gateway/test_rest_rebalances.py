"""Rebalances and their schedules by REST, against real servers of the fleet's contracts."""

from typing import Any

import pytest
from fakes.rebalance_backend import REBALANCE_ID
from integration.gateway.conftest import Gateway, problem

from neuraltrader.portfolio.v1 import portfolio_service_pb2 as portfolio
from neuraltrader.portfolio.v1 import rebalance_service_pb2 as pb
from trading.errors import FailedPrecondition, InvalidArgument

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATH = "/v1/portfolio/rebalances"


async def test_a_proposal_is_201_and_says_where_it_is(gateway: Gateway) -> None:
    body = {
        "account": "other",
        "targets": {"AAPL": 0.4, "MSFT": 0},
        "drift_band": 0.01,
        "min_trade_value": "100.5",
        "turnover_limit": 0,
        "keep_others": True,
    }
    answer = await gateway.http.post(PATH, json=body)
    assert (answer.status_code, answer.headers["location"]) == (201, f"{PATH}/{REBALANCE_ID}")
    (sent,) = gateway.fleet.script.heard(pb.ProposeRebalanceRequest)
    assert dict(sent.rules.targets) == {"AAPL": 0.4, "MSFT": 0.0}
    assert (sent.rules.account, sent.rules.drift_band, sent.rules.keep_others) == ("other", 0.01, True)
    assert (sent.rules.min_trade_value_nanos, sent.rules.HasField("turnover_limit")) == (100_500_000_000, True)
    assert not sent.HasField("optimize")
    found = answer.json()
    assert (found["state"], found["equity"], found["left_alone"]) == ("proposed", "100000", {"SPY": "drift_band"})
    assert (found["rules"]["turnover_limit"], found["error"]) == (0.0, None)
    (order,) = found["orders"]
    assert (order["side"], order["quantity"], order["order_id"], order["status"]) == ("SELL", "10", None, None)


async def test_an_optimisation_travels_with_its_window(gateway: Gateway) -> None:
    problem_body = {"symbols": ["AAPL", "MSFT"], "window_days": 60, "objective": "min_variance"}
    assert (await gateway.http.post(PATH, json={"optimize": problem_body})).status_code == 201
    (sent,) = gateway.fleet.script.heard(pb.ProposeRebalanceRequest)
    assert (sent.optimize.window.days, list(sent.optimize.symbols)) == (60, ["AAPL", "MSFT"])
    assert (sent.optimize.returns_f64le, sent.optimize.objective) == (b"", portfolio.OBJECTIVE_MIN_VARIANCE)


@pytest.mark.parametrize(
    "body",
    [
        {"targets": {"AAPL": "much"}},
        {"targets": {"AAPL": 0.1}, "drift_band": 2},
        {"targets": {"AAPL": 0.1}, "min_trade_value": "-"},
        {"targets": {"AAPL": 0.1}, "unknown": 1},
        {"optimize": {"symbols": ["AAPL"]}},
    ],
)
async def test_a_wish_of_the_wrong_shape_is_422(gateway: Gateway, body: dict[str, Any]) -> None:
    problem(await gateway.http.post(PATH, json=body), 422, "INVALID_ARGUMENT")
    assert gateway.fleet.script.calls == []


async def test_refusals_keep_their_code_and_numbers(gateway: Gateway) -> None:
    refusals = gateway.fleet.script.refusals
    too_much = InvalidArgument("Too much.", reason="TARGETS_EXCEED_EQUITY", field="targets", total=1.5)
    refusals[pb.ProposeRebalanceRequest] = too_much
    found = problem(await gateway.http.post(PATH, json={"targets": {"A": 1.5}}), 422, "TARGETS_EXCEED_EQUITY")
    assert found["numbers"] == {"total": 1.5}
    refusals[pb.ProposeRebalanceRequest] = FailedPrecondition("None.", reason="NO_EQUITY")
    problem(await gateway.http.post(PATH, json={"targets": {"A": 1}}), 409, "NO_EQUITY")


async def test_one_rebalance_and_pages_of_them(gateway: Gateway) -> None:
    found = (await gateway.http.get(f"{PATH}/{REBALANCE_ID}")).json()
    assert (found["state"], found["orders"][0]["filled_quantity"]) == ("done", "10")
    page = (await gateway.http.get(f"{PATH}?account=main&limit=1&cursor=x")).json()
    assert (page["next_cursor"], page["rebalances"][0]["id"]) == (REBALANCE_ID, REBALANCE_ID)
    (asked,) = gateway.fleet.script.heard(pb.ListRebalancesRequest)
    assert (asked.account, asked.limit, asked.cursor) == ("main", 1, "x")
    problem(await gateway.http.get(f"{PATH}/nothing"), 404, "UNKNOWN_REBALANCE")


async def test_an_execution_is_202_and_a_book_that_moved_is_409(gateway: Gateway) -> None:
    answer = await gateway.http.post(f"{PATH}/{REBALANCE_ID}/execute")
    assert (answer.status_code, answer.json()["state"]) == (202, "executing")
    problem(await gateway.http.post(f"{PATH}/moved/execute"), 409, "BOOK_MOVED")


async def test_a_cancel(gateway: Gateway) -> None:
    answer = await gateway.http.delete(f"{PATH}/{REBALANCE_ID}")
    assert (answer.status_code, answer.json()["state"]) == (200, "canceled")


async def test_schedules_are_listed_put_and_removed(gateway: Gateway) -> None:
    (schedule,) = (await gateway.http.get("/v1/portfolio/schedules")).json()["schedules"]
    assert schedule["optimize"] == {"symbols": ["AAPL"], "objective": "min_variance", "window_days": 60}
    assert (schedule["every_seconds"], schedule["last_run_ns"]) == (300, "7")
    assert (schedule["last_rebalance_id"], schedule["last_error"]) == (None, "NO_EQUITY: none")
    body = {"targets": {"AAPL": 0.5}, "every_seconds": 60}
    kept = (await gateway.http.put("/v1/portfolio/schedules/other", json=body)).json()
    assert (kept["account"], kept["enabled"], kept["execute"], kept["optimize"]) == ("other", False, False, None)
    removed = await gateway.http.delete("/v1/portfolio/schedules/other")
    assert (removed.status_code, removed.content) == (204, b"")
    (asked,) = gateway.fleet.script.heard(pb.DeleteScheduleRequest)
    assert asked.account == "other"
    problem(await gateway.http.put("/v1/portfolio/schedules/main", json={"every_seconds": 9}), 422, "INVALID_ARGUMENT")
