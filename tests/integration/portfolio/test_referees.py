"""Our weights against PyPortfolioOpt, skfolio and Riskfolio-Lib on real returns, each in its own environment."""

import json
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import polars
import pytest
from servers import SHARED_DATA

from services.portfolio.adapters import solver_routes
from services.portfolio.adapters.warm_starts import WarmStarts
from services.portfolio.domain.estimation.covariance import moments_of_returns
from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.optimiser.answer import answer_of
from services.portfolio.domain.optimiser.problem import Constraints, Objective, Problem
from services.portfolio.domain.optimiser.proof import largest_violation
from services.portfolio.usecases.optimize import proven_answer
from tests.bench.peers import Peer, PeerMissing
from tests.bench.portfolio_cases import PEER_SCRIPT, PEERS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
EQUITIES = SHARED_DATA / "us-equities-daily-adjusted.parquet"
RELATIVE = 1e-7
BUNDLED = """
import json
from skfolio.datasets import load_sp500_dataset
from skfolio.preprocessing import prices_to_returns
print(json.dumps({"returns": prices_to_returns(load_sp500_dataset()).to_numpy()[-1000:].tolist()}))
"""
OBJECTIVES = (
    Objective.MIN_VARIANCE,
    Objective.MAX_SHARPE,
    Objective.MAX_UTILITY,
    Objective.TARGET_RETURN,
    Objective.MIN_CVAR,
)


@cache
def bundled() -> Floats:
    """The daily returns of twenty large companies that skfolio brings along."""
    skfolio = next(peer for peer in PEERS if peer.name == "skfolio")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "bundled.py"
        script.write_text(BUNDLED)
        try:
            found = skfolio.measure(script)
        except PeerMissing as reason:
            pytest.skip(f"skfolio cannot be had here: {reason}")
    return np.array(found["returns"], np.float64)


@cache
def equities() -> Floats:
    if not EQUITIES.exists():
        pytest.skip("The shared market data is not on this machine.")
    table = polars.read_parquet(EQUITIES).pivot(on="symbol", index="date", values="close").drop_nulls().sort("date")
    closes = table.drop("date").to_numpy().astype(float)
    return closes[1:] / closes[:-1] - 1


MARKETS = {"bundled": bundled, "equities": equities}


def a_case(returns: Floats, objective: Objective) -> Problem:
    symbols = tuple(f"S{index}" for index in range(returns.shape[1]))
    moments = moments_of_returns(returns, symbols, 252)
    target = float(np.quantile(moments.expected_returns, 0.6))
    return Problem(
        symbols,
        moments,
        objective,
        risk_free_rate=0.02,
        risk_aversion=5.0,
        target_return=target,
        constraints=Constraints(
            max_position_size=0.35,
            sectors={symbol: "AB"[place % 2] for place, symbol in enumerate(symbols)},
            sector_caps={"A": 0.6, "B": 0.7},
        ),
        returns=returns if objective is Objective.MIN_CVAR else None,
    )


@pytest.fixture(params=list(MARKETS))
def returns(request: pytest.FixtureRequest) -> Floats:
    return MARKETS[request.param]()


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_no_peer_finds_a_better_portfolio(returns: Floats, objective: Objective, peer: Peer, tmp_path: Path) -> None:
    problem = a_case(returns, objective)
    ours = proven_answer(problem, solver_routes.solve(problem, 30.0, WarmStarts()))
    theirs = _weights(peer, problem, returns, tmp_path)
    if peer.name == "riskfolio-lib" and objective is Objective.MAX_UTILITY:
        aversion = {"risk_aversion": 2 * problem.risk_aversion}  # its utility has no half
        problem = replace(problem, risk_aversion=aversion["risk_aversion"])
        ours = proven_answer(problem, solver_routes.solve(problem, 30.0, WarmStarts()))
    other = answer_of(problem, replace(ours.solution, weights=_repaired(problem, theirs)))
    sign = -1.0 if objective in {Objective.MAX_SHARPE, Objective.MAX_UTILITY} else 1.0
    worse = sign * (ours.objective_value - other.objective_value) / abs(other.objective_value)
    bought = largest_violation(problem, theirs)  # a peer may buy its objective with a constraint
    assert worse <= max(RELATIVE, 10 * bought), f"{worse:.3g} worse than {peer.name}, which breaks {bought:.3g}"


def _repaired(problem: Problem, weights: Floats) -> Floats:
    """A peer's weights within the box."""
    return np.clip(weights, problem.lower, problem.upper)


def _weights(peer: Peer, problem: Problem, returns: Floats, folder: Path) -> Floats:
    path = folder / "case.npz"
    spec = {
        "objective": problem.objective.value,
        "upper": problem.constraints.max_position_size,
        "risk_free_rate": problem.risk_free_rate,
        "risk_aversion": problem.risk_aversion,
        "target_return": problem.target_return if problem.objective is Objective.TARGET_RETURN else None,
        "beta": problem.beta,
    }
    np.savez(
        path,
        mu=problem.moments.expected_returns,
        sigma=problem.moments.covariance,
        returns=returns,
        sectors=np.arange(problem.size) % 2,
        caps=np.array([0.6, 0.7]),
        spec=json.dumps(spec),
    )
    try:
        return np.array(peer.measure(PEER_SCRIPT, peer.name, str(path), "1")["weights"], np.float64)
    except PeerMissing as reason:
        pytest.skip(f"{peer.name} cannot be had here: {reason}")
