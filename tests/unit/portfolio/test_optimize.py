"""The story of one optimisation: sectors, refusal, solution, proof."""

import numpy as np
import pytest
from builders.portfolio import a_problem
from fakes.portfolio import FakeMarketData, FakeSolver, run_here

from services.portfolio.domain.matrices import Refusal
from services.portfolio.domain.optimiser.answer import Solution
from services.portfolio.domain.optimiser.problem import Objective, Problem, fingerprints
from services.portfolio.domain.optimiser.proof import Multipliers
from services.portfolio.usecases.judge_covariances import JudgeCovariances
from services.portfolio.usecases.know_covariances import KnowCovariances
from services.portfolio.usecases.optimize import Optimize
from trading.clock import SystemClock
from trading.errors import Kind, TradingError

BEST = Solution(np.array([0.8, 0.2]), Multipliers(budget=-1.0), "by hand", "optimal")


def a_case(**words: object) -> Problem:
    return a_problem([0.1, 0.2], np.diag([0.04, 0.16]), Objective.MIN_VARIANCE, **words)


def optimize(solver: FakeSolver, market_data: FakeMarketData | None = None) -> Optimize:
    judge = JudgeCovariances(run_here, kept=4, waiting=1)
    return Optimize(
        solver,
        market_data or FakeMarketData(),
        run_here,
        judge,
        KnowCovariances(kept=16, bytes_most=2**27),
        SystemClock(),
        timeout_s=30,
    )


async def test_a_proven_answer_comes_with_its_fingerprint() -> None:
    proven = await optimize(FakeSolver(BEST))(a_case(), 5.0)
    assert proven.answer.allocations == {"S0": 0.8, "S1": 0.2}
    assert proven.input_sha256 == fingerprints(a_case()).problem
    assert proven.time_ns > 0


async def test_the_solver_has_no_more_time_than_the_caller() -> None:
    solver = FakeSolver(BEST)
    await optimize(solver)(a_case(), 5.0)
    await optimize(solver)(a_case(), 500.0)
    assert [timeout for _, timeout in solver.asked] == [5.0, 30]


async def test_a_refused_problem_never_reaches_the_solver() -> None:
    solver = FakeSolver(BEST)
    with pytest.raises(Refusal):
        await optimize(solver)(a_case(max_position_size=0.3), 5.0)
    assert solver.asked == []


@pytest.mark.parametrize(
    ("solution", "words"),
    [
        (Solution(np.array([0.8, 0.3]), Multipliers(budget=-1.0), "r", "optimal"), {}),
        (Solution(np.array([0.5, 0.5]), Multipliers(budget=-1.0), "r", "optimal"), {}),
        (Solution(np.array([0.8, 0.2]), Multipliers(), "r", "optimal"), {}),
        (BEST, {"max_position_size": 0.7}),
    ],
)
async def test_an_answer_that_fails_its_proof_is_withheld(solution: Solution, words: dict[str, object]) -> None:
    with pytest.raises(TradingError) as failed:
        await optimize(FakeSolver(solution))(a_case(**words), 5.0)
    assert (failed.value.kind, failed.value.reason) == (Kind.INTERNAL, "UNPROVEN_ANSWER")


async def test_sectors_that_the_caller_left_out_come_from_the_instruments() -> None:
    solver = FakeSolver(Solution(BEST.weights, Multipliers(budget=-1.0, sectors=(0.0, 0.0)), "r", "optimal"))
    market_data = FakeMarketData(sectors={"S0": "Ours", "S1": "Energy"})
    await optimize(solver, market_data)(a_case(sectors={"S0": "Tech"}, sector_caps={"Tech": 0.9, "Energy": 0.9}), 5.0)
    ((problem, _),) = solver.asked
    assert problem.constraints.sectors == {"S0": "Tech", "S1": "Energy"}


async def test_instruments_are_not_asked_without_a_need() -> None:
    market_data = FakeMarketData()
    await optimize(FakeSolver(BEST), market_data)(a_case(), 5.0)
    assert market_data.asked_sectors == 0


async def test_a_sector_that_nobody_knows_is_refused() -> None:
    with pytest.raises(Refusal) as refused:
        await optimize(FakeSolver(BEST))(a_case(sectors={"S0": "Tech"}, sector_caps={"Tech": 0.9}), 5.0)
    assert refused.value.reason == "UNKNOWN_SECTOR"
