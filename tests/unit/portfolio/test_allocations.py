"""Risk parity and HRP: by hand, within bounds and caps against the referee, and what they refuse."""

import warnings
from collections.abc import Callable
from dataclasses import replace

import cvxpy
import numpy as np
import pytest
from builders.portfolio import a_problem

from services.portfolio.adapters import solver_routes
from services.portfolio.adapters.warm_starts import WarmStarts
from services.portfolio.domain.matrices import Floats, Refusal
from services.portfolio.domain.optimiser.allocation import HIERARCHY, INTERIOR, NEWTON
from services.portfolio.domain.optimiser.answer import Answer
from services.portfolio.domain.optimiser.definiteness import factor_of
from services.portfolio.domain.optimiser.feasibility import refuse_infeasible
from services.portfolio.domain.optimiser.problem import Bounds, MinPositionKind, Objective, Problem
from services.portfolio.usecases.optimize import proven_answer
from trading.errors import InvalidArgument

SECTORS = {f"S{index}": "ABC"[index % 3] for index in range(60)}
HARD = MinPositionKind.HARD


def answer(problem: Problem) -> Answer:
    refuse_infeasible(problem)
    return proven_answer(problem, solver_routes.solve(problem, 20.0, WarmStarts()))


def weights_of(found: Answer) -> Floats:
    return np.array(list(found.allocations.values()))


def refused(problem: Problem) -> Refusal:
    with pytest.raises(Refusal) as caught:
        answer(problem)
    return caught.value


def log_ratio(problem: Problem, weights: Floats) -> float:
    """ln σ(w) − Σ bᵢ ln wᵢ."""
    return float(np.log(weights @ problem.moments.covariance @ weights) / 2 - problem.budgets @ np.log(weights))


def referee_parity(problem: Problem) -> Floats:
    """Least risk with Σ bᵢ ln yᵢ ≥ 0, the constraints at any size of y: another form of the same question."""
    covariance = problem.moments.covariance / np.mean(np.diagonal(problem.moments.covariance))
    y = cvxpy.Variable(problem.size)
    total = cvxpy.sum(y)
    rows = [y >= problem.lower * total, y <= problem.upper * total, problem.budgets @ cvxpy.log(y) >= 0]
    rows += [cvxpy.sum(y[list(sector.members)]) <= sector.cap * total for sector in problem.sector_caps()]
    program = cvxpy.Problem(cvxpy.Minimize(cvxpy.norm(factor_of(covariance) @ y)), rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it reaches nine digits where there is no room inside, and says so
        program.solve(solver=cvxpy.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    found: Floats = np.asarray(y.value, np.float64)
    return found / found.sum()


def test_risk_parity_gives_every_asset_the_same_part_of_the_risk() -> None:
    found = answer(a_problem(count=15, objective=Objective.RISK_PARITY))
    assert found.solution.route == NEWTON
    assert list(found.risk_contributions.values()) == pytest.approx([1 / 15] * 15, abs=1e-12)
    assert sum(found.allocations.values()) == pytest.approx(1.0, abs=1e-12)


def test_risk_parity_of_uncorrelated_assets_is_inverse_to_their_deviations() -> None:
    found = answer(a_problem([0.1, 0.1], np.diag([0.04, 0.16]), Objective.RISK_PARITY))
    assert weights_of(found) == pytest.approx([2 / 3, 1 / 3], abs=1e-12)


def test_risk_budgets_are_the_parts_of_the_risk_whatever_their_unit() -> None:
    budgets = {"S0": 50.0, "S1": 30.0, "S2": 19.9, "S3": 0.1}
    found = answer(a_problem(count=4, objective=Objective.RISK_PARITY, risk_budgets=budgets))
    assert list(found.risk_contributions.values()) == pytest.approx([0.5, 0.3, 0.199, 0.001], abs=1e-12)


@pytest.mark.parametrize("count", [5, 30])
@pytest.mark.parametrize(
    "words",
    [
        {"max_position_size": 1.1},  # × the mean weight, as are the others
        {"max_position_size": 1.2, "min_position_size": 0.8, "min_position_kind": HARD},
        {"sectors": SECTORS, "sector_caps": {"A": 0.2}},
        {"sectors": SECTORS, "sector_caps": {"A": 0.2, "B": 0.3, "C": 0.5}},  # no room inside
        {"bounds": {"S0": Bounds(0.3, 0.3), "S2": Bounds(0.1, 0.5)}},
        {"max_position_size": 1.0},  # nothing left to choose
    ],
)
@pytest.mark.parametrize("has_budgets", [False, True])
def test_risk_parity_within_constraints_is_the_referees(
    count: int, words: dict[str, object], *, has_budgets: bool
) -> None:
    sizes = {name: words[name] / count for name in ("max_position_size", "min_position_size") if name in words}  # type: ignore[operator]
    budgets = {f"S{index}": 1.0 + index % 4 for index in range(count)} if has_budgets else {}
    problem = a_problem(count=count, objective=Objective.RISK_PARITY, risk_budgets=budgets, **(words | sizes))
    found, theirs = answer(problem), referee_parity(problem)
    assert found.solution.route == INTERIOR
    assert weights_of(found) == pytest.approx(theirs, abs=1e-4)
    assert log_ratio(problem, weights_of(found)) <= log_ratio(problem, theirs) + 1e-8


def test_constraints_that_risk_parity_keeps_by_itself_change_nothing() -> None:
    free = a_problem(count=6, objective=Objective.RISK_PARITY)
    loose = a_problem(count=6, objective=Objective.RISK_PARITY, max_position_size=0.9)
    assert answer(loose).allocations == answer(free).allocations
    assert answer(loose).solution.route == NEWTON


def test_a_portfolio_other_than_the_bounded_optimum_fails_the_proof() -> None:
    problem = a_problem(count=6, objective=Objective.RISK_PARITY, max_position_size=0.18)
    found = answer(problem)
    moved = found.solution.weights.copy()
    free = np.flatnonzero(moved < 0.17)
    moved[free[:2]] += np.array([0.001, -0.001])
    assert found.kkt_residual < 1e-7
    with pytest.raises(Exception, match="did not pass its proof"):
        proven_answer(problem, replace(found.solution, weights=moved))


def test_hrp_halves_the_budget_by_inverse_variance() -> None:
    # S0 and S2 move together, and so do S1 and S3: the order is S0 S2 S1 S3
    left, right = 0.01 * (1 + 0.9) / 2, _right_variance()
    first = 1 - left / (left + right)
    found = answer(_two_pairs())
    assert weights_of(found) == pytest.approx([first / 2, (1 - first) * 0.8, first / 2, (1 - first) * 0.2])
    assert found.solution.route == HIERARCHY


def test_hrp_within_bounds_takes_the_nearest_share_that_both_halves_can_carry() -> None:
    # 0.4 each is the most of S0 and S2, so their half carries 0.8, and S3 has to rise to 0.05 of the other 0.2
    found = answer(_two_pairs(bounds={"S0": Bounds(0, 0.4), "S2": Bounds(0, 0.4), "S3": Bounds(0.05, 1.0)}))
    assert weights_of(found) == pytest.approx([0.4, 0.15, 0.4, 0.05])
    assert found.max_violation <= 1e-12


def test_hrp_gives_nothing_to_what_may_not_be_held() -> None:
    found = answer(_two_pairs(bounds={"S1": Bounds(0, 0.0), "S3": Bounds(0, 0.0)}))
    assert weights_of(found) == pytest.approx([0.5, 0.0, 0.5, 0.0])


def test_hrp_of_two_halves_without_any_risk_splits_evenly() -> None:
    # each pair hedges itself to nothing
    covariance = np.kron(np.eye(2), [[0.04, -0.04], [-0.04, 0.04]])
    assert weights_of(answer(a_problem(np.full(4, 0.1), covariance, Objective.HRP))) == pytest.approx([0.25] * 4)


def _two_pairs(**words: object) -> Problem:
    deviations = np.array([0.1, 0.2, 0.1, 0.4])
    correlation = np.eye(4)
    correlation[0, 2] = correlation[2, 0] = 0.9
    correlation[1, 3] = correlation[3, 1] = 0.8
    return a_problem(np.full(4, 0.1), correlation * np.outer(deviations, deviations), Objective.HRP, **words)


def _right_variance() -> float:
    share = np.array([0.8, 0.2])  # inverse to 0.04 and 0.16
    return float(share @ np.array([[0.04, 0.064], [0.064, 0.16]]) @ share)


def test_a_sector_cap_that_hrp_breaks_is_named_with_its_numbers() -> None:
    found = refused(_two_pairs(sectors={"S0": "A", "S1": "B", "S2": "A", "S3": "B"}, sector_caps={"A": 0.5}))
    assert (found.reason, found.constraint) == ("INFEASIBLE_ALLOCATION", "sector_caps.A")
    assert found.numbers["cap"] == 0.5
    assert found.numbers["sum"] > 0.5  # type: ignore[operator]


@pytest.mark.parametrize("objective", [Objective.RISK_PARITY, Objective.HRP])
def test_a_turnover_that_a_rule_cannot_keep_is_named_with_its_numbers(objective: Objective) -> None:
    held = np.array([1.0, 0.0])
    found = refused(a_problem([0.1, 0.1], np.eye(2) * 0.04, objective, turnover_limit=0.4, current=held))
    assert (found.reason, found.constraint) == ("INFEASIBLE_ALLOCATION", "turnover_limit")
    assert found.numbers == {"turnover_limit": 0.4, "needed": pytest.approx(1.0)}


@pytest.mark.parametrize(
    ("words", "constraint"),
    [
        ({"bounds": {"S1": Bounds(0.0, 0.0)}}, "upper_bounds.S1"),
        ({"sectors": SECTORS, "sector_caps": {"B": 0.0}}, "sector_caps.B"),
    ],
)
def test_risk_parity_refuses_an_asset_that_may_not_be_held(words: dict[str, object], constraint: str) -> None:
    found = refused(a_problem(count=4, objective=Objective.RISK_PARITY, **words))
    assert (found.reason, found.constraint) == ("INFEASIBLE_ALLOCATION", constraint)


def test_a_short_position_is_refused_by_name() -> None:
    found = refused(_two_pairs(bounds={"S1": Bounds(-0.2, -0.1)}))
    assert (found.reason, found.constraint) == ("INFEASIBLE_ALLOCATION", "lower_bounds")


@pytest.mark.parametrize("objective", [Objective.RISK_PARITY, Objective.HRP])
def test_an_asset_without_risk_is_refused_by_its_name(objective: Objective) -> None:
    found = refused(a_problem([0.1, 0.1], np.diag([0.04, 0.0]), objective))
    assert (found.reason, found.numbers["symbols"]) == ("RISKLESS_ASSET", ["S1"])


def test_a_mix_without_risk_has_none_to_share_out_but_bounds_may_keep_from_it() -> None:
    hedged = [[0.04, -0.06], [-0.06, 0.09]]
    assert refused(a_problem([0.1, 0.1], hedged, Objective.RISK_PARITY)).reason == "RISKLESS_PORTFOLIO"
    found = answer(a_problem([0.1, 0.1], hedged, Objective.RISK_PARITY, max_position_size=0.55))
    assert weights_of(found) == pytest.approx([0.55, 0.45], abs=1e-8)


@pytest.mark.parametrize(
    "change",
    [
        lambda problem: replace(problem, risk_budgets={"S0": 1.0}),
        lambda problem: replace(problem, risk_budgets={"S0": 1.0, "S1": 1.0, "S9": 1.0}),
        lambda problem: replace(problem, risk_budgets={"S0": 1.0, "S1": 0.0}),
        lambda problem: replace(problem, risk_budgets={"S0": 1.0, "S1": float("nan")}),
        lambda problem: replace(problem, risk_budgets={"S0": 1.0, "S1": 1.0}, objective=Objective.HRP),
    ],
)
def test_budgets_that_make_no_sense_are_refused(change: Callable[[Problem], Problem]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        refuse_infeasible(change(a_problem(count=2, objective=Objective.RISK_PARITY)))
    assert caught.value.metadata["field"] == "risk_budgets"
