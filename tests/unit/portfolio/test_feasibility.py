"""What is refused before a solver runs, with its code, its constraint and its numbers."""

import json
import time
from itertools import product

import numpy as np
import pytest
from builders.portfolio import a_problem, some_moments
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog
from waiting import within

from services.portfolio.domain.matrices import Refusal
from services.portfolio.domain.optimiser.feasibility import (
    least_turnover,
    most_excess,
    refuse_infeasible,
)
from services.portfolio.domain.optimiser.problem import MinPositionKind, Objective, Problem
from trading.errors import InvalidArgument, Kind

HARD = MinPositionKind.HARD
TECH = {"S0": "Tech", "S1": "Tech", "S2": "Energy", "S3": "Energy", "S4": "Health"}


def refusal_of(problem: Problem) -> Refusal:
    with pytest.raises(Refusal) as refused:
        refuse_infeasible(problem)
    assert refused.value.kind is Kind.INVALID_ARGUMENT
    assert json.loads(str(refused.value.metadata["numbers"])) == refused.value.numbers
    return refused.value


def test_the_seeds_own_example_is_refused_and_told_of_allow_cash() -> None:
    refusal = refusal_of(a_problem(count=3, max_position_size=0.3))
    assert (refusal.reason, refusal.constraint) == ("INFEASIBLE_BUDGET", "max_position_size")
    assert refusal.numbers["attainable"] == pytest.approx(0.9)
    assert "allow_cash" in refusal.message


def test_the_seeds_own_example_passes_with_cash() -> None:
    refuse_infeasible(a_problem(count=3, max_position_size=0.3, allow_cash=True))


def test_ten_assets_of_at_most_a_tenth_fill_the_budget() -> None:
    refuse_infeasible(a_problem(count=10, max_position_size=0.1))


@pytest.mark.parametrize(
    ("words", "code", "constraint"),
    [
        (
            {"sectors": TECH, "sector_caps": {"Tech": 0.2, "Energy": 0.2, "Health": 0.2}},
            "INFEASIBLE_SECTOR_CAPS",
            "sector_caps",
        ),
        (
            {"sectors": TECH, "sector_caps": {"Tech": 0.1}, "min_position_size": 0.1, "min_position_kind": HARD},
            "INFEASIBLE_SECTOR_CAPS",
            "sector_caps.Tech",
        ),
        ({"min_position_size": 0.3, "min_position_kind": HARD}, "INFEASIBLE_MIN_POSITION", "min_position_size"),
        ({"min_position_size": 0.4, "max_position_size": 0.3}, "INFEASIBLE_MIN_POSITION", "min_position_size"),
        ({"min_position_size": 0.4, "max_position_size": 0.45}, "INFEASIBLE_MIN_POSITION", "min_position_size"),
        ({"turnover_limit": 0.5}, "INFEASIBLE_TURNOVER", "turnover_limit"),
        ({"objective": Objective.TARGET_RETURN, "target_return": 0.9}, "TARGET_RETURN_UNATTAINABLE", "target_return"),
        ({"risk_free_rate": 0.5}, "NO_POSITIVE_EXCESS_RETURN", "expected_returns"),
        ({"sectors": TECH, "sector_caps": {"Crypto": 0.2}}, "UNKNOWN_SECTOR", "sector_caps.Crypto"),
        ({"sectors": {"S0": "Tech"}, "sector_caps": {"Tech": 0.2}}, "UNKNOWN_SECTOR", "sectors"),
        ({"max_position_size": float("nan")}, "NOT_FINITE", "max_position_size"),
        ({"turnover_limit": float("inf")}, "NOT_FINITE", "turnover_limit"),
    ],
)
def test_a_problem_without_an_answer_is_refused_by_name(words: dict[str, object], code: str, constraint: str) -> None:
    refusal = refusal_of(a_problem(count=5, **words))
    assert (refusal.reason, refusal.constraint) == (code, constraint)
    assert refusal.numbers


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ({"objective": Objective.TARGET_RETURN}, "target_return"),
        ({"risk_aversion": 0.0}, "risk_aversion"),
        ({"max_position_size": -0.1}, "constraints.max_position_size"),
        ({"sectors": TECH, "sector_caps": {"Tech": -0.1}}, "constraints.sector_caps.Tech"),
    ],
)
def test_an_option_that_makes_no_sense_is_an_invalid_argument(words: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        refuse_infeasible(a_problem(count=5, **words))
    assert refused.value.metadata["field"] == field


def test_an_unattainable_target_says_what_can_be_reached() -> None:
    words = {"objective": Objective.TARGET_RETURN, "target_return": 0.2, "max_position_size": 0.5}
    refusal = refusal_of(a_problem([0.1, 0.16, 0.12], np.eye(3) * 0.04, **words))
    assert refusal.numbers["attainable"] == pytest.approx((0.16 + 0.12) / 2)


def test_cash_counts_towards_an_attainable_target() -> None:
    words = {"objective": Objective.TARGET_RETURN, "risk_free_rate": 0.05, "allow_cash": True}
    refuse_infeasible(a_problem([0.01, 0.02], np.eye(2) * 0.04, target_return=0.05, **words))
    refusal_of(a_problem([0.01, 0.02], np.eye(2) * 0.04, target_return=0.06, **words))


def test_a_riskless_asset_above_the_risk_free_rate_has_no_bounded_sharpe_ratio() -> None:
    refusal = refusal_of(a_problem([0.1, 0.03], [[0.04, 0.0], [0.0, 0.0]]))
    assert (refusal.reason, refusal.numbers["riskless"]) == ("UNBOUNDED_SHARPE", "S1")


def test_a_riskless_asset_that_cannot_be_held_alone_is_no_reason_to_refuse() -> None:
    refuse_infeasible(a_problem([0.1, 0.03, 0.1], np.diag([0.04, 0.0, 0.04]), max_position_size=0.6))


def test_a_riskless_asset_in_a_sector_that_cannot_be_held_alone_is_no_reason_to_refuse() -> None:
    moments = [0.1, 0.03, 0.1], np.diag([0.04, 0.0, 0.04])
    sectors = {"S0": "Tech", "S1": "Tech", "S2": "Energy"}
    refuse_infeasible(a_problem(*moments, sectors=sectors, sector_caps={"Tech": 0.4}))
    refuse_infeasible(a_problem(*moments, sectors=sectors, sector_caps={"Tech": 0.0}, allow_cash=True))


def test_a_riskless_asset_beside_cash_has_no_bounded_sharpe_ratio_however_little_of_it_may_be_held() -> None:
    moments = [0.1, 0.03, 0.1], np.diag([0.04, 0.0, 0.04])
    sectors = {"S0": "Tech", "S1": "Tech", "S2": "Energy"}
    refusal = refusal_of(a_problem(*moments, sectors=sectors, sector_caps={"Tech": 0.4}, allow_cash=True))
    assert (refusal.reason, refusal.numbers["riskless"]) == ("UNBOUNDED_SHARPE", "S1")


def test_a_riskless_asset_below_the_risk_free_rate_is_no_reason_to_refuse() -> None:
    refuse_infeasible(a_problem([0.1, 0.01], [[0.04, 0.0], [0.0, 0.0]]))


def test_two_positions_of_a_third_to_a_half_fill_the_budget() -> None:
    refuse_infeasible(a_problem(count=5, min_position_size=1 / 3, max_position_size=0.5))


@given(
    st.lists(st.sampled_from("ABC"), min_size=1, max_size=6),
    st.floats(0.05, 0.6),
    st.floats(0.05, 1.0),
    st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3),
)
def test_holes_are_refused_exactly_when_no_choice_of_positions_fills_the_budget(
    sectors: list[str], least: float, most: float, caps: list[float]
) -> None:
    count = len(sectors)
    named = {f"S{index}": sector for index, sector in enumerate(sectors)}
    limits = {name: cap for name, cap in zip("ABC", caps, strict=True) if name in sectors}
    problem = a_problem(
        count=count, objective=Objective.MIN_VARIANCE, min_position_size=least, max_position_size=most,
        sectors=named, sector_caps=limits,
    )  # fmt: skip
    slack = 1e-9
    feasible = any(_can_fill(chosen, sectors, least, most, limits, slack) for chosen in product((0, 1), repeat=count))
    try:
        refuse_infeasible(problem)
    except Refusal:
        assert not _can_fill_any(sectors, least, most, limits, -1e-7), "A feasible problem was refused."
    else:
        assert feasible


def _can_fill_any(sectors: list[str], least: float, most: float, caps: dict[str, float], slack: float) -> bool:
    return any(_can_fill(chosen, sectors, least, most, caps, slack) for chosen in product((0, 1), repeat=len(sectors)))


def _can_fill(
    chosen: tuple[int, ...], sectors: list[str], least: float, most: float, caps: dict[str, float], slack: float
) -> bool:
    if least > most + slack:
        return False
    counts = {name: sum(held for held, sector in zip(chosen, sectors, strict=True) if sector == name) for name in caps}
    if any(counts[name] * least > cap + slack for name, cap in caps.items()):
        return False
    floor = sum(counts.values()) * least
    ceiling = sum(min(counts[name] * most, cap) for name, cap in caps.items())
    return floor <= 1 + slack and ceiling >= 1 - slack


def sectored(seed: int, **words: object) -> Problem:
    random = np.random.default_rng(seed)
    sectors = {f"S{index}": str(random.integers(0, 3)) for index in range(8)}
    caps = {name: float(random.uniform(0.35, 0.7)) for name in set(sectors.values())}
    return a_problem(count=8, seed=seed, sectors=sectors, sector_caps=caps, **words)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("allow_cash", [False, True])
def test_the_greedy_best_return_equals_a_linear_program(seed: int, allow_cash: bool) -> None:
    problem = sectored(seed, max_position_size=0.4, allow_cash=allow_cash, risk_free_rate=0.1)
    caps = problem.sector_caps()
    rows = np.array([[float(i in cap.members) for i in range(8)] for cap in caps])
    limits = np.array([cap.cap for cap in caps])
    budget = {"A_ub": np.vstack((rows, np.ones(8))), "b_ub": np.append(limits, 1.0)} if allow_cash else {
        "A_ub": rows, "b_ub": limits, "A_eq": np.ones((1, 8)), "b_eq": [1.0]
    }  # fmt: skip
    answer = linprog(-problem.excess, bounds=[(0, 0.4)] * 8, **budget)
    if answer.status == 0:
        assert most_excess(problem, caps) == pytest.approx(-answer.fun, abs=1e-9)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("allow_cash", [False, True])
def test_the_least_turnover_equals_a_linear_program(seed: int, allow_cash: bool) -> None:
    held = np.random.default_rng(seed).uniform(0, 0.5, 8)
    problem = sectored(seed, max_position_size=0.3, allow_cash=allow_cash, current=held)
    caps = problem.sector_caps()
    rows = [[float(i in cap.members) for i in range(8)] + [0.0] * 8 for cap in caps]
    limits = [cap.cap for cap in caps]
    for index in range(8):
        up, down = np.zeros(16), np.zeros(16)
        up[index], up[8 + index] = 1.0, -1.0
        down[index], down[8 + index] = -1.0, -1.0
        rows += [up.tolist(), down.tolist()]
        limits += [held[index], -held[index]]
    total = [1.0] * 8 + [0.0] * 8
    budget: dict[str, object] = {} if allow_cash else {"A_eq": [total], "b_eq": [1.0]}
    if allow_cash:
        rows.append(total)
        limits.append(1.0)
    cost = [0.0] * 8 + [1.0] * 8
    answer = linprog(cost, A_ub=rows, b_ub=limits, bounds=[(0, 0.3)] * 8 + [(0, None)] * 8, **budget)
    if answer.status == 0:
        assert least_turnover(problem, caps) == pytest.approx(answer.fun, abs=1e-9)


@pytest.mark.timed
def test_a_thousand_assets_are_judged_in_milliseconds() -> None:
    expected, covariance = some_moments(1000)
    sectors = {f"S{index}": str(index % 11) for index in range(1000)}
    caps = {str(number): 0.25 for number in range(11)}
    problem = a_problem(expected, covariance, max_position_size=0.02, sectors=sectors, sector_caps=caps)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        refuse_infeasible(problem)
        times.append(time.perf_counter() - started)
    assert min(times) < within(0.05)
