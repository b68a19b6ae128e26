"""Judges an answer without believing the solver: how far it breaks a constraint, and how far it is from optimal.

Optimality is measured on the problem itself. With multipliers λ ≥ 0 of budget, sector caps, target and
turnover, the weights are optimal when none can move against the gradient of the Lagrangian inside its box:

    w = prox(w − ∇f(w) − Aᵀλ),   min(λ, slack) = 0

where prox clips to the box and, under a turnover limit, shrinks towards w₀. The residual is the largest
difference, with the gradient scaled to 1. Any multipliers that make it small prove the answer; it does not
matter where they came from.
"""

from dataclasses import dataclass

import numpy as np

from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.optimiser.problem import BUDGET, Objective, Problem, SectorCap
from services.portfolio.domain.optimiser.scaling import Scaled

TOLERANCE = 1e-8
"""Largest violation of a constraint that an answer may have."""
BINDING = 1e-7
"""A constraint this close to equality is binding."""
_FLAT = 1e-5
"""A gradient smaller than this, beside the mean variance, is that of a portfolio without risk: rounding."""


@dataclass(frozen=True, slots=True)
class Multipliers:
    """Prices of the constraints that couple the weights, in the units of `Scaled`."""

    budget: float = 0.0
    sectors: tuple[float, ...] = ()
    target: float = 0.0
    turnover: float = 0.0


def largest_violation(problem: Problem, weights: Floats) -> float:
    """How far the weights break their worst constraint; 0 when they break none."""
    lower, upper = _box(problem, weights)
    total = float(weights.sum())
    breaks = [float((lower - weights).max()), float((weights - upper).max()), total - BUDGET]
    if not problem.constraints.allow_cash:
        breaks.append(BUDGET - total)
    breaks += [float(weights[list(sector.members)].sum()) - sector.cap for sector in problem.sector_caps()]
    if problem.constraints.turnover_limit is not None:
        breaks.append(_turnover(problem, weights) - problem.constraints.turnover_limit)
    if problem.objective is Objective.TARGET_RETURN:
        breaks.append(-_target_slack(problem, weights))
    return max(0.0, *breaks)


def optimality_residual(problem: Problem, weights: Floats, multipliers: Multipliers) -> float:
    """Largest violation of the optimality conditions; semicontinuous holes are closed around the answer."""
    scaled, caps = Scaled.of(problem), problem.sector_caps()
    gradient = _gradient(problem, scaled, weights)
    slope = gradient + multipliers.budget - multipliers.target * scaled.excess
    for sector, price in zip(caps, multipliers.sectors, strict=True):
        slope[list(sector.members)] += price
    moved = _prox(problem, weights, weights - slope, multipliers.turnover)
    return max(float(np.abs(weights - moved).max()), *_unpaid(problem, weights, multipliers, caps))


def binding_constraints(problem: Problem, weights: Floats) -> tuple[str, ...]:
    """Names of the constraints that hold with equality; weights at zero are one entry, `long_only`."""
    constraints = problem.constraints
    names = ["budget"] if abs(float(weights.sum()) - BUDGET) <= BINDING else []
    if bool((weights <= BINDING).any()):
        names.append("long_only")
    for word, bound in (("max", constraints.max_position_size), ("min", constraints.min_position_size)):
        at = (np.abs(weights - bound) <= BINDING) & (weights > BINDING)
        names += [f"{word}_position_size:{problem.symbols[index]}" for index in np.flatnonzero(at)]
    for sector in problem.sector_caps():
        if float(weights[list(sector.members)].sum()) >= sector.cap - BINDING:
            names.append(f"sector_caps:{sector.name}")
    if constraints.turnover_limit is not None and _turnover(problem, weights) >= constraints.turnover_limit - BINDING:
        names.append("turnover_limit")
    if problem.objective is Objective.TARGET_RETURN and abs(_target_slack(problem, weights)) <= BINDING:
        names.append("target_return")
    return tuple(names)


def _box(problem: Problem, weights: Floats) -> tuple[Floats, Floats]:
    """Bounds of each weight; a semicontinuous weight is judged by the branch it is on."""
    lower, upper = problem.lower, problem.upper
    if problem.is_semicontinuous:
        held = weights > TOLERANCE
        lower[held] = problem.constraints.min_position_size
        upper[~held] = 0.0
    return lower, upper


def _turnover(problem: Problem, weights: Floats) -> float:
    return float(np.abs(weights - problem.held).sum())


def _target_slack(problem: Problem, weights: Floats) -> float:
    """How much more than the target the weights and their cash earn, beside the largest excess return."""
    target = problem.target_return or 0.0
    return float(problem.excess @ weights - (target - problem.risk_free_rate)) / Scaled.of(problem).excess_size


def _gradient(problem: Problem, scaled: Scaled, weights: Floats) -> Floats:
    """∇f at the answer, its larger part scaled to 1."""
    risk = problem.moments.covariance @ weights / scaled.variance
    reward = scaled.linear
    if problem.objective is Objective.MAX_SHARPE:
        # −Sharpe has the direction of Σw · (eᵀw / wᵀΣw) − e
        risk, reward = risk * (float(scaled.excess @ weights) / (float(weights @ risk) or 1.0)), scaled.excess
    return (risk - reward) / gradient_size(risk, reward)


def gradient_size(risk: Floats, reward: Floats) -> float:
    """What the gradient is divided by, so that residuals of all problems compare."""
    return max(float(np.abs(risk).max()), float(np.abs(reward).max()), _FLAT)


def _prox(problem: Problem, weights: Floats, target: Floats, price: float) -> Floats:
    if price > 0:
        step = target - problem.held
        target = problem.held + np.sign(step) * np.maximum(np.abs(step) - price, 0.0)
    return np.clip(target, *_box(problem, weights))


def _unpaid(
    problem: Problem, weights: Floats, multipliers: Multipliers, caps: tuple[SectorCap, ...]
) -> tuple[float, ...]:
    """|min(λ, slack)| of every inequality that couples the weights: a price is paid only at the bound."""
    pairs = [
        (price, sector.cap - float(weights[list(sector.members)].sum()))
        for sector, price in zip(caps, multipliers.sectors, strict=True)
    ]
    if problem.constraints.allow_cash:
        pairs.append((multipliers.budget, BUDGET - float(weights.sum())))
    if problem.constraints.turnover_limit is not None:
        pairs.append((multipliers.turnover, problem.constraints.turnover_limit - _turnover(problem, weights)))
    if problem.objective is Objective.TARGET_RETURN:
        pairs.append((multipliers.target, _target_slack(problem, weights)))
    return tuple(abs(min(price, slack)) for price, slack in pairs) or (0.0,)
