"""The last step to the optimum: exact, the same from wherever it begins, and silent where it cannot be sure."""

import numpy as np
import pytest
from builders.portfolio import a_problem, names

from services.portfolio.adapters import piqp_master, solver_routes
from services.portfolio.adapters.warm_starts import WarmStarts
from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.optimiser import active_set
from services.portfolio.domain.optimiser.active_set import Guess
from services.portfolio.domain.optimiser.answer import answer_of
from services.portfolio.domain.optimiser.column_generation import ColumnGeneration
from services.portfolio.domain.optimiser.problem import Objective, Problem
from services.portfolio.domain.optimiser.program import Program

OBJECTIVES = [Objective.MIN_VARIANCE, Objective.MAX_SHARPE, Objective.MAX_UTILITY, Objective.TARGET_RETURN]


def a_case(objective: Objective, seed: int = 1, count: int = 300, **words: object) -> Problem:
    sectors = {name: f"K{index % 5}" for index, name in enumerate(names(count))}
    caps = {f"K{index}": 0.3 for index in range(5)}
    target = 0.12 if objective is Objective.TARGET_RETURN else None
    chosen = {"max_position_size": 0.08, "sectors": sectors, "sector_caps": caps, "target_return": target}
    return a_problem(objective=objective, count=count, seed=seed, **(chosen | words))


def from_nothing(problem: Problem) -> Floats:
    """The weights that are found when nothing is known of what binds, or None."""
    program = Program.of(problem)
    weights = np.full(problem.size, 1 / problem.size)
    found = active_set.solve(program, Guess.of(program, weights))
    assert found is not None
    return found.weights


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_answers_satisfy_the_conditions_of_the_whole_problem_to_rounding(objective: Objective, seed: int) -> None:
    problem = a_case(objective, seed)
    answer = answer_of(problem, solver_routes.solve(problem, 30.0, WarmStarts()))
    assert answer.kkt_residual < 1e-10
    assert answer.max_violation < 1e-12


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_question_gets_the_same_digits_whatever_was_asked_before(objective: Objective) -> None:
    problem, warm = a_case(objective), WarmStarts()
    cold = solver_routes.solve(problem, 30.0, warm)
    moved = a_case(objective)
    moved.moments.expected_returns[:] *= np.linspace(0.9, 1.1, problem.size)
    solver_routes.solve(moved, 30.0, warm)
    again = solver_routes.solve(problem, 30.0, warm)
    assert again.weights.tolist() == cold.weights.tolist()
    assert again.multipliers == cold.multipliers


@pytest.mark.parametrize("objective", [Objective.MIN_VARIANCE, Objective.MAX_UTILITY])
def test_a_poor_guess_leads_to_the_same_optimum_or_to_none(objective: Objective) -> None:
    problem = a_case(objective, count=60, sector_caps={})
    found = from_nothing(problem)
    assert found == pytest.approx(solver_routes.solve(problem, 30.0, WarmStarts()).weights, abs=1e-9)


def test_an_earlier_answer_needs_no_round_of_a_master() -> None:
    problem = a_case(Objective.MAX_SHARPE)
    columns = ColumnGeneration(problem, Program.of(problem), piqp_master.solve)
    first = columns.solve(problem.lower, problem.upper)
    rounds = columns.rounds
    second = columns.solve(problem.lower, problem.upper)
    assert rounds >= 1
    assert columns.rounds == rounds
    assert first is not None
    assert second is not None
    assert second.weights.tolist() == first.weights.tolist()


def test_twins_have_no_single_answer_and_are_left_to_the_master() -> None:
    sigma = np.array([[0.04, 0.04, 0.0], [0.04, 0.04, 0.0], [0.0, 0.0, 0.09]])
    problem = a_problem([0.1, 0.1, 0.1], sigma, Objective.MIN_VARIANCE)
    program = Program.of(problem)
    assert active_set.solve(program, Guess.of(program, np.full(3, 1 / 3))) is None
    answer = answer_of(problem, solver_routes.solve(problem, 30.0, WarmStarts()))
    assert answer.risk**2 == pytest.approx(0.04 * 0.09 / 0.13, rel=1e-9)


def test_what_is_stationary_but_no_minimum_is_not_taken_for_one() -> None:
    sigma = np.array([[1.0, 3.0], [3.0, 1.0]])  # half of each is the largest variance, not the smallest
    problem = a_problem([0.1, 0.1], sigma, Objective.MIN_VARIANCE)
    program = Program.of(problem)
    assert active_set.solve(program, Guess.of(program, np.array([0.5, 0.5]))) is None


def test_everything_at_a_bound_leaves_no_equations() -> None:
    problem = a_problem([0.1, 0.1], np.diag([0.04, 0.09]), Objective.MIN_VARIANCE, max_position_size=0.5)
    program = Program.of(problem)
    assert active_set.solve(program, Guess.of(program, np.array([0.5, 0.5]))) is None
    assert solver_routes.solve(problem, 30.0, WarmStarts()).weights == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize(
    "words", [{"allow_cash": True}, {"turnover_limit": 0.5, "current": np.full(60, 1 / 60)}, {"target_risk": 0.3}]
)
def test_problems_whose_equations_are_not_linear_are_left_to_the_master(words: dict[str, object]) -> None:
    objective = Objective.TARGET_RISK if "target_risk" in words else Objective.MAX_UTILITY
    assert not active_set.is_for(Program.of(a_case(objective, count=60, **words)))


@pytest.mark.parametrize("target", [0.0, 0.1, 0.15])
def test_a_target_binds_only_where_the_least_variance_earns_less(target: float) -> None:
    problem = a_case(Objective.TARGET_RETURN, target_return=target)
    safest = a_case(Objective.MIN_VARIANCE)
    solution = solver_routes.solve(problem, 30.0, WarmStarts())
    least = solver_routes.solve(safest, 30.0, WarmStarts()).weights
    earns = float(safest.moments.expected_returns @ least)
    assert (solution.multipliers.target > 0) == (earns < target)
    if earns >= target:
        assert solution.weights == pytest.approx(least, abs=1e-9)
