"""The frontier: from the safest portfolio to the richest, every point proven."""

import asyncio
from itertools import pairwise

import numpy as np
import pytest
from builders.portfolio import a_problem
from fakes.portfolio import FakeMarketData, SolverHere, run_here

from services.portfolio.adapters import solver_routes
from services.portfolio.adapters.warm_starts import WarmStarts
from services.portfolio.domain.matrices import Refusal
from services.portfolio.domain.optimiser.answer import Proven, answer_of
from services.portfolio.domain.optimiser.problem import Objective, Problem, fingerprints
from services.portfolio.usecases.frontier import ComputeFrontier
from services.portfolio.usecases.judge_covariances import JudgeCovariances
from services.portfolio.usecases.know_covariances import KnowCovariances
from services.portfolio.usecases.optimize import Optimize
from trading.clock import SystemClock
from trading.errors import InvalidArgument


async def frontier(problem: Problem, points: int) -> list[Proven]:
    solver, clock, judge = SolverHere(), SystemClock(), JudgeCovariances(run_here, kept=4, waiting=1)
    optimize = Optimize(
        solver, FakeMarketData(), run_here, judge, KnowCovariances(kept=16, bytes_most=2**27), clock, timeout_s=60
    )
    compute = ComputeFrontier(optimize, solver, judge, run_here, clock, workers=2, timeout_s=60)
    return [point async for point in compute(problem, points, 60)]


async def test_risk_and_return_rise_from_the_least_variance_to_the_largest_return() -> None:
    problem = a_problem(count=12, seed=3, max_position_size=0.3)
    points = [proven.answer for proven in await frontier(problem, 15)]
    assert len(points) == 15
    assert all(before.risk <= after.risk + 1e-9 for before, after in pairwise(points))
    steps = [after.expected_return - before.expected_return for before, after in pairwise(points)]
    assert steps == pytest.approx([steps[0]] * 14, abs=1e-7)
    safest = a_problem(count=12, seed=3, max_position_size=0.3, objective=Objective.MIN_VARIANCE)
    least = answer_of(safest, solver_routes.solve(safest, 5, WarmStarts()))
    assert points[0].risk == pytest.approx(least.risk, rel=1e-7)
    richest = np.sort(problem.moments.expected_returns)[::-1][:4] @ [0.3, 0.3, 0.3, 0.1]
    assert points[-1].expected_return == pytest.approx(richest, rel=1e-7)


async def test_points_hold_what_their_trades_cost_and_how_much_may_be_traded() -> None:
    problem = a_problem(count=8, seed=1, turnover_limit=0.5, turnover_cost=0.01, current=np.full(8, 1 / 8))
    points = [proven.answer for proven in await frontier(problem, 6)]
    assert all(point.turnover is not None and point.turnover <= 0.5 + 1e-8 for point in points)
    assert points[0].expected_return < points[-1].expected_return


async def test_one_fingerprint_names_the_whole_frontier() -> None:
    points = await frontier(a_problem(count=4), 3)
    assert len({point.input_sha256 for point in points}) == 1


@pytest.mark.parametrize("points", [1, 201, -1])
async def test_a_number_of_points_out_of_bounds_is_refused(points: int) -> None:
    with pytest.raises(InvalidArgument):
        await frontier(a_problem(count=4), points)


async def test_an_infeasible_problem_has_no_frontier() -> None:
    with pytest.raises(Refusal) as refused:
        await frontier(a_problem(count=3, max_position_size=0.3), 5)
    assert refused.value.reason == "INFEASIBLE_BUDGET"


async def test_a_large_covariance_is_pending_until_it_was_judged_and_refused_when_it_is_indefinite() -> None:
    loadings = np.random.default_rng(2).normal(0, 0.1, (220, 3))
    covariance = loadings @ loadings.T + np.diag(np.full(220, 0.02))
    covariance[5, 9] = covariance[9, 5] = 5.0  # two assets of variance 0.02 cannot covary so
    judge = JudgeCovariances(run_here, kept=2, waiting=1)
    problem = a_problem(np.linspace(0.03, 0.1, 220), covariance, Objective.MAX_UTILITY)
    sha256 = fingerprints(problem).covariance
    assert judge.standing(problem, sha256) == "pending"
    judging = asyncio.create_task(judge.run())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    judging.cancel()
    assert judge.has_refused
    with pytest.raises(Refusal) as refused:
        judge.standing(problem, sha256)
    assert refused.value.reason == "NOT_POSITIVE_SEMIDEFINITE"
    assert refused.value.numbers["smallest_eigenvalue"] < 0
