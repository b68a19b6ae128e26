"""An answer is judged without believing the solver."""

import hashlib

import numpy as np
import pytest
from builders.portfolio import a_problem

from services.portfolio.domain.optimiser.answer import Solution, answer_of, fullest, settle
from services.portfolio.domain.optimiser.problem import Objective, Problem, fingerprint_of, fingerprints
from services.portfolio.domain.optimiser.proof import (
    Multipliers,
    binding_constraints,
    largest_violation,
    optimality_residual,
)

TWO = np.diag([0.04, 0.16])


def two_assets(**words: object) -> Problem:
    return a_problem([0.1, 0.2], TWO, **words)


def test_the_least_variance_of_two_uncorrelated_assets_is_proven() -> None:
    problem = two_assets(objective=Objective.MIN_VARIANCE)
    weights = np.array([0.8, 0.2])  # in inverse proportion to their variances
    assert optimality_residual(problem, weights, Multipliers(budget=-1.0)) < 1e-12
    assert largest_violation(problem, weights) == 0.0


def test_other_weights_are_not_proven_by_any_price_of_the_budget() -> None:
    problem = two_assets(objective=Objective.MIN_VARIANCE)
    residuals = [
        optimality_residual(problem, np.array([0.7, 0.3]), Multipliers(budget=price))
        for price in np.linspace(-2, 0, 50)
    ]
    assert min(residuals) > 0.05


def test_the_tangency_portfolio_is_proven() -> None:
    weights = np.array([0.08 / 0.04, 0.18 / 0.16])
    weights /= weights.sum()
    assert optimality_residual(two_assets(), weights, Multipliers()) < 1e-12


def test_a_price_that_is_paid_away_from_its_bound_counts_against_the_answer() -> None:
    problem = two_assets(sectors={"S0": "A", "S1": "B"}, sector_caps={"A": 0.9, "B": 0.9})
    weights = np.array([0.64, 0.36])
    paid = optimality_residual(problem, weights, Multipliers(sectors=(0.05, 0.0)))
    assert paid > optimality_residual(problem, weights, Multipliers(sectors=(0.0, 0.0))) - 1e-12
    assert paid >= 0.05


@pytest.mark.parametrize(
    ("weights", "words", "violation"),
    [
        ([0.5, 0.4], {}, 0.1),
        ([0.5, 0.6], {}, 0.1),
        ([1.2, -0.2], {}, 0.2),
        ([0.7, 0.3], {"max_position_size": 0.6}, 0.1),
        ([0.5, 0.4], {"allow_cash": True}, 0.0),
        ([0.95, 0.05], {"min_position_size": 0.15}, 0.1),
        ([1.0, 0.0], {"min_position_size": 0.15}, 0.0),
        ([0.7, 0.3], {"sectors": {"S0": "A", "S1": "B"}, "sector_caps": {"A": 0.5, "B": 1.0}}, 0.2),
        ([0.5, 0.5], {"turnover_limit": 0.2, "current": np.array([0.7, 0.3])}, 0.2),
    ],
)
def test_the_worst_broken_constraint_is_measured(
    weights: list[float], words: dict[str, object], violation: float
) -> None:
    problem = two_assets(objective=Objective.MIN_VARIANCE, **words)
    assert largest_violation(problem, np.array(weights)) == pytest.approx(violation)


def test_a_missed_target_is_a_violation_in_parts_of_the_largest_excess_return() -> None:
    problem = two_assets(objective=Objective.TARGET_RETURN, target_return=0.19)
    assert largest_violation(problem, np.array([0.5, 0.5])) == pytest.approx((0.19 - 0.15) / 0.18)


def test_binding_constraints_are_named() -> None:
    problem = two_assets(
        objective=Objective.TARGET_RETURN,
        target_return=0.14,
        max_position_size=0.6,
        sectors={"S0": "A", "S1": "B"},
        sector_caps={"A": 0.9, "B": 0.4},
        turnover_limit=0.2,
        current=np.array([0.7, 0.3]),
    )
    names = binding_constraints(problem, np.array([0.6, 0.4]))
    assert names == ("budget", "max_position_size:S0", "sector_caps:B", "turnover_limit", "target_return")


def test_weights_at_zero_are_one_name_and_the_minimum_is_named() -> None:
    problem = a_problem([0.1, 0.2, 0.1], np.eye(3), min_position_size=0.3)
    assert binding_constraints(problem, np.array([0.7, 0.3, 0.0])) == ("budget", "long_only", "min_position_size:S1")


def test_settling_removes_dust_and_keeps_the_budget() -> None:
    problem = a_problem([0.1, 0.2, 0.1], np.eye(3))
    raw = np.array([0.6000001, 0.4, 1e-11])
    settled = settle(problem, raw, problem.lower, problem.upper)
    assert settled.tolist() == [pytest.approx(0.6, abs=2e-7), 0.4, 0.0]
    assert settled.sum() == 1.0


def test_settling_fills_where_there_is_room_under_box_and_sector() -> None:
    words = {"sectors": {"S0": "A", "S1": "A", "S2": "B"}, "sector_caps": {"A": 0.6}}
    problem = a_problem([0.1, 0.2, 0.1], np.eye(3), max_position_size=0.5, **words)
    settled = settle(problem, np.array([0.3, 0.3, 0.39]), problem.lower, problem.upper)
    assert settled.tolist() == pytest.approx([0.3, 0.3, 0.4])


def test_settling_leaves_cash_where_cash_is_allowed() -> None:
    problem = two_assets(allow_cash=True)
    assert settle(problem, np.array([0.3, 0.2]), problem.lower, problem.upper).tolist() == [0.3, 0.2]


def test_the_fullest_scale_stops_at_the_first_constraint() -> None:
    mix = np.array([0.2, 0.1])
    assert fullest(two_assets(allow_cash=True), mix).tolist() == pytest.approx([2 / 3, 1 / 3])
    assert fullest(two_assets(allow_cash=True, max_position_size=0.3), mix).tolist() == pytest.approx([0.3, 0.15])
    sectors = {"sectors": {"S0": "A", "S1": "B"}, "sector_caps": {"B": 0.12}}
    assert fullest(two_assets(allow_cash=True, **sectors), mix).tolist() == pytest.approx([0.24, 0.12])


def test_the_fullest_scale_keeps_the_turnover_limit() -> None:
    problem = two_assets(allow_cash=True, turnover_limit=0.36, current=np.zeros(2))
    assert fullest(problem, np.array([0.2, 0.1])).tolist() == pytest.approx([0.24, 0.12])


def solved(problem: Problem, weights: list[float]) -> Solution:
    return Solution(np.array(weights), Multipliers(sectors=(0.0,) * len(problem.sector_caps())), "by hand", "optimal")


def test_an_answer_says_what_it_promises() -> None:
    problem = two_assets(allow_cash=True, current=np.array([0.5, 0.0]))
    answer = answer_of(problem, solved(problem, [0.5, 0.25]))
    assert answer.allocations == {"S0": 0.5, "S1": 0.25}
    assert answer.cash == 0.25
    assert answer.expected_return == pytest.approx(0.05 + 0.05 + 0.25 * 0.02)
    assert answer.risk == pytest.approx((0.25 * 0.04 + 0.0625 * 0.16) ** 0.5)
    assert answer.sharpe_ratio == pytest.approx((answer.expected_return - 0.02) / answer.risk)
    assert answer.turnover == 0.25


@pytest.mark.parametrize(
    ("objective", "value"),
    [
        (Objective.MIN_VARIANCE, 0.05),
        (Objective.TARGET_RETURN, 0.05),
        (Objective.MAX_UTILITY, 0.15 - 5 / 2 * 0.05),
        (Objective.MAX_SHARPE, 0.13 / 0.05**0.5),
    ],
)
def test_the_objective_is_valued_at_the_answer(objective: Objective, value: float) -> None:
    problem = two_assets(objective=objective, target_return=0.1)
    assert answer_of(problem, solved(problem, [0.5, 0.5])).objective_value == pytest.approx(value)


def test_all_cash_has_no_risk_and_no_ratio() -> None:
    problem = two_assets(allow_cash=True)
    answer = answer_of(problem, solved(problem, [0.0, 0.0]))
    assert (answer.cash, answer.risk, answer.sharpe_ratio, answer.objective_value) == (1.0, 0.0, 0.0, 0.0)
    assert answer.expected_return == 0.02


def test_the_same_question_has_the_same_fingerprint_and_another_one_another() -> None:
    assert fingerprints(two_assets()) == fingerprints(two_assets())


@pytest.mark.parametrize("count", [1, 2, 64, 65, 150])
def test_a_covariance_is_hashed_by_its_upper_triangle_row_by_row(count: int) -> None:
    matrix = np.random.default_rng(count).normal(size=(count, count))
    rows = b"".join(matrix[row, row:].astype("<f8").tobytes() for row in range(count))
    assert fingerprint_of(matrix) == hashlib.sha256(rows).hexdigest()
    assert fingerprint_of(np.asfortranarray(matrix)) == fingerprint_of(matrix)
    others = [
        two_assets(allow_cash=True),
        two_assets(objective=Objective.MIN_VARIANCE),
        two_assets(current=np.array([0.5, 0.5])),
        a_problem([0.1, 0.2], TWO * (1 + 1e-12)),
    ]
    assert len({fingerprints(problem).problem for problem in (two_assets(), *others)}) == 5
