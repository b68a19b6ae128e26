"""What is refused before a solver runs: each check proves that no portfolio exists, and says why in numbers.

The feasible set is a box under a budget and disjoint sector caps, so its extremes are found by filling
greedily; no solver is needed to know them.
"""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from services.portfolio.domain.matrices import Floats, Refusal
from services.portfolio.domain.optimiser.options import refuse_options
from services.portfolio.domain.optimiser.problem import BUDGET, Constraints, Objective, Problem, SectorCap

SLACK = 1e-9
"""Rounding that a bound forgives: ten assets of at most 0.1 do fill a budget of 1."""
_RISKLESS = 1e-12
"""A variance this small beside the largest one is none."""


def refuse_infeasible(problem: Problem) -> None:
    """Raise a Refusal when the problem has no answer; InvalidArgument when an option makes no sense."""
    refuse_options(problem)
    caps = problem.sector_caps()
    _refuse_unknown_sectors(problem, caps)
    _refuse_minimum(problem, caps)
    if not problem.constraints.allow_cash:
        _refuse_budget(problem, caps)
    _refuse_turnover(problem, caps)
    if problem.objective is Objective.TARGET_RETURN:
        _refuse_target(problem, caps)
    if problem.objective is Objective.MAX_SHARPE:
        _refuse_sharpe(problem, caps)


def _refuse_unknown_sectors(problem: Problem, caps: tuple[SectorCap, ...]) -> None:
    """A cap that binds nobody, or a symbol that no cap can be judged for, would be wrong in silence."""
    sectors = problem.constraints.sectors
    homeless = [symbol for symbol in problem.symbols if caps and not sectors.get(symbol)]
    if homeless:
        raise Refusal(
            "UNKNOWN_SECTOR",
            f"Sector caps are given, but the sector of {', '.join(homeless[:5])} is not known.",
            "sectors",
            {"symbols": homeless[:20], "count": len(homeless)},
        )
    for sector in caps:
        if not len(sector.members):
            raise Refusal(
                "UNKNOWN_SECTOR",
                f"No symbol belongs to the capped sector {sector.name!r}.",
                f"sector_caps.{sector.name}",
                {"sector": sector.name, "known": sorted({sectors[symbol] for symbol in problem.symbols})},
            )


def _refuse_minimum(problem: Problem, caps: tuple[SectorCap, ...]) -> None:
    constraints = problem.constraints
    least, most = constraints.min_position_size, constraints.max_position_size
    numbers = {"min_position_size": least, "max_position_size": most, "symbols": problem.size, "budget": BUDGET}
    crossed = np.flatnonzero(problem.lower > problem.upper + SLACK)
    if least > most + SLACK and not constraints.bounds:
        raise Refusal(
            "INFEASIBLE_MIN_POSITION", f"The minimum {least} is above the maximum {most}.", "min_position_size", numbers
        )
    if len(crossed):
        raise _crossed_bounds(problem, int(crossed[0]), numbers)
    total = float(problem.lower.sum())
    if total > BUDGET + SLACK:
        smallest = "positions at their lower bounds" if constraints.bounds else f"positions of at least {least}"
        raise Refusal(
            "INFEASIBLE_MIN_POSITION",
            f"{problem.size} {smallest} sum to {total:.6g}, above the budget of 1.",
            "lower_bounds" if constraints.bounds else "min_position_size",
            numbers | {"sum": total},
        )
    for sector in caps:
        needed = float(problem.lower[sector.members].sum())
        if needed > sector.cap + SLACK:
            raise Refusal(
                "INFEASIBLE_SECTOR_CAPS",
                f"The minimum positions of {sector.name} sum to {needed:.6g}, above its cap of {sector.cap}.",
                f"sector_caps.{sector.name}",
                numbers | {"sector": sector.name, "cap": sector.cap, "sum": needed},
            )


def _crossed_bounds(problem: Problem, index: int, numbers: Mapping[str, float]) -> Refusal:
    lower, upper, symbol = float(problem.lower[index]), float(problem.upper[index]), problem.symbols[index]
    return Refusal(
        "INFEASIBLE_MIN_POSITION",
        f"The lower bound {lower} of {symbol} is above its upper bound {upper}.",
        f"bounds.{symbol}",
        {**numbers, "symbol": symbol, "lower": lower, "upper": upper},
    )


def _refuse_budget(problem: Problem, caps: tuple[SectorCap, ...]) -> None:
    constraints = problem.constraints
    numbers = {"budget": BUDGET, "symbols": problem.size, "max_position_size": constraints.max_position_size}
    advice = "set allow_cash to leave the rest in cash"
    boxes = float(problem.upper.sum())
    if boxes < BUDGET - SLACK:
        largest = f"positions of at most {constraints.max_position_size}"
        if constraints.bounds:
            largest = "positions at their upper bounds"
        raise Refusal(
            "INFEASIBLE_BUDGET",
            f"{problem.size} {largest} reach {boxes:.6g} of 1; {advice}.",
            "upper_bounds" if constraints.bounds else "max_position_size",
            numbers | {"attainable": boxes},
        )
    attainable = float(most_weight(problem, caps).sum())
    if attainable < BUDGET - SLACK:
        raise Refusal(
            "INFEASIBLE_SECTOR_CAPS",
            f"The sector caps leave room for {attainable:.6g} of 1; {advice}.",
            "sector_caps",
            numbers | {"attainable": attainable, "sector_caps": dict(constraints.sector_caps)},
        )
    if problem.is_semicontinuous:
        _refuse_holes(problem, caps, numbers)


def _refuse_holes(problem: Problem, caps: tuple[SectorCap, ...], numbers: dict[str, float]) -> None:
    """Whole positions must fill the budget exactly: the most of them that fit under it must reach it."""
    least = problem.constraints.min_position_size
    count, reached = _fullest_holding(problem.constraints, problem.size, caps)
    if reached < BUDGET - SLACK:
        raise Refusal(
            "INFEASIBLE_MIN_POSITION",
            f"{count} positions reach {reached:.6g} of 1, and one more of at least {least} does not fit.",
            "min_position_size",
            numbers | {"min_position_size": least, "positions": count, "attainable": reached},
        )


def _fullest_holding(constraints: Constraints, size: int, caps: tuple[SectorCap, ...]) -> tuple[int, float]:
    """How many positions fit under budget and caps, and the most weight that so many can carry."""
    least, most = constraints.min_position_size, constraints.max_position_size
    gains = [most] * (size - sum(len(sector.members) for sector in caps))
    for sector in caps:
        places = min(len(sector.members), math.floor((sector.cap + SLACK) / least))
        gains += [max(min(most, sector.cap - place * most), 0.0) for place in range(places)]
    count = min(len(gains), math.floor((BUDGET + SLACK) / least))
    return count, math.fsum(sorted(gains, reverse=True)[:count])


def _refuse_turnover(problem: Problem, caps: tuple[SectorCap, ...]) -> None:
    limit = problem.constraints.turnover_limit
    if limit is None:
        return
    needed = least_turnover(problem, caps)
    if needed > limit + SLACK:
        raise Refusal(
            "INFEASIBLE_TURNOVER",
            f"Reaching the other constraints takes a turnover of {needed:.6g}, above the limit of {limit}.",
            "turnover_limit",
            {"turnover_limit": limit, "needed": needed, "held": float(problem.held.sum())},
        )


def _refuse_target(problem: Problem, caps: tuple[SectorCap, ...]) -> None:
    target = problem.target_return
    best = problem.risk_free_rate + most_excess(problem, caps)
    if target is not None and target > best + SLACK * max(1.0, abs(best)):
        raise unattainable_target(target, best)


def unattainable_target(target: float, best: float | None) -> Refusal:
    """The refusal of a target return; `best` is the most that can be reached, where it is known."""
    reach = "no allowed portfolio reaches it" if best is None else f"at most {best:.6g} can be reached"
    numbers = {"target_return": target, "attainable": best}
    return Refusal("TARGET_RETURN_UNATTAINABLE", f"The target is {target:.6g}; {reach}.", "target_return", numbers)


def unattainable_risk(target: float, least: float) -> Refusal:
    """The refusal of a target risk below the least risk there is."""
    message = f"The target is a risk of {target:.6g}; at least {least:.6g} must be borne."
    return Refusal("TARGET_RISK_UNATTAINABLE", message, "target_risk", {"target_risk": target, "attainable": least})


def no_positive_excess(problem: Problem, best: float | None) -> Refusal:
    """The refusal of a max-Sharpe problem in which nothing beats the risk-free rate."""
    numbers = {
        "risk_free_rate": problem.risk_free_rate,
        "largest_expected_return": float(problem.moments.expected_returns.max()),
        "attainable_excess": best,
    }
    message = "No allowed portfolio earns more than the risk-free rate."
    if problem.turnover_cost:
        message = "No allowed portfolio earns more than the risk-free rate and what its trades cost."
        numbers["turnover_cost"] = problem.turnover_cost
    return Refusal("NO_POSITIVE_EXCESS_RETURN", message, "expected_returns", numbers)


def unbounded_sharpe(problem: Problem, holder: str) -> Refusal:
    """The refusal of a max-Sharpe problem that promises excess return without risk."""
    numbers = {"risk_free_rate": problem.risk_free_rate, "riskless": holder}
    message = f"The Sharpe ratio has no bound: {holder} earns more than the risk-free rate without risk."
    return Refusal("UNBOUNDED_SHARPE", message, "covariance", numbers)


def _refuse_sharpe(problem: Problem, caps: tuple[SectorCap, ...]) -> None:
    best = most_excess(problem, caps)
    if best <= 0:
        raise no_positive_excess(problem, best)
    variances = np.diagonal(problem.moments.covariance)
    riskless = (variances <= _RISKLESS * variances.max()) & (problem.excess > 0) & (problem.upper > 0)
    if riskless.any() and not problem.trades_matter and _can_hold_alone(problem, caps, riskless):
        raise unbounded_sharpe(problem, problem.symbols[int(riskless.argmax())])


def _can_hold_alone(problem: Problem, caps: tuple[SectorCap, ...], assets: npt.NDArray[np.bool_]) -> bool:
    """Whether a portfolio may consist of these assets, and cash where it is allowed."""
    room = np.where(assets, problem.upper, 0.0)
    for sector in caps:
        room[sector.members] *= min(1.0, sector.cap / max(float(room[sector.members].sum()), SLACK))
    fills = room.any() if problem.constraints.allow_cash else float(room.sum()) >= BUDGET - SLACK
    return bool(fills) and not problem.lower[~assets].any()


def most_weight(problem: Problem, caps: tuple[SectorCap, ...]) -> Floats:
    """The fullest weights that box and sector caps allow, whatever the budget."""
    lower, weights = problem.lower, problem.upper
    for sector in caps:
        members = sector.members
        least, total = float(lower[members].sum()), float(weights[members].sum())
        if total > sector.cap:
            part = max(sector.cap - least, 0.0) / (total - least)
            weights[members] = lower[members] + (weights[members] - lower[members]) * part
    return weights


def most_excess(problem: Problem, caps: tuple[SectorCap, ...]) -> float:
    """The largest (μ − rf)ᵀw under box, budget and sector caps."""
    return float(problem.excess @ richest(problem, caps))


def richest(problem: Problem, caps: tuple[SectorCap, ...]) -> Floats:
    """The weights of the largest (μ − rf)ᵀw under box, budget and sector caps."""
    return filled(problem, caps, problem.excess, stops_at_zero=problem.constraints.allow_cash)


def filled(problem: Problem, caps: tuple[SectorCap, ...], values: Floats, *, stops_at_zero: bool) -> Floats:
    """The weights of the largest valuesᵀw under box, budget and sector caps: the best assets are filled first.

    Where cash is allowed and `stops_at_zero`, assets of no value are left out.
    """
    weights = problem.lower
    rank_of = np.full(problem.size, len(caps))
    for rank, sector in enumerate(caps):
        rank_of[sector.members] = rank
    left = [sector.cap - float(weights[sector.members].sum()) for sector in caps]
    left.append(math.inf)  # for assets of no capped sector
    budget = BUDGET - float(weights.sum())
    spans = problem.upper - weights
    for index in np.argsort(-values, kind="stable").tolist():
        if budget <= 0 or (stops_at_zero and values[index] <= 0):
            break
        rank = rank_of[index]
        step = min(spans[index], budget, max(left[rank], 0.0))
        weights[index] += step
        budget -= step
        left[rank] -= step
    return weights


def least_turnover(problem: Problem, caps: tuple[SectorCap, ...]) -> float:
    """The smallest Σ|w − w₀| that reaches box, sector caps and budget: every step of it is forced."""
    weights = np.clip(problem.held, problem.lower, problem.upper)
    forced = float(np.abs(weights - problem.held).sum())
    total = float(weights.sum())
    for sector in caps:
        surplus = max(float(weights[sector.members].sum()) - sector.cap, 0.0)
        forced += surplus
        total -= surplus
    missing = BUDGET - total
    return forced + (max(-missing, 0.0) if problem.constraints.allow_cash else abs(missing))
