"""Assets that trade to one side: the same optimum as the referee's, found without a variable for each trade."""

import numpy as np
import pytest
from builders.portfolio import a_problem
from builders.referee import referee_weights

from services.portfolio.adapters import piqp_master, solver_routes
from services.portfolio.adapters.warm_starts import WarmStarts
from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.optimiser.answer import Answer, Solution, answer_of
from services.portfolio.domain.optimiser.column_generation import Chosen, ColumnGeneration, Solved
from services.portfolio.domain.optimiser.feasibility import refuse_infeasible
from services.portfolio.domain.optimiser.problem import Bounds, Objective, Problem
from services.portfolio.domain.optimiser.program import Program
from services.portfolio.domain.optimiser.trade_sides import TradeSides, offered, slope_at_rest
from services.portfolio.usecases.optimize import proven_answer

COUNT = 150
SECTORS = {f"S{index}": "ABCDE"[index % 5] for index in range(COUNT)}
SIGNS = {
    Objective.MAX_SHARPE: -1, Objective.MAX_UTILITY: -1, Objective.MIN_VARIANCE: 1, Objective.TARGET_RETURN: 1,
}  # fmt: skip


def held(seed: int = 1, total: float = 1.0) -> Floats:
    return np.random.default_rng(seed).dirichlet(np.ones(COUNT)) * total


def answer(problem: Problem) -> Answer:
    refuse_infeasible(problem)
    return proven_answer(problem, solver_routes.solve(problem, 20.0, WarmStarts()))


@pytest.mark.parametrize("objective", SIGNS)
@pytest.mark.parametrize(
    "words",
    [
        {"turnover_limit": 0.1, "current": held()},
        {"turnover_limit": 0.8, "current": held(2), "max_position_size": 0.03},
        {"turnover_limit": 0.9, "current": held(3, 0.7)},  # not invested as the budget wants it
        {"turnover_limit": 0.6, "current": held(4, 1.2), "allow_cash": True},
        {"turnover_limit": 0.7, "current": held(5), "sectors": SECTORS, "sector_caps": {"A": 0.1, "B": 0.12}},
        {"turnover_limit": 0.5, "current": held(6) * np.where(np.arange(COUNT) % 9, 1, -1),
         "bounds": {f"S{index}": Bounds(-0.1, 0.1) for index in range(0, COUNT, 3)}, "allow_cash": True},
    ],
)  # fmt: skip
def test_the_optimum_is_the_referees(objective: Objective, words: dict[str, object]) -> None:
    problem = a_problem(count=COUNT, seed=5, objective=objective, target_return=0.1, **words)
    found, theirs = answer(problem), referee_weights(problem)
    assert theirs is not None
    other = answer_of(problem, Solution(theirs, found.solution.multipliers, "", ""))
    sign = SIGNS[objective]
    assert sign * found.objective_value <= sign * other.objective_value + 1e-7 * abs(other.objective_value)


@pytest.mark.parametrize("objective", [Objective.MAX_SHARPE, Objective.MAX_UTILITY, Objective.TARGET_RETURN])
def test_a_cost_without_a_limit_is_the_referees_too(objective: Objective) -> None:
    problem = a_problem(
        count=COUNT, seed=6, objective=objective, target_return=0.1, turnover_cost=0.01, current=held()
    )  # fmt: skip
    found, theirs = answer(problem), referee_weights(problem)
    assert theirs is not None
    other = answer_of(problem, Solution(theirs, found.solution.multipliers, "", ""))
    sign = SIGNS[objective]
    assert sign * found.objective_value <= sign * other.objective_value + 1e-7 * abs(other.objective_value)


def test_no_asset_costs_its_master_a_variable_for_its_trade() -> None:
    problem = a_problem(count=COUNT, seed=5, turnover_limit=0.3, current=held())
    split: list[bool] = []

    def watched(chosen: Chosen) -> Solved | None:
        program = chosen.program
        split.append(bool(((program.lower < program.held) & (program.held < program.upper)).any()))
        return piqp_master.solve(chosen)

    columns = ColumnGeneration(problem, Program.of(problem), watched)
    assert columns.solve(problem.lower, problem.upper) is not None
    assert split
    assert not any(split)


def test_an_asset_on_the_wrong_side_is_turned_and_one_that_keeps_turning_gets_both() -> None:
    program = Program.of(a_problem(count=3, turnover_limit=0.5, current=np.full(3, 1 / 3)))
    sides = TradeSides.of(program, np.array([-1.0, 0.0, 1.0]))
    assert sides.rises.tolist() == [True, False, False]
    first = np.array([0])
    up, down = np.array([0.5, 0.0, 0.0]), np.array([-0.5, 0.0, 0.0])
    assert sides.unseen(up, down).tolist() == [0.5, 0.0, 0.0]
    sides.turn(first, np.arange(3), up, down)
    assert (bool(sides.rises[0]), bool(sides.falls[0])) == (False, True)
    assert sides.narrowed(program).upper[0] == pytest.approx(1 / 3)
    sides.turn(first, np.arange(3), down, up)
    assert (bool(sides.rises[0]), bool(sides.falls[0])) == (True, True)
    assert sides.narrowed(program).lower[0] == program.lower[0]
    assert sides.narrowed(program).upper[0] == program.upper[0]


def test_as_much_is_offered_as_the_turnover_can_use_the_worst_first() -> None:
    program = Program.of(a_problem(count=4, turnover_limit=0.4, current=np.array([0.4, 0.3, 0.2, 0.1])))
    assert offered(program, np.array([0.0, 3.0, 1.0, 2.0])).tolist() == [1]
    assert offered(program, np.array([0.0, 1.0, 3.0, 2.0])).tolist() == [2, 3]


def test_a_sector_above_its_cap_is_offered_whatever_its_slopes() -> None:
    words = {"sectors": {"S0": "A", "S1": "B", "S2": "B"}, "sector_caps": {"A": 0.3}}
    program = Program.of(a_problem(count=3, turnover_limit=0.4, current=np.array([0.4, 0.3, 0.3]), **words))
    assert 0 in offered(program, np.array([-5.0, 1.0, 2.0])).tolist()


def test_a_portfolio_that_earns_nothing_yet_is_read_by_its_excess_returns() -> None:
    expected = np.array([-0.1, 0.1])
    program = Program.of(a_problem(expected, np.eye(2) * 0.04, turnover_limit=1.0, current=np.array([1.0, 0.0])))
    assert slope_at_rest(program).tolist() == (-program.excess).tolist()
