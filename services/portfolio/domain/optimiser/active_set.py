"""The exact optimum from a good guess of what binds: which weights are at a bound, and which caps are full.

When it is known what binds, the optimality conditions are one system of linear equations over the weights between
their bounds. So: guess, solve, look which bounds and prices have the wrong sign, correct the guess, solve again
(a primal-dual active-set method: Hintermüller, Ito and Kunisch, 2002). All assets are priced each time, so that what
is found is the optimum of the whole problem. The equations do not know where the guess came from: whatever led to
it, the same question gets the same digits.

With the excess return fixed at 1 instead of the budget, the weights of MAX_SHARPE are y = κw (Charnes and Cooper),
and its equations are linear too.

A guess may be too far off, and equations may be singular (duplicates, fewer observations than assets). Then there is
no answer here, and an interior-point method has to find it.
"""

from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.optimiser.branch_and_bound import Point
from services.portfolio.domain.optimiser.program import Indices, Program
from services.portfolio.domain.optimiser.proof import Multipliers

_STEPS_MOST = 16
_FREED_MOST = 60
"""Assets that leave a bound in one step."""
_ROUNDING = 1e-11
_BOUND = 1e-9
_FREE_MOST = 600
"""More weights between their bounds than this are not worth equations of their own."""
Flags = npt.NDArray[np.bool_]


class Guess(NamedTuple):
    """What binds; weights that do not are free."""

    low: Flags
    high: Flags
    caps: Flags
    target: bool

    @classmethod
    def of(cls, program: Program, weights: Floats, slope: Floats | None = None) -> Self:
        """What binds at these weights; with their slope, at the optimum that they are close to."""
        push = pull = np.full(program.size, _BOUND)
        if slope is not None:
            push, pull = np.maximum(slope, _BOUND), np.maximum(-slope, _BOUND)
        above, below = weights - program.lower, program.upper - weights
        low = (above <= push) & (above <= below)
        high = (below <= pull) & ~low & (below <= above)
        room = program.caps - program.sector_sums(weights)
        return cls(low, high, room <= _BOUND, program.target is not None)

    def freeing(self, assets: Indices) -> Self:
        """The same, but for the first of these assets, which are to leave their bounds."""
        freed = assets[:_FREED_MOST]
        self.low[freed] = self.high[freed] = False
        return self

    def is_same(self, other: "Guess") -> bool:
        """Nothing was corrected."""
        arrays = ((self.low, other.low), (self.high, other.high), (self.caps, other.caps))
        return self.target == other.target and all(np.array_equal(one, two) for one, two in arrays)


def is_for(program: Program) -> bool:
    """Whether the equations of a program are linear, given what binds."""
    quadratic = program.returns is None and program.risk_limit is None
    return quadratic and not program.trades_matter and not program.allows_cash


def solve(program: Program, guess: Guess) -> Point | None:
    """The optimum of the whole program, or None when it was not found from here."""
    for _ in range(_STEPS_MOST):
        found = _stationary(program, guess)
        if found is None:
            return None
        corrected = _corrected(program, guess, found)
        if corrected.is_same(guess):
            return _point(program, found) if _is_convex(program, guess) else None
        guess = corrected
    return None


class _Stationary(NamedTuple):
    """Where the gradient is balanced by the prices of what binds."""

    weights: Floats
    multipliers: Multipliers


def _stationary(program: Program, guess: Guess) -> _Stationary | None:
    """The one solution of the equations; None when there is none, or more than one."""
    free = np.flatnonzero(~(guess.low | guess.high))
    resting = np.where(guess.high, program.upper, program.lower)
    resting[free] = 0.0
    full = np.flatnonzero(guess.caps)
    if not len(free) or len(free) > _FREE_MOST:
        return None
    along = program.times(resting)
    quadratic = program.covariance[np.ix_(free, free)] / program.variance
    rows, values = _rows(program, guess, free, resting, full)
    if program.is_ratio:
        return _ratio(program, free, resting, full, (quadratic, along, rows, values))
    right = np.concatenate([program.linear[free] - along[free], values])
    solved = _solved(quadratic, rows, right)
    if solved is None:
        return None
    count = len(free)
    return _found(program, guess, free, resting, full, solved[:count], solved[count:])


def _rows(program: Program, guess: Guess, free: Indices, resting: Floats, full: Indices) -> tuple[Floats, Floats]:
    """Equalities over the free weights: the budget, the full caps, the target."""
    sums = program.sector_sums(resting)
    rows = [np.ones(len(free)), *(program.sector_of[free] == full[:, None]).astype(np.float64)]
    values = [1.0 - float(resting.sum()), *(program.caps[full] - sums[full])]
    if program.target is not None and guess.target:
        rows.append(program.excess[free])
        values.append(program.target - float(program.excess @ resting))
    return np.array(rows), np.array(values)


def _ratio(
    program: Program,
    free: Indices,
    resting: Floats,
    full: Indices,
    parts: tuple[Floats, Floats, Floats, Floats],
) -> _Stationary | None:
    """MAX_SHARPE over (y, κ): the excess return is 1, and every other value is multiplied by κ."""
    quadratic, along, rows, values = parts
    count = len(free)
    whole = np.empty((count + 1, count + 1))
    whole[:count, :count] = quadratic
    whole[:count, -1] = whole[-1, :count] = along[free]
    whole[-1, -1] = float(resting @ along)
    earned = np.append(program.excess[free], float(program.excess @ resting))
    equal = np.vstack([earned, np.column_stack([rows, -values])])
    right = np.zeros(count + 1 + len(equal))
    right[count + 1] = 1.0
    solved = _solved(whole, equal, right)
    if solved is None or solved[count] <= 0 or solved[count + 1] >= 0:
        return None
    unit = -float(solved[count + 1])  # the price of the excess return is the variance of y
    weights = solved[:count] / solved[count]
    return _found(program, None, free, resting, full, weights, solved[count + 2 :] / unit)


def _solved(quadratic: Floats, rows: Floats, right: Floats) -> Floats | None:
    size, count = len(quadratic), len(rows)
    system = np.zeros((size + count, size + count))
    system[:size, :size] = quadratic
    system[size:, :size] = rows
    system[:size, size:] = rows.T
    try:
        solved: Floats = np.asarray(np.linalg.solve(system, right), dtype=np.float64)
    except np.linalg.LinAlgError:
        return None
    return solved if bool(np.isfinite(solved).all()) else None


def _found(
    program: Program,
    guess: Guess | None,
    free: Indices,
    resting: Floats,
    full: Indices,
    values: Floats,
    prices: Floats,
) -> _Stationary:
    weights = resting
    weights[free] = values
    sectors = np.zeros(len(program.caps))
    sectors[full] = prices[1 : 1 + len(full)]
    has_target = guess is not None and program.target is not None and guess.target
    return _Stationary(
        weights,
        Multipliers(
            budget=float(prices[0]),
            sectors=tuple(sectors.tolist()),
            target=-float(prices[-1]) if has_target else 0.0,
        ),
    )


def _corrected(program: Program, guess: Guess, found: _Stationary) -> Guess:
    """What binds, after those that have the wrong sign were let go or stopped."""
    weights, multipliers = found
    along = program.times(weights)
    slope, _ = program.directions(weights, along, multipliers, weights)
    nothing = program.least_gain(weights, along, multipliers)
    fixed = program.upper <= program.lower
    gain = np.where(guess.low, -slope, np.where(guess.high, slope, 0.0))
    gain[fixed] = 0.0
    gaining = np.flatnonzero(gain > nothing)
    freed = gaining[np.argsort(-gain[gaining], kind="stable")[:_FREED_MOST]]
    low, high = guess.low | (weights < program.lower - _ROUNDING), guess.high | (weights > program.upper + _ROUNDING)
    low[freed] = high[freed] = False
    prices = np.array(multipliers.sectors)
    caps = np.where(guess.caps, prices >= -nothing, program.sector_sums(weights) > program.caps + _ROUNDING)
    return Guess(low, high, caps, _target_binds(program, guess, found, nothing))


def _target_binds(program: Program, guess: Guess, found: _Stationary, nothing: float) -> bool:
    if program.target is None:
        return False
    if guess.target:
        return found.multipliers.target >= -nothing
    return float(program.excess @ found.weights) < program.target - _ROUNDING


def _is_convex(program: Program, guess: Guess) -> bool:
    """Between the bounds the variance has one minimum: else what is stationary may be no optimum, or one of many."""
    free = np.flatnonzero(~(guess.low | guess.high))
    part = program.covariance[np.ix_(free, free)] / program.variance
    part[np.diag_indices_from(part)] -= _ROUNDING * float(np.mean(np.diagonal(part)))
    try:
        np.linalg.cholesky(part)
    except np.linalg.LinAlgError:
        return False
    return True


def _point(program: Program, found: _Stationary) -> Point:
    weights = np.clip(found.weights, program.lower, program.upper)
    return Point(program.objective(weights, program.times(weights)), weights, found.multipliers)
