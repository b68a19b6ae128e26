"""The weights that were found, cleaned of the solver's dust, with what they promise and how good they are."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.optimiser.problem import ALLOCATIONS, BUDGET, Objective, Problem
from services.portfolio.domain.optimiser.proof import (
    Multipliers,
    binding_constraints,
    largest_violation,
    net_excess,
    optimality_residual,
    risk_shares,
)
from services.portfolio.domain.optimiser.tail import conditional_value_at_risk

_DUST = 1e-9


@dataclass(frozen=True, slots=True)
class Solution:
    """What a solver brings back: weights, the multipliers that prove them, and its own words."""

    weights: Floats
    multipliers: Multipliers
    route: str
    status: str
    gap: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Weights by symbol and what they promise, in the period of the inputs."""

    allocations: dict[str, float]
    cash: float
    expected_return: float
    """After what the trades cost."""
    risk: float
    sharpe_ratio: float
    objective_value: float
    turnover: float | None
    binding_constraints: tuple[str, ...]
    solution: Solution
    kkt_residual: float
    max_violation: float
    cvar: float | None = None
    """Positive loss per period of the returns, of MIN_CVAR."""
    risk_contributions: dict[str, float] = field(default_factory=dict)
    """Share of the risk by symbol, of RISK_PARITY and HRP."""


class Proven(NamedTuple):
    """An answer that passed its proof, with the time from question to proof and the question's fingerprint."""

    answer: Answer
    time_ns: int
    input_sha256: str
    psd: str = "verified"
    """`pending` while nobody has judged the covariance yet."""


def answer_of(problem: Problem, solution: Solution) -> Answer:
    """Measure a solution on the problem itself."""
    weights = solution.weights
    along = problem.moments.times(weights)
    cash = BUDGET - float(weights.sum())
    cash = 0.0 if abs(cash) < _DUST else cash
    reward = net_excess(problem, weights) + float(weights.sum() + cash) * problem.risk_free_rate
    variance = max(float(weights @ along), 0.0)
    risk = variance**0.5
    cvar = _cvar(problem, weights)
    shares = risk_shares(weights, along).tolist() if problem.objective in ALLOCATIONS else []
    return Answer(
        allocations=dict(zip(problem.symbols, weights.tolist(), strict=True)),
        cash=cash,
        expected_return=reward,
        risk=risk,
        sharpe_ratio=(reward - problem.risk_free_rate) / risk if risk else 0.0,
        objective_value=_objective_value(problem, reward, variance, cvar),
        turnover=None if problem.current is None else float(np.abs(weights - problem.current).sum()),
        binding_constraints=binding_constraints(problem, weights, along),
        solution=solution,
        kkt_residual=optimality_residual(problem, weights, solution.multipliers, along),
        max_violation=largest_violation(problem, weights, along),
        cvar=cvar,
        risk_contributions=dict(zip(problem.symbols, shares, strict=False)),
    )


def _cvar(problem: Problem, weights: Floats) -> float | None:
    if problem.objective is not Objective.MIN_CVAR or problem.returns is None:
        return None
    return conditional_value_at_risk(-(problem.returns @ weights), problem.beta)


def _objective_value(problem: Problem, reward: float, variance: float, cvar: float | None) -> float:
    match problem.objective:
        case Objective.MAX_SHARPE:
            return (reward - problem.risk_free_rate) / variance**0.5 if variance else 0.0
        case Objective.MAX_UTILITY:
            return reward - problem.risk_aversion / 2 * variance
        case Objective.TARGET_RISK:
            return reward
        case Objective.MIN_CVAR if cvar is not None:
            return cvar
    return variance


def settle(problem: Problem, raw: Floats, lower: Floats, upper: Floats) -> Floats:
    """A solver's weights without its dust: inside the box, exact zeros, the budget kept to the last digit."""
    weights = np.clip(raw, lower, upper)
    weights[(np.abs(weights) < _DUST) & (lower <= 0) & (upper >= 0)] = 0.0
    missing = BUDGET - float(weights.sum())
    if missing < 0 or not problem.constraints.allow_cash:
        _spread(problem, weights, lower, upper, missing)
    return weights


def _spread(problem: Problem, weights: Floats, lower: Floats, upper: Floats, missing: float) -> None:
    """Put a last digit that is missing where there is most room for it."""
    room = upper - weights if missing > 0 else weights - lower
    for sector in problem.sector_caps():
        members = sector.members
        slack = sector.cap - float(weights[members].sum())
        room[members] = np.minimum(room[members], np.inf if missing < 0 else max(slack, 0.0))
    held = np.where(weights != 0, room, 0.0)  # no new position for a last digit, as long as those held have room
    room = held if held.max() >= abs(missing) else room
    index = int(room.argmax())
    weights[index] += np.sign(missing) * min(abs(missing), float(room[index]))


def fullest(problem: Problem, weights: Floats) -> Floats:
    """The same mix, as much of it as the constraints allow: with cash, every scale has one Sharpe ratio."""
    limits = [BUDGET / max(float(weights.sum()), _DUST)]
    lower, upper = problem.lower, problem.upper
    long, short = weights > 0, weights < 0
    limits += (upper[long] / weights[long]).tolist() + (lower[short] / weights[short]).tolist()
    for sector in problem.sector_caps():
        total = float(weights[sector.members].sum())
        if total > 0:
            limits.append(sector.cap / total)
    scale = min(limits)
    if problem.constraints.turnover_limit is not None:
        scale = _within_turnover(problem, weights, scale)
    return weights * max(scale, 1.0)


def _within_turnover(problem: Problem, weights: Floats, scale: float) -> float:
    """The largest scale up to `scale` that keeps the turnover limit; 1 keeps it, and turnover is convex in it."""
    limit = problem.constraints.turnover_limit or 0.0
    low, high = 1.0, max(scale, 1.0)
    if float(np.abs(weights * high - problem.held).sum()) <= limit:
        return high
    for _ in range(60):
        middle = (low + high) / 2
        if float(np.abs(weights * middle - problem.held).sum()) <= limit:
            low = middle
        else:
            high = middle
    return low
