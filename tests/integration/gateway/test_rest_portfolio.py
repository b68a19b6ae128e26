"""The book, risk and the optimiser by REST, against real servers of the fleet's contracts."""

import struct
from decimal import Decimal
from typing import Any

import pytest
from integration.gateway.conftest import Gateway, problem

from neuraltrader.portfolio.v1 import portfolio_service_pb2 as portfolio
from trading.errors import FailedPrecondition

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_accounts_and_positions_are_exact(gateway: Gateway) -> None:
    account = (await gateway.http.get("/v1/account")).json()
    assert (account["buying_power"], account["day_pnl"]) == ("98105.5", "-5.25")
    assert (account["balances"], account["unpriced_currencies"]) == ({"EUR": "-7", "USD": "98105"}, ["EUR"])
    assert (account["gross_exposure"], account["net_exposure"]) == ("1900", "1900")
    assert (await gateway.http.get("/v1/accounts")).json() == {"accounts": [account]}
    book = (await gateway.http.get("/v1/positions?include_flat=true")).json()
    (position,) = book["positions"]
    assert (book["account"], book["as_of_ns"]) == ("main", "5")
    assert Decimal(position["quantity"]) * 190 == Decimal(position["market_value"])
    assert gateway.fleet.script.heard(portfolio.ListPositionsRequest)[0].include_flat


async def test_an_unknown_account_is_404(gateway: Gateway) -> None:
    problem(await gateway.http.get("/v1/account?account=other"), 404, "UNKNOWN_ACCOUNT")


async def test_a_covariance_travels_as_float64(gateway: Gateway) -> None:
    body = {
        "symbols": ["AAPL", "BTC-USDT"],
        "expected_returns": [0.1, 0.2],
        "covariance": [[0.04, 0.01], [0.01, 0.09]],
        "constraints": {"max_position_size": 0.6, "min_position_kind": "hard", "sector_caps": {"Tech": 0.5}},
        "current_positions": {"AAPL": 0.5},
    }
    answer = (await gateway.http.post("/v1/portfolio/optimize", json=body)).json()
    assert answer["allocations"] == {"AAPL": 1.0, "BTC-USDT": 0.0}
    assert (answer["cvar"], answer["turnover"]) == (None, 0.5)
    (sent,) = gateway.fleet.script.heard(portfolio.OptimizeRequest)
    assert struct.unpack("<4d", sent.covariance_f64le) == (0.04, 0.01, 0.01, 0.09)
    assert sent.objective == portfolio.OBJECTIVE_MAX_SHARPE
    assert sent.constraints.min_position_kind == portfolio.MIN_POSITION_KIND_HARD
    assert (sent.risk_free_rate, sent.periods_per_year) == (0.02, 252)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"covariance": [[1.0]]}, "SHAPE_MISMATCH"),
        ({"covariance": [[1.0, 0.0], [0.0]]}, "SHAPE_MISMATCH"),
        ({"expected_returns": [0.1]}, "SHAPE_MISMATCH"),
        ({"expected_returns": None}, "SHAPE_MISMATCH"),
        ({"returns": [[0.1, 0.2]]}, "INVALID_ARGUMENT"),
        ({"covariance": None}, "INVALID_ARGUMENT"),
        ({"objective": "luck"}, "INVALID_ARGUMENT"),
        ({"constraints": {"max": 1}}, "INVALID_ARGUMENT"),
    ],
)
async def test_a_problem_of_the_wrong_shape_is_422(gateway: Gateway, change: dict[str, Any], code: str) -> None:
    body = {"symbols": ["A", "B"], "expected_returns": [0.1, 0.2], "covariance": [[1.0, 0.0], [0.0, 1.0]]}
    problem(await gateway.http.post("/v1/portfolio/optimize", json=body | change), 422, code)
    assert gateway.fleet.script.calls == []


async def test_an_infeasible_problem_is_422_with_constraint_and_numbers(gateway: Gateway) -> None:
    refusal = FailedPrecondition(
        "3 × 0.3 < 1.", reason="INFEASIBLE_BUDGET", constraint="max_position_size", numbers='{"attainable": 0.9}'
    )
    gateway.fleet.script.refusals[portfolio.OptimizeRequest] = refusal
    body = {"symbols": ["A"], "returns": [[0.1], [0.2]]}
    found = problem(await gateway.http.post("/v1/portfolio/optimize", json=body), 422, "INFEASIBLE_BUDGET")
    assert (found["constraint"], found["numbers"]) == ("max_position_size", {"attainable": 0.9})


async def test_a_window_and_every_option_reach_the_portfolio(gateway: Gateway) -> None:
    body = {
        "symbols": ["AAPL", "BTC-USDT"],
        "window_days": 252,
        "objective": "target_risk",
        "target_risk": 0.2,
        "turnover_cost": 0.001,
        "beta": 0.9,
        "covariance_estimator": "ledoit_wolf",
        "ewma_half_life": 20,
        "views": [{"weights": {"AAPL": 1, "BTC-USDT": -1}, "value": 0.03, "confidence": 0.4}],
        "market_weights": {"AAPL": 3, "BTC-USDT": 1},
        "constraints": {"lower_bounds": {"AAPL": -0.1}, "upper_bounds": {"BTC-USDT": 0.4}},
    }
    assert (await gateway.http.post("/v1/portfolio/optimize", json=body)).status_code == 200
    (sent,) = gateway.fleet.script.heard(portfolio.OptimizeRequest)
    assert (sent.window.days, sent.target_risk, sent.turnover_cost, sent.beta) == (252, 0.2, 0.001, 0.9)
    assert sent.objective == portfolio.OBJECTIVE_TARGET_RISK
    assert sent.covariance_estimator == portfolio.COVARIANCE_ESTIMATOR_LEDOIT_WOLF
    assert (dict(sent.views[0].weights), sent.views[0].confidence) == ({"AAPL": 1, "BTC-USDT": -1}, 0.4)
    assert dict(sent.market_weights) == {"AAPL": 3, "BTC-USDT": 1}
    assert dict(sent.constraints.lower_bounds) == {"AAPL": -0.1}
    assert dict(sent.constraints.upper_bounds) == {"BTC-USDT": 0.4}


async def test_a_factor_model_travels_as_float64(gateway: Gateway) -> None:
    body = {
        "symbols": ["AAPL", "BTC-USDT", "SPY"],
        "expected_returns": [0.1, 0.2, 0.05],
        "exposures": [[1.0, 0.5], [0.5, 2.0], [1.0, 0.0]],
        "factor_covariance": [[0.04, 0.0], [0.0, 0.09]],
        "residual_variances": [0.01, 0.02, 0.0],
    }
    assert (await gateway.http.post("/v1/portfolio/optimize", json=body)).status_code == 200
    (sent,) = gateway.fleet.script.heard(portfolio.OptimizeRequest)
    assert struct.unpack("<6d", sent.exposures_f64le) == (1.0, 0.5, 0.5, 2.0, 1.0, 0.0)
    assert struct.unpack("<4d", sent.factor_covariance_f64le) == (0.04, 0.0, 0.0, 0.09)
    assert struct.unpack("<3d", sent.residual_variances_f64le) == (0.01, 0.02, 0.0)
    wrong = body | {"factor_covariance": [[0.04]]}
    problem(await gateway.http.post("/v1/portfolio/optimize", json=wrong), 422, "SHAPE_MISMATCH")


async def test_a_frontier_is_gathered_point_by_point(gateway: Gateway) -> None:
    body = {"symbols": ["A", "B"], "returns": [[0.1, 0.2], [0.0, 0.1]], "points": 5}
    points = (await gateway.http.post("/v1/portfolio/frontier", json=body)).json()["points"]
    assert [point["risk"] for point in points] == pytest.approx([0.1, 0.11, 0.12, 0.13, 0.14])
    (sent,) = gateway.fleet.script.heard(portfolio.ComputeFrontierRequest)
    assert (sent.points, list(sent.problem.symbols)) == (5, ["A", "B"])


async def test_a_frontier_without_a_portfolio_is_422_with_its_numbers(gateway: Gateway) -> None:
    gateway.fleet.script.refusals[portfolio.ComputeFrontierRequest] = FailedPrecondition(
        "3 × 0.3 < 1.", reason="INFEASIBLE_BUDGET", constraint="max_position_size", numbers='{"attainable": 0.9}'
    )
    body = {"symbols": ["A"], "returns": [[0.1], [0.2]]}
    found = problem(await gateway.http.post("/v1/portfolio/frontier", json=body), 422, "INFEASIBLE_BUDGET")
    assert found["numbers"] == {"attainable": 0.9}
    problem(await gateway.http.post("/v1/portfolio/frontier", json=body | {"points": 1}), 422, "INVALID_ARGUMENT")
