"""Column generation: the optimum over a thousand assets by solving for the hundred that matter.

A long-only portfolio of N assets holds few of them, and the many that it does not hold tell the solver
nothing. So a *master* solves the problem for some chosen assets, while every other asset rests where it is
(at zero, mostly). The master's multipliers then price the resting assets: with

    slope = Σ̂w − reward + Aᵀλ          one product of Σ's rows with the few weights held

an asset at rest can improve the portfolio only if the slope lets it, that is when slope < 0 and it may rise,
or slope > 0 and it may fall (each widened by the price of turnover, where trades matter). Those that can are
chosen too, those that are clearly dead are let go, and the master solves again. When no asset at rest can
improve the portfolio, the optimality conditions of the *whole* problem hold: it is the global optimum, and
Σ was never factored, nor read beyond the rows of what was held. A handful of rounds is usual. MIN_CVAR goes the
same way with −R̂ᵀπ in place of Σ̂w, π being the probabilities of the worst returns; TARGET_RISK with a multiplier
on Σ̂w.

The choice of the first assets changes only how many rounds are needed, never the answer; hence the support of an
earlier answer is a safe start. A round's answer also says what binds, and with that the exact optimum is a matter of
linear equations (`active_set`): mostly after the first round already, and after an earlier answer without any.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.optimiser import active_set
from services.portfolio.domain.optimiser.branch_and_bound import Point
from services.portfolio.domain.optimiser.first_columns import first_columns, is_small
from services.portfolio.domain.optimiser.problem import Problem
from services.portfolio.domain.optimiser.program import Indices, Program
from services.portfolio.domain.optimiser.proof import Multipliers
from services.portfolio.domain.optimiser.trade_sides import TradeSides, slope_at_rest
from trading.errors import TradingError

_ROUNDS_MOST = 200
_AT_REST = 1e-10
_ADDED_LEAST = 40
_DEAD = 0.15
"""A chosen asset at rest with a slope above this, beside the gradient's size, is let go."""
_RESIZE = 32.0
"""The objective is solved again at its own size when it was this many times off: tolerances are absolute."""


class Chosen(NamedTuple):
    """What a master solves: the chosen assets move, the others rest; everything in solver's units."""

    program: Program
    """Sliced to the chosen assets; its covariance is theirs, divided by the variance."""
    cross: Floats
    """Σ̂ between the chosen assets and the resting portfolio."""
    rest_variance: float
    rest_total: float
    rest_excess: float
    rest_sectors: Floats
    rest_turnover: float
    rest_losses: Floats
    """T losses of the resting portfolio, for MIN_CVAR."""
    size: float
    """The objective's size, which the master divides it by."""


class Solved(NamedTuple):
    """A master's optimum: weights of the chosen assets, and multipliers in units of the slope."""

    weights: Floats
    multipliers: Multipliers


Master = Callable[[Chosen], Solved | None]
"""The optimum for the chosen assets, or None when they are infeasible."""


@dataclass(slots=True)
class ColumnGeneration:
    """One problem whose box may change from call to call, as branch and bound needs it."""

    problem: Problem
    program: Program
    master: Master
    warm: Indices | None = None
    """Assets to begin with; after a solution its support."""
    size: float = 1.0
    """The objective's size, which a master divides it by; after a solution its own."""
    weights: Floats | None = None
    """An earlier answer, from which to guess what binds; after a solution its own weights."""
    rounds: int = 0

    def solve(self, lower: Floats, upper: Floats) -> Point | None:
        """The global optimum inside a box, or None when there is none."""
        program = replace(self.program, lower=lower, upper=upper, rest=np.clip(self.program.rest, lower, upper))
        found = self._guessed(program) or self._generated(program)
        if found is not None:
            self.warm = np.flatnonzero(np.abs(found.weights - program.rest) > _AT_REST)
            self.weights = found.weights
        return found

    def _guessed(self, program: Program) -> Point | None:
        """The optimum, where what binds is much the same as in an earlier answer."""
        if self.weights is None or not active_set.is_for(program):
            return None
        found = active_set.solve(program, active_set.Guess.of(program, self.weights))
        if found is not None:
            self.size = program.objective_size(found.weights, program.times(found.weights))
        return found

    def _generated(self, program: Program) -> Point | None:
        """The optimum by rounds of a master, ended by exact equations as soon as they have it."""
        lower, upper = program.lower, program.upper
        sides, chosen = self._begun(program)
        found: Point | None = None
        is_settled = False
        for _ in range(_ROUNDS_MOST):
            try:
                solved, chosen, sides = self._solved(program, chosen, sides)
            except TradingError:
                if not is_settled:
                    raise
                break  # only the size was to be better, and what was found stands
            if solved is None:
                return None
            weights = program.rest.copy()
            weights[chosen] = np.clip(solved.weights, lower[chosen], upper[chosen])
            priced = _price(program, weights, chosen, solved.multipliers, sides)
            found = Point(program.objective(weights, priced.along), weights, solved.multipliers)
            is_sized = 1 / _RESIZE < priced.size / self.size < _RESIZE
            is_settled = not len(priced.improving)
            self.size = priced.size
            exact = _exact(program, weights, priced)
            if exact is not None:
                return exact
            if is_settled and is_sized:
                break
            sides.turn(priced.improving, chosen, priced.up, priced.down)
            chosen = priced.next_columns(chosen)
        assert found is not None
        return found

    def _begun(self, program: Program) -> tuple[TradeSides, Indices]:
        """The first assets, and the sides they trade to: both, where the master is not made of slopes or sees all."""
        is_quadratic = program.returns is None and program.risk_limit is None
        if not (program.trades_matter and is_quadratic) or is_small(program):
            return TradeSides.both(program), first_columns(self.problem, program, self.warm)
        slope = slope_at_rest(program)
        return TradeSides.of(program, slope), first_columns(self.problem, program, self.warm, slope)

    def _solved(
        self, program: Program, chosen: Indices, sides: TradeSides
    ) -> tuple[Solved | None, Indices, TradeSides]:
        """The master's answer, with the assets and sides it is for: more of them, where fewer are infeasible."""
        self.rounds += 1
        everything = np.arange(program.size)
        attempts = [(chosen, sides)]
        if len(chosen) < program.size:
            attempts.append((everything, sides))
        if sides.kept.any():
            attempts.append((everything, TradeSides.both(program)))
        for columns, each in attempts:
            solved = self.master(_restrict(each.narrowed(program), columns, self.size))
            if solved is not None:
                return solved, columns, each
        return None, chosen, sides


class _Priced(NamedTuple):
    """What the multipliers say of every asset."""

    along: Floats
    size: float
    improving: Indices
    """Assets at rest that would improve the portfolio, the most promising first."""
    alive: Indices
    """Chosen assets that are worth keeping."""
    up: Floats
    down: Floats
    """The Lagrangian's slopes of every asset when it rises, and when it falls."""

    def next_columns(self, chosen: Indices) -> Indices:
        """The assets of the next round."""
        if not len(self.improving):
            return chosen
        count = max(_ADDED_LEAST, len(chosen) // 3)
        return np.union1d(self.alive, self.improving[:count])


def _price(program: Program, weights: Floats, chosen: Indices, multipliers: Multipliers, sides: TradeSides) -> _Priced:
    along = program.along(weights, multipliers)
    up, down = program.directions(weights, along, multipliers, sides.standing(weights))
    gain = np.maximum(np.where(weights < program.upper, -up, 0.0), np.where(weights > program.lower, -down, 0.0))
    gain[chosen] = np.maximum(sides.unseen(up, down)[chosen], 0.0)
    improving = np.flatnonzero(gain > program.least_gain(weights, along, multipliers))
    ordered = improving[np.argsort(-gain[improving], kind="stable")]
    moved = np.abs(weights[chosen] - program.rest[chosen]) > _AT_REST
    risky, _ = program.gradient(weights, along, multipliers)
    near = np.minimum(np.abs(up[chosen]), np.abs(down[chosen])) < _DEAD * float(np.abs(risky[chosen]).max())
    return _Priced(along, program.objective_size(weights, along), ordered, chosen[moved | near], up, down)


def _exact(program: Program, weights: Floats, priced: _Priced) -> Point | None:
    """The optimum close to a master's, where there are equations for it."""
    if not active_set.is_for(program):
        return None
    guess = active_set.Guess.of(program, weights, priced.up).freeing(priced.improving)
    return active_set.solve(program, guess)


def everything(program: Program) -> Chosen:
    """The master's problem with every asset chosen."""
    return _restrict(program, np.arange(program.size), 1.0)


def _restrict(program: Program, chosen: Indices, size: float) -> Chosen:
    """The master's problem: slices of the chosen, and the resting portfolio as one fixed asset."""
    rest = program.rest.copy()
    rest[chosen] = 0.0
    cross, rest_variance = np.zeros(len(chosen)), 0.0
    rest_sectors: Floats = np.zeros(len(program.caps))
    losses = np.zeros(0 if program.returns is None else len(program.returns))
    if rest.any():
        along = program.times(rest)
        cross, rest_variance = along[chosen], float(rest @ along)
        if program.returns is not None:
            losses = -(program.returns @ rest)
        rest_sectors = program.sector_sums(rest)
    moved = rest - program.held
    moved[chosen] = 0.0
    part = replace(
        program,
        covariance=program.covariance[np.ix_(chosen, chosen)] / program.variance,
        variance=1.0,
        excess=program.excess[chosen],
        linear=program.linear[chosen],
        lower=program.lower[chosen],
        upper=program.upper[chosen],
        rest=program.rest[chosen],
        sector_of=program.sector_of[chosen],
        held=program.held[chosen],
        returns=None if program.returns is None else program.returns[:, chosen],
    )
    return Chosen(
        part,
        cross,
        rest_variance,
        float(rest.sum()),
        float(program.excess @ rest),
        rest_sectors,
        float(np.abs(moved).sum()),
        losses,
        size,
    )
