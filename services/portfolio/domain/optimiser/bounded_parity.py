"""Risk parity within bounds and sector caps: the allowed portfolio of the least ln σ(w) − Σ bᵢ ln wᵢ.

Without constraints this is risk parity itself, because its slope is zero where every share of the risk is its budget.
The function does not know the size of w, so that the budget Σw = 1 can be left out and every constraint written for
any size (Richard and Roncalli, 2019, call the answer constrained risk budgeting). What is left is convex:

    min ½ yᵀΣ̂y − Σ bᵢ ln yᵢ   with   yᵢ ≤ uᵢ·1ᵀy,   yᵢ ≥ lᵢ·1ᵀy,   Σ_sector y ≤ cap·1ᵀy

and is solved by Mehrotra's predictor and corrector with slacks: a Newton step to the optimum, then one that aims at
what the first has shown to be within reach.
"""

from typing import NamedTuple, Self

import numpy as np
from scipy.linalg.lapack import dgetrf, dgetrs

from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.optimiser.problem import SectorCap
from services.portfolio.domain.optimiser.proof import Multipliers

_STEPS_MOST = 150
_PRECISE = 1e-13
_GOOD = 1e-8
"""An error that will do, where rounding allows no less; the answer is proven in any case."""
_ROOM = 1e-9
"""What bounds get that leave no room inside, such as caps that sum to 1; less than an answer may break them by."""
_CENTRED = 0.1
"""Least product of slack and price to aim at, beside the error of the slope."""
_NEAR = 0.995
"""How much of the way to the nearest bound a step goes."""


class Parity(NamedTuple):
    """Weights that sum to 1, and the multipliers of the gradient Σw / wᵀΣw − b / w."""

    weights: Floats
    multipliers: Multipliers


class _Cone(NamedTuple):
    """The constraints as Gy ≤ 0: row k is the sum over its members less `share` of the sum over all."""

    members: Floats
    """K×N of 0, 1 and −1."""
    shares: Floats

    @classmethod
    def of(cls, lower: Floats, upper: Floats, caps: tuple[SectorCap, ...], room: float) -> Self:
        """Bounds that y > 0 does not keep by itself, widened by `room`: upper ones, then lower ones, then sectors."""
        size = len(lower)
        above, below = np.flatnonzero(upper < 1), np.flatnonzero(lower > 0)
        members = np.zeros((len(above) + len(below) + len(caps), size))
        members[np.arange(len(above)), above] = 1.0
        members[len(above) + np.arange(len(below)), below] = -1.0
        for row, sector in enumerate(caps, len(above) + len(below)):
            members[row, sector.members] = 1.0
        return cls(members, np.concatenate([upper[above], -lower[below], [sector.cap for sector in caps]]) + room)

    def times(self, y: Floats) -> Floats:
        """Gy."""
        product: Floats = self.members @ y - self.shares * float(y.sum())
        return product

    def back(self, prices: Floats) -> Floats:
        """Gᵀλ."""
        product: Floats = prices @ self.members - float(prices @ self.shares)
        return product

    def curvature(self, sizes: Floats) -> Floats:
        """Gᵀ·diag(sizes)·G."""
        single = np.count_nonzero(self.members, axis=1) == 1
        sectors = self.members[~single]
        product: Floats = sectors.T @ (sizes[~single][:, None] * sectors)
        product[np.diag_indices(len(product))] += sizes[single] @ np.abs(self.members[single])
        cross = (sizes * self.shares) @ self.members
        product -= cross[:, None] + cross[None, :]
        return product + float(sizes @ np.square(self.shares))


class _State(NamedTuple):
    """A point of the search: weights of any size, slacks and prices of the constraints."""

    y: Floats
    slacks: Floats
    prices: Floats

    def moved(self, direction: "_State", along: float, prices: float) -> "_State":
        return _State(
            self.y + along * direction.y,
            self.slacks + along * direction.slacks,
            self.prices + prices * direction.prices,
        )


def bounded_parity(
    covariance: Floats, budgets: Floats, lower: Floats, upper: Floats, caps: tuple[SectorCap, ...]
) -> Parity | None:
    """The best allowed weights for N positive budgets; None when the search does not settle.

    `lower`, `upper` and `caps` allow some positive portfolio that sums to 1.
    """
    budgets = budgets / budgets.sum()
    scaled = covariance / float(np.mean(np.diagonal(covariance)))
    for room in (0.0, _ROOM):
        cone = _Cone.of(lower, upper, caps, room)
        state = _searched(scaled, budgets, cone)
        if state is not None:
            return _parity(state, cone, len(caps))
    return None


def _searched(scaled: Floats, budgets: Floats, cone: _Cone) -> _State | None:
    state = _start(scaled, cone)
    best, least = state, np.inf
    for _ in range(_STEPS_MOST):
        slope = scaled @ state.y - budgets / state.y + cone.back(state.prices)
        missing = cone.times(state.y) + state.slacks
        gap = float(state.slacks @ state.prices) / max(len(state.slacks), 1)
        error = max(float(np.abs(state.y * slope).max()), float(np.abs(missing).max(initial=0.0)), gap)
        if error < least:
            best, least = state, error
        if least < _PRECISE or (least < _GOOD and error > least):
            break  # from here on rounding makes it worse
        try:
            state = _stepped(scaled, budgets, cone, state, slope, missing, gap)
        except np.linalg.LinAlgError:
            break
    return best if least < _GOOD else None


def _start(scaled: Floats, cone: _Cone) -> _State:
    size = len(scaled)
    y = np.full(size, 1.0 / max(float(scaled.sum()), 1e-6) ** 0.5)
    slacks = np.maximum(-cone.times(y), float(y.mean()) / 10)
    return _State(y, slacks, np.full(len(slacks), 1.0 / max(len(slacks), 1)))


def _stepped(
    scaled: Floats, budgets: Floats, cone: _Cone, state: _State, slope: Floats, missing: Floats, gap: float
) -> _State:
    curvature = scaled + cone.curvature(state.prices / state.slacks)
    curvature[np.diag_indices(len(curvature))] += budgets / np.square(state.y)
    size = 1.0 / np.sqrt(np.diagonal(curvature))
    # LU and not Cholesky: near the optimum rounding may take the last digits of definiteness
    factor, pivots, singular = dgetrf(curvature * np.outer(size, size))
    if singular:
        raise np.linalg.LinAlgError

    def direction(aim: Floats) -> _State:
        """To the point where slack times price is `aim`."""
        push = (state.prices * missing + aim) / state.slacks - state.prices
        y = dgetrs(factor, pivots, -(slope + cone.back(push)) * size)[0] * size
        slacks = -missing - cone.times(y)
        return _State(y, slacks, (aim - state.prices * slacks) / state.slacks - state.prices)

    first = direction(np.zeros_like(missing))
    tried = state.moved(first, *_reach(state, first, 1.0))
    within = float(tried.slacks @ tried.prices) / max(len(missing), 1)
    error = float(np.abs(state.y * slope).max())  # a gap that runs ahead of it would leave no room to mend it
    aim = min(gap, max((within / gap) ** 3 * gap, _CENTRED * error)) if gap > 0 else 0.0
    second = direction(aim - first.slacks * first.prices)
    along = min(_reach(state, second, _NEAR))
    return state.moved(second, along, along)


def _reach(state: _State, direction: _State, part: float) -> tuple[float, float]:
    """How far y and slacks, and prices, can go before one of them is zero."""
    primal = min(_room(state.y, direction.y), _room(state.slacks, direction.slacks))
    return min(1.0, part * primal), min(1.0, part * _room(state.prices, direction.prices))


def _room(values: Floats, steps: Floats) -> float:
    falling = steps < 0
    return float((-values[falling] / steps[falling]).min(initial=np.inf))


def _parity(state: _State, cone: _Cone, caps: int) -> Parity:
    """The slope of ln σ − Σ b ln w is that of the search times the size of y, because yᵀΣ̂y is Σb = 1."""
    total = float(state.y.sum())
    sectors = state.prices[len(state.prices) - caps :] * total
    budget = -float(state.prices @ cone.shares) * total
    return Parity(state.y / total, Multipliers(budget=budget, sectors=tuple(sectors.tolist())))
