"""Which assets a master looks at first: a good guess saves rounds, a bad one costs them, neither changes the answer."""

import numpy as np

from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.optimiser.feasibility import filled
from services.portfolio.domain.optimiser.problem import Problem
from services.portfolio.domain.optimiser.program import Indices, Program
from services.portfolio.domain.optimiser.trade_sides import offered

_SMALL = 120
"""So few assets are all chosen: solving for them costs less than choosing."""
_FIRST_LEAST = 80
_HELD_MOST = 300


def is_small(program: Program) -> bool:
    """All assets are chosen at once."""
    return program.size <= _SMALL


def first_columns(problem: Problem, program: Program, warm: Indices | None, slope: Floats | None = None) -> Indices:
    """Positions of the chosen assets, ascending; the guess holds at least one portfolio that fits the caps.

    `slope` is the gradient where nothing is traded, of a problem whose assets trade to one side each.
    """
    if is_small(program):
        return np.arange(program.size)
    caps = problem.sector_caps()
    held = _held(program) if slope is None else offered(program, slope)
    if warm is not None:
        first = np.union1d(warm, held)
    else:
        scores = _scores(program) if slope is None else -slope
        best = np.argsort(-scores, kind="stable")[: _count(program)]
        full = np.flatnonzero(filled(problem, caps, scores, stops_at_zero=False))
        first = np.concatenate([best, full, held])
    if program.is_ratio or program.target is not None:
        first = np.concatenate([first, np.flatnonzero(filled(problem, caps, program.excess, stops_at_zero=True))])
    return np.unique(first).astype(np.intp)


def _held(program: Program) -> Indices:
    """The largest positions that trading leaves or ends."""
    if not program.trades_matter:
        return np.empty(0, np.intp)
    order = np.argsort(-np.abs(program.held), kind="stable")[:_HELD_MOST]
    held: Indices = order[program.held[order] != 0]
    return held


def _count(program: Program) -> int:
    """Twice as many as fill the budget at their largest weights."""
    fills = 2.0 / max(float(np.median(program.upper)), 1e-6)
    return int(min(program.size, max(_FIRST_LEAST, fills)))


def _scores(program: Program) -> Floats:
    """How promising an asset is by itself."""
    variances = np.diagonal(program.covariance) / program.variance
    if program.is_ratio:
        scores: Floats = program.excess / np.sqrt(np.maximum(variances, 1e-12))
        return scores
    return program.linear - variances / 2
