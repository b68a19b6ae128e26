"""Judges an answer without believing the solver: how far it breaks a constraint, and how far it is from optimal.

Optimality is measured on the problem itself. With multipliers λ ≥ 0 of budget, sector caps, target and
turnover, the weights are optimal when none can move against the gradient of the Lagrangian inside its box:

    w = prox(w − ∇f(w) − Aᵀλ),   min(λ, slack) = 0

where prox clips to the box and, where trades matter, shrinks towards w₀. The residual is the largest
difference, with the gradient scaled to 1. Any multipliers that make it small prove the answer; it does not
matter where they came from. MIN_CVAR is judged by the same rule: its gradient is −Rᵀπ, where the probabilities π
of the worst returns are multipliers too, and must be such that πᵀ(−Rw) is the CVaR.
"""

import math
from dataclasses import dataclass

import numpy as np

from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.optimiser.problem import BUDGET, Objective, Problem, SectorCap
from services.portfolio.domain.optimiser.scaling import Scaled
from services.portfolio.domain.optimiser.tail import conditional_value_at_risk

TOLERANCE = 1e-8
"""Largest violation of a constraint that an answer may have."""
BINDING = 1e-7
"""A constraint this close to equality is binding."""
_FLAT = 1e-4
_BOUNDED_BY_ZERO = frozenset({Objective.MIN_VARIANCE, Objective.TARGET_RETURN})
"""A gradient smaller than this, beside the mean variance, is that of a portfolio without risk: rounding."""


@dataclass(frozen=True, slots=True)
class Multipliers:
    """Prices of the constraints that couple the weights, in the units of `Scaled`."""

    budget: float = 0.0
    sectors: tuple[float, ...] = ()
    target: float = 0.0
    turnover: float = 0.0
    risk: float = 0.0
    """Of TARGET_RISK's bound: the price of Σ̂w in the gradient λΣ̂w − e."""
    tail: Floats | None = None
    """T probabilities that sum to 1, of MIN_CVAR: how much each return counts to the tail."""

    def divided_by(self, size: float) -> "Multipliers":
        """The same prices for a gradient that is divided by `size`; that of risk is part of the gradient itself."""
        sectors = tuple(price / size for price in self.sectors)
        return Multipliers(self.budget / size, sectors, self.target / size, self.turnover / size, self.risk, self.tail)


def largest_violation(problem: Problem, weights: Floats, along: Floats | None = None) -> float:
    """How far the weights break their worst constraint, 0 when they break none; `along` is Σw, where it is known."""
    along = _along(problem, weights, along)
    lower, upper = _box(problem, weights)
    total = float(weights.sum())
    breaks = [float((lower - weights).max()), float((weights - upper).max()), total - BUDGET]
    if not problem.constraints.allow_cash:
        breaks.append(BUDGET - total)
    breaks += [float(weights[sector.members].sum()) - sector.cap for sector in problem.sector_caps()]
    if problem.constraints.turnover_limit is not None:
        breaks.append(_turnover(problem, weights) - problem.constraints.turnover_limit)
    if problem.objective is Objective.TARGET_RETURN:
        breaks.append(-_target_slack(problem, weights))
    if problem.objective is Objective.TARGET_RISK:
        breaks.append(-_risk_slack(problem, weights, along))
    return max(0.0, *breaks)


def optimality_residual(
    problem: Problem, weights: Floats, multipliers: Multipliers, along: Floats | None = None
) -> float:
    """Largest violation of the optimality conditions; semicontinuous holes are closed around the answer.

    Of RISK_PARITY the largest difference of a risk share from its budget, where no constraint keeps it from it;
    HRP optimises nothing and has 0.
    """
    if problem.objective is Objective.HRP:
        return 0.0
    along = _along(problem, weights, along)
    scaled, caps = Scaled.of(problem), problem.sector_caps()
    gradient = _gradient(problem, scaled, weights, multipliers, along)
    slope = gradient + multipliers.budget - multipliers.target * scaled.excess
    for sector, price in zip(caps, multipliers.sectors, strict=True):
        slope[sector.members] += price
    moved = _prox(problem, weights, weights - slope, price_of_turnover(problem, scaled, weights, multipliers, along))
    residual = max(float(np.abs(weights - moved).max()), *_unpaid(problem, weights, multipliers, caps, along))
    if problem.objective in _BOUNDED_BY_ZERO:
        # no variance is below 0: where almost none is left, that bound proves more than any multiplier
        residual = min(residual, max(float(weights @ along), 0.0) / scaled.variance)
    if problem.objective is Objective.RISK_PARITY:
        residual = min(residual, float(np.abs(risk_shares(weights, along) - problem.budgets).max()))
    return residual


def risk_shares(weights: Floats, along: Floats) -> Floats:
    """The share wᵢ(Σw)ᵢ / wᵀΣw that each asset contributes; zeros where there is no risk."""
    parts = weights * along
    total = float(parts.sum())
    shares: Floats = parts / total if total > 0 else np.zeros(len(weights))
    return shares


def binding_constraints(problem: Problem, weights: Floats, along: Floats | None = None) -> tuple[str, ...]:
    """Names of the constraints that hold with equality; weights at zero are one entry, `long_only`."""
    constraints, along = problem.constraints, _along(problem, weights, along)
    names = ["budget"] if abs(float(weights.sum()) - BUDGET) <= BINDING else []
    lower, upper = problem.lower, problem.upper
    at_zero = (np.abs(weights) <= BINDING) & (np.abs(lower) <= BINDING)
    if bool(at_zero.any()):
        names.append("long_only")
    least = np.maximum(lower, constraints.min_position_size) if problem.is_semicontinuous else lower
    for word, bound in (("max", upper), ("min", least)):
        at = (np.abs(weights - bound) <= BINDING) & ~at_zero
        names += [f"{word}_position_size:{problem.symbols[index]}" for index in np.flatnonzero(at)]
    for sector in problem.sector_caps():
        if float(weights[sector.members].sum()) >= sector.cap - BINDING:
            names.append(f"sector_caps:{sector.name}")
    if constraints.turnover_limit is not None and _turnover(problem, weights) >= constraints.turnover_limit - BINDING:
        names.append("turnover_limit")
    if problem.objective is Objective.TARGET_RETURN and abs(_target_slack(problem, weights)) <= BINDING:
        names.append("target_return")
    if problem.objective is Objective.TARGET_RISK and abs(_risk_slack(problem, weights, along)) <= BINDING:
        names.append("target_risk")
    return tuple(names)


def _along(problem: Problem, weights: Floats, known: Floats | None) -> Floats:
    return problem.moments.times(weights) if known is None else known


def _box(problem: Problem, weights: Floats) -> tuple[Floats, Floats]:
    """Bounds of each weight; a semicontinuous weight is judged by the branch it is on."""
    lower, upper = problem.lower, problem.upper
    if problem.is_semicontinuous:
        held = weights > TOLERANCE
        lower[held] = np.maximum(lower[held], problem.constraints.min_position_size)
        upper[~held] = 0.0
    return lower, upper


def _turnover(problem: Problem, weights: Floats) -> float:
    return float(np.abs(weights - problem.held).sum())


def net_excess(problem: Problem, weights: Floats) -> float:
    """(μ − rf)ᵀw less what the trades cost."""
    earned = float(problem.excess @ weights)
    return earned - problem.turnover_cost * _turnover(problem, weights) if problem.turnover_cost else earned


def _target_slack(problem: Problem, weights: Floats) -> float:
    """How much more than the target the weights and their cash earn, beside the largest excess return."""
    target = problem.target_return or 0.0
    return (net_excess(problem, weights) - (target - problem.risk_free_rate)) / Scaled.of(problem).excess_size


def _risk_slack(problem: Problem, weights: Floats, along: Floats) -> float:
    """How much less than the target the deviation is, beside the root of the mean variance."""
    risk = math.sqrt(max(float(weights @ along), 0.0))
    return ((problem.target_risk or 0.0) - risk) / math.sqrt(Scaled.of(problem).variance)


def _gradient(problem: Problem, scaled: Scaled, weights: Floats, multipliers: Multipliers, along: Floats) -> Floats:
    """∇f at the answer, its larger part scaled to 1."""
    risk, reward = gradient_parts(problem, scaled, weights, multipliers, along)
    return (risk - reward) / gradient_size(risk, reward)


def gradient_parts(
    problem: Problem, scaled: Scaled, weights: Floats, multipliers: Multipliers, along: Floats
) -> tuple[Floats, Floats]:
    """What the gradient owes to risk and what to reward: it is the first minus the second."""
    if problem.objective is Objective.MIN_CVAR:
        assert problem.returns is not None
        assert multipliers.tail is not None
        falls: Floats = -(multipliers.tail @ problem.returns) / scaled.returns_size
        return falls, np.zeros(problem.size)
    if problem.objective is Objective.RISK_PARITY:
        # of ln σ(w) − Σ b ln w
        return along / (float(weights @ along) or 1.0), problem.budgets / np.maximum(weights, np.finfo(float).tiny)
    risk = along / scaled.variance
    if problem.objective is Objective.TARGET_RISK:
        return multipliers.risk * risk, scaled.excess
    if problem.objective is Objective.MAX_SHARPE:
        # −Sharpe has the direction of Σw · (eᵀw / wᵀΣw) − e
        net = net_excess(problem, weights) / scaled.excess_size
        return risk * (net / (float(weights @ risk) or 1.0)), scaled.excess
    return risk, scaled.linear


def gradient_size(risk: Floats, reward: Floats) -> float:
    """What the gradient is divided by, so that residuals of all problems compare."""
    return max(float(np.abs(risk).max()), float(np.abs(reward).max()), _FLAT)


def price_of_turnover(
    problem: Problem, scaled: Scaled, weights: Floats, multipliers: Multipliers, along: Floats
) -> float:
    """What one more unit of turnover costs in the Lagrangian whose gradient is scaled to 1."""
    if not problem.turnover_cost:
        return multipliers.turnover
    size = gradient_size(*gradient_parts(problem, scaled, weights, multipliers, along))
    earns = problem.objective in {Objective.MAX_SHARPE, Objective.TARGET_RISK}
    own = (scaled.cost if earns else 0.0) + scaled.penalty
    return multipliers.turnover + own / size + multipliers.target * scaled.cost


def normalised(problem: Problem, weights: Floats, multipliers: Multipliers) -> Multipliers:
    """Multipliers of the gradient as it is, made those of the gradient scaled to 1."""
    along = problem.moments.times(weights)
    parts = gradient_parts(problem, Scaled.of(problem), weights, multipliers, along)
    return multipliers.divided_by(gradient_size(*parts))


def _prox(problem: Problem, weights: Floats, target: Floats, price: float) -> Floats:
    if price > 0:
        step = target - problem.held
        target = problem.held + np.sign(step) * np.maximum(np.abs(step) - price, 0.0)
    return np.clip(target, *_box(problem, weights))


def _unpaid(
    problem: Problem,
    weights: Floats,
    multipliers: Multipliers,
    caps: tuple[SectorCap, ...],
    along: Floats,
) -> tuple[float, ...]:
    """|min(λ, slack)| of every inequality that couples the weights: a price is paid only at the bound."""
    pairs = [
        (price, sector.cap - float(weights[sector.members].sum()))
        for sector, price in zip(caps, multipliers.sectors, strict=True)
    ]
    if problem.constraints.allow_cash:
        pairs.append((multipliers.budget, BUDGET - float(weights.sum())))
    if problem.constraints.turnover_limit is not None:
        pairs.append((multipliers.turnover, problem.constraints.turnover_limit - _turnover(problem, weights)))
    if problem.objective is Objective.TARGET_RETURN:
        pairs.append((multipliers.target, _target_slack(problem, weights)))
    if problem.objective is Objective.TARGET_RISK:
        pairs.append((multipliers.risk, _risk_slack(problem, weights, along)))
    unpaid = [abs(min(price, slack)) for price, slack in pairs]
    if problem.objective is Objective.MIN_CVAR:
        unpaid.append(_tail_error(problem, weights, multipliers))
    return (*unpaid, 0.0)


def _tail_error(problem: Problem, weights: Floats, multipliers: Multipliers) -> float:
    """How far the tail's probabilities are from being the tail of these weights' returns, beside the CVaR."""
    assert problem.returns is not None
    assert multipliers.tail is not None
    tail, losses = multipliers.tail, -(problem.returns @ weights)
    most = 1 / ((1 - problem.beta) * len(losses))
    strays = max(float((-tail).max()), float((tail - most).max()), abs(float(tail.sum()) - 1.0))
    found = conditional_value_at_risk(losses, problem.beta)
    missing = (found - float(tail @ losses)) / Scaled.of(problem).returns_size
    return max(strays, missing, 0.0)
