"""Risk by REST, against real servers of the fleet's contracts."""

import struct
from typing import Any

import pytest
from integration.gateway.conftest import Gateway, problem

from neuraltrader.portfolio.v1 import portfolio_service_pb2 as portfolio
from neuraltrader.portfolio.v1 import risk_service_pb2 as risk
from trading.errors import FailedPrecondition, InvalidArgument

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_risk_of_a_window_of_the_fleets_own_history(gateway: Gateway) -> None:
    body = {"symbols": ["AAPL"], "positions": [1.0], "window_days": 60, "benchmark": "BTC/USD"}
    answer = (await gateway.http.post("/v1/portfolio/risk", json=body)).json()
    assert (answer["observations"], answer["beta"], answer["correlation"]) == (60, 1.1, None)
    (sent,) = gateway.fleet.script.heard(portfolio.CalculateRiskRequest)
    assert (sent.window.days, sent.benchmark, sent.returns_f64le) == (60, "BTC/USD", b"")


async def test_risk_of_an_account(gateway: Gateway) -> None:
    answer = (await gateway.http.post("/v1/portfolio/risk", json={"account": "main"})).json()
    assert answer["gross_exposure"] == 2.0
    (sent,) = gateway.fleet.script.heard(portfolio.CalculateRiskRequest)
    assert (sent.account, sent.HasField("window"), list(sent.symbols)) == ("main", False, [])


async def test_risk_of_given_returns_and_market(gateway: Gateway) -> None:
    body = {"symbols": ["A", "B"], "positions": [1, 2], "position_kind": "notional", "returns": [[0.1, 0.2]] * 3}
    assert (await gateway.http.post("/v1/portfolio/risk", json=body | {"market_returns": [0.1] * 3})).status_code == 200
    (sent,) = gateway.fleet.script.heard(portfolio.CalculateRiskRequest)
    assert struct.unpack("<6d", sent.returns_f64le) == (0.1, 0.2) * 3
    assert struct.unpack("<3d", sent.market_returns_f64le) == (0.1,) * 3
    assert sent.position_kind == portfolio.POSITION_KIND_NOTIONAL


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"market_returns": [0.1]}, "SHAPE_MISMATCH"),
        ({"positions": [1.0]}, "SHAPE_MISMATCH"),
        ({"positions": None}, "SHAPE_MISMATCH"),
        ({"symbols": None}, "INVALID_ARGUMENT"),
        ({"account": "main"}, "INVALID_ARGUMENT"),
        ({"window_days": 20}, "INVALID_ARGUMENT"),
        ({"returns": None}, "INVALID_ARGUMENT"),
    ],
)
async def test_a_risk_question_that_does_not_fit_together_is_422(
    gateway: Gateway, change: dict[str, Any], code: str
) -> None:
    body = {"symbols": ["A", "B"], "positions": [1, 2], "returns": [[0.1, 0.2]] * 3}
    problem(await gateway.http.post("/v1/portfolio/risk", json=body | change), 422, code)
    assert gateway.fleet.script.calls == []


async def test_simulated_losses(gateway: Gateway) -> None:
    body = {"account": "main", "method": "student_t", "horizon_days": 10, "paths": 500, "seed": 7, "window_days": 100}
    answer = (await gateway.http.post("/v1/portfolio/risk/simulate", json=body)).json()
    assert answer["percentiles"] == {"1": -4, "5": -2, "25": -1, "50": 0, "75": 1, "95": 2, "99": 4}
    assert (answer["var_95"], answer["symbols"]) == (2.0, ["AAPL"])
    (sent,) = gateway.fleet.script.heard(risk.SimulateLossesRequest)
    assert (sent.method, sent.horizon_days, sent.paths, sent.seed) == (risk.SIMULATION_METHOD_STUDENT_T, 10, 500, 7)
    assert (sent.account, sent.window_days, sent.degrees_of_freedom, sent.block_days) == ("main", 100, 5.0, 5.0)


async def test_losses_of_given_positions_on_given_returns(gateway: Gateway) -> None:
    body = {"symbols": ["A", "B"], "values": [10, -5], "returns": [[0.1, 0.2]] * 3}
    assert (await gateway.http.post("/v1/portfolio/risk/simulate", json=body)).status_code == 200
    (sent,) = gateway.fleet.script.heard(risk.SimulateLossesRequest)
    assert (list(sent.values), len(sent.returns_f64le)) == ([10.0, -5.0], 48)


@pytest.mark.parametrize("path", ["simulate", "stress"])
async def test_one_value_for_each_symbol(gateway: Gateway, path: str) -> None:
    body = {"symbols": ["A", "B"], "values": [10]}
    problem(await gateway.http.post(f"/v1/portfolio/risk/{path}", json=body), 422, "SHAPE_MISMATCH")
    assert gateway.fleet.script.calls == []


async def test_shocks_and_their_outcomes(gateway: Gateway) -> None:
    scenarios = [
        {"name": "mine", "symbol_shocks": {"AAPL": -0.1}, "sector_shocks": {"Technology": -0.2}, "market_shock": 0},
        {"name": "then", "history_start": "2020-02-20", "history_end": "2020-03-23"},
    ]
    answer = (await gateway.http.post("/v1/portfolio/risk/stress", json={"scenarios": scenarios})).json()
    assert [outcome["name"] for outcome in answer["outcomes"]] == ["mine", "then", "pandemic_2020"]
    assert (answer["outcomes"][0]["error"], answer["outcomes"][2]["error"]) == (None, "There is no history of AAPL.")
    (sent,) = gateway.fleet.script.heard(risk.StressTestRequest)
    assert (sent.scenarios[0].market_shock, sent.scenarios[0].HasField("market_shock")) == (0.0, True)
    assert not sent.scenarios[1].HasField("market_shock")
    assert (sent.scenarios[1].history_start, sent.account) == ("2020-02-20", "")


async def test_refusals_of_the_book_are_422_with_their_facts(gateway: Gateway) -> None:
    refusals = gateway.fleet.script.refusals
    refusals[risk.StressTestRequest] = FailedPrecondition("Holds nothing.", reason="NOTHING_HELD", account="main")
    refusals[risk.SimulateLossesRequest] = InvalidArgument("Too many.", reason="SIMULATION_TOO_LARGE", field="paths")
    refusals[portfolio.CalculateRiskRequest] = FailedPrecondition("Short.", reason="INSUFFICIENT_HISTORY", wanted=9)
    found = problem(await gateway.http.post("/v1/portfolio/risk/stress", json={}), 422, "NOTHING_HELD")
    assert found["numbers"] == {"account": "main"}
    problem(await gateway.http.post("/v1/portfolio/risk/simulate", json={}), 422, "SIMULATION_TOO_LARGE")
    found = problem(
        await gateway.http.post("/v1/portfolio/risk", json={"account": "main"}), 422, "INSUFFICIENT_HISTORY"
    )
    assert found["numbers"] == {"wanted": 9.0}
