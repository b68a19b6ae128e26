"""Which way an asset may trade, so that its turnover is no absolute value: up or down from what is held.

|w − w₀| has a kink at w₀ and costs a master one more variable and two more rows for each asset. An asset that may only
rise needs neither, because its turnover is w − w₀, and one that may only fall needs neither, with w₀ − w. So column
generation chooses assets together with a side. A side is a guess like the choice of the assets: where the prices say
that the other side would improve the portfolio, the asset is turned, and at the second time it gets both.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.optimiser.program import Indices, Program
from services.portfolio.domain.optimiser.proof import Multipliers

_TURNS_MOST = 2
_SPARE = 1.3
"""How much more is offered for sale than a turnover limit can use."""
_OFFERED_MOST = 400
_OFFERED_FREELY = 150
"""How many are offered when turnover has a cost and no limit."""

Flags = npt.NDArray[np.bool_]


@dataclass(slots=True)
class TradeSides:
    """The sides of all N assets, while one program is solved."""

    held: Floats
    free: Flags
    """Assets whose box reaches to both sides of what is held."""
    rises: Flags
    falls: Flags
    turns: npt.NDArray[np.int8]

    @classmethod
    def of(cls, program: Program, slope: Floats) -> Self:
        """Assets with a small slope rise, the others fall."""
        rises = slope < float(np.median(slope))
        free = (program.lower < program.held) & (program.held < program.upper)
        return cls(program.held, free, rises, ~rises, np.zeros(program.size, np.int8))

    @classmethod
    def both(cls, program: Program) -> Self:
        """No asset is kept to a side."""
        no = np.zeros(program.size, np.bool_)
        return cls(program.held, no, ~no, ~no, np.zeros(program.size, np.int8))

    @property
    def kept(self) -> Flags:
        """Assets that have one side only."""
        kept: Flags = self.free & (self.rises != self.falls)
        return kept

    def narrowed(self, program: Program) -> Program:
        """The program in which every asset keeps to its side."""
        kept = self.kept
        lower = np.where(kept & self.rises, self.held, program.lower)
        upper = np.where(kept & self.falls, self.held, program.upper)
        return replace(program, lower=lower, upper=upper)

    def standing(self, weights: Floats) -> Floats:
        """Where the slopes of both sides are to be read: at the kink, of an asset that knows only one of them."""
        return np.where(self.kept, self.held, weights)

    def unseen(self, up: Floats, down: Floats) -> Floats:
        """What the chosen would gain on the side that their master did not see."""
        hidden = np.where(self.rises, -down, -up)
        return np.where(self.kept, hidden, 0.0)

    def turn(self, improving: Indices, chosen: Indices, up: Floats, down: Floats) -> None:
        """Give the improving assets the side that improves; both, to one that keeps turning."""
        rises = up[improving] < down[improving]
        self.turns[np.intersect1d(improving, chosen)] += 1
        both = self.turns[improving] >= _TURNS_MOST
        self.rises[improving], self.falls[improving] = rises | both, ~rises | both


def slope_at_rest(program: Program) -> Floats:
    """The gradient where nothing is traded: the smaller it is, the more an asset is worth buying."""
    along = program.times(program.rest)
    risky, reward = program.gradient(program.rest, along, Multipliers())
    if program.is_ratio and program.net(program.rest) <= 0:
        risky = np.zeros_like(reward)  # nothing is earned yet that risk could be weighed against
    slope: Floats = risky - reward
    return slope


def offered(program: Program, slope: Floats) -> Indices:
    """Assets to sell: as many of the largest slopes as the turnover can use, and what breaks a sector's cap."""
    room = np.maximum(program.held - program.lower, 0.0)
    surplus = max(float(program.rest.sum()) - 1.0, 0.0)
    needed = np.inf if program.limit is None else _SPARE * program.limit / 2 + surplus
    chosen = [_most(room, slope, needed)]
    if program.target is not None:
        chosen.append(_most(room, -program.excess, needed))
    for row, cap in enumerate(program.caps):
        members = np.where(program.sector_of == row, room, 0.0)
        over = float(program.rest[program.sector_of == row].sum()) - float(cap)
        if over > 0:
            chosen.append(_most(members, slope, 2 * over))
    return np.unique(np.concatenate(chosen)).astype(np.intp)


def _most(room: Floats, values: Floats, needed: float) -> Indices:
    """The assets of the largest values whose room adds up to what is needed."""
    order = np.argsort(-values, kind="stable")
    order = order[room[order] > 0]
    count = int(np.searchsorted(np.cumsum(room[order]), needed)) + 1
    most: Indices = order[: min(count, _OFFERED_MOST if np.isfinite(needed) else _OFFERED_FREELY)]
    return most
