"""Solves the chosen part of a portfolio problem with PIQP's dense interior-point method.

The variables are x = (w, t, κ): the weights, t ≥ |w − κw₀| of assets whose trades are no simple sum of weights, and
the scale κ. For MAX_SHARPE κ is free and the excess return is 1 (Charnes and Cooper, 1962): every constraint is
multiplied by it. For all others κ is 1, and its row and column move into the constants.
"""

from typing import Any, NamedTuple

import numpy as np
import piqp

from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.optimiser.column_generation import Chosen, Solved
from services.portfolio.domain.optimiser.program import Indices
from services.portfolio.domain.optimiser.proof import Multipliers
from trading.errors import Kind, TradingError

_TOLERANCES = (1e-11, 1e-9, 1e-7)
"""Tried in turn: as tight as the problem lets it be."""
_FREE = np.inf
_NO_VARIANCE = 1e-14


class _Layout(NamedTuple):
    """Where what stands among the variables."""

    weights: int
    trades: Indices
    """Positions, among the chosen, of the assets with a trade variable of their own."""
    simple: Floats
    """1 for every asset that can only be bought, −1 for every one that can only be sold."""
    held: float
    """Σ simple·w₀: with it the turnover of these assets is simple·w − κ·held."""

    @property
    def size(self) -> int:
        return self.weights + len(self.trades) + 1

    @property
    def turnover(self) -> Floats:
        """The row that sums all trades of the chosen, among them κ's."""
        row = np.zeros(self.size)
        row[: self.weights] = self.simple
        row[self.weights : -1] = 1.0
        row[-1] = -self.held
        return row


class _Rows(NamedTuple):
    """Inequalities Gx ≤ h under a name."""

    name: str
    rows: Floats
    bounds: Floats


def solve(chosen: Chosen) -> Solved | None:
    """The optimum, or None when the chosen assets are infeasible; raises SOLVER_FAILED when the solver gives up."""
    program = chosen.program
    layout = _layout(chosen)
    quadratic, linear = _objective(chosen, layout)
    equal, equals = _equalities(chosen, layout)
    groups = _inequalities(chosen, layout)
    rows = np.vstack([group.rows for group in groups]) if groups else np.zeros((0, layout.size))
    bounds = np.concatenate([group.bounds for group in groups]) if groups else np.zeros(0)
    lower, upper = _box(chosen, layout)
    if not program.is_ratio:  # κ is 1: its column belongs to the constants
        linear = linear[:-1] + quadratic[:-1, -1]
        quadratic = quadratic[:-1, :-1]
        equals, bounds = equals - equal[:, -1], bounds - rows[:, -1]
        equal, rows, lower, upper = equal[:, :-1], rows[:, :-1], lower[:-1], upper[:-1]
    result = _run(quadratic, linear, equal, equals, rows, bounds, lower, upper)
    return None if result is None else _solved(chosen, layout, groups, result)


def _layout(chosen: Chosen) -> _Layout:
    program = chosen.program
    count = len(program.excess)
    if not program.trades_matter:
        return _Layout(count, np.zeros(0, np.intp), np.zeros(count), 0.0)
    buys = program.lower >= program.held
    sells = ~buys & (program.upper <= program.held)
    simple = buys.astype(np.float64) - sells
    return _Layout(count, np.flatnonzero(~buys & ~sells), simple, float(simple @ program.held))


def _objective(chosen: Chosen, layout: _Layout) -> tuple[Floats, Floats]:
    program, count = chosen.program, layout.weights
    quadratic = np.zeros((layout.size, layout.size), order="F")
    quadratic[:count, :count] = program.covariance
    quadratic[:count, -1] = quadratic[-1, :count] = chosen.cross
    quadratic[-1, -1] = chosen.rest_variance
    linear = np.zeros(layout.size)
    if not program.is_ratio:
        linear[:count] = -program.linear
        linear += program.penalty * layout.turnover
    quadratic /= chosen.size
    return quadratic, linear / chosen.size


def _total(chosen: Chosen, layout: _Layout) -> Floats:
    row = np.zeros(layout.size)
    row[: layout.weights] = 1.0
    row[-1] = chosen.rest_total - 1.0
    return row


def _net(chosen: Chosen, layout: _Layout) -> Floats:
    """The row of the net excess return."""
    program = chosen.program
    row = -program.cost * layout.turnover if program.cost else np.zeros(layout.size)
    row[: layout.weights] += program.excess
    row[-1] += chosen.rest_excess - program.cost * chosen.rest_turnover
    return row


def _equalities(chosen: Chosen, layout: _Layout) -> tuple[Floats, Floats]:
    program = chosen.program
    rows, values = [], []
    if not program.allows_cash:
        rows.append(_total(chosen, layout))
        values.append(0.0)
    if program.is_ratio:
        rows.append(_net(chosen, layout) / program.reach)
        values.append(1.0)
    return np.array(rows).reshape(len(rows), layout.size), np.array(values)


def _inequalities(chosen: Chosen, layout: _Layout) -> list[_Rows]:
    program = chosen.program
    groups: list[_Rows] = []
    if len(program.caps):
        groups.append(_Rows("sectors", *_sectors(chosen, layout)))
    if program.allows_cash:
        groups.append(_Rows("budget", _total(chosen, layout)[None, :], np.zeros(1)))
    if program.limit is not None:
        row = layout.turnover
        row[-1] += chosen.rest_turnover - program.limit
        groups.append(_Rows("turnover", row[None, :], np.zeros(1)))
    if program.target is not None:
        row = -_net(chosen, layout)
        row[-1] += program.target
        groups.append(_Rows("target", row[None, :], np.zeros(1)))
    if len(layout.trades):
        rows = _trade_rows(chosen, layout)
        groups.append(_Rows("trades", rows, np.zeros(len(rows))))
    if program.is_ratio:
        rows = _scaled_box(chosen, layout)
        groups.append(_Rows("box", rows, np.zeros(len(rows))))
    return groups


def _sectors(chosen: Chosen, layout: _Layout) -> tuple[Floats, Floats]:
    program = chosen.program
    rows = np.zeros((len(program.caps), layout.size))
    capped = np.flatnonzero(program.sector_of >= 0)
    rows[program.sector_of[capped], capped] = 1.0
    rows[:, -1] = chosen.rest_sectors - program.caps
    return rows, np.zeros(len(rows))


def _trade_rows(chosen: Chosen, layout: _Layout) -> Floats:
    """±(w − κw₀) − t ≤ 0."""
    count = len(layout.trades)
    rows = np.zeros((2 * count, layout.size))
    for sign, first in ((1.0, 0), (-1.0, count)):
        at = np.arange(first, first + count)
        rows[at, layout.trades] = sign
        rows[at, layout.weights + np.arange(count)] = -1.0
        rows[at, -1] = -sign * chosen.program.held[layout.trades]
    return rows


def _scaled_box(chosen: Chosen, layout: _Layout) -> Floats:
    """w ≤ κ·upper and w ≥ κ·lower, where the budget and w ≥ 0 do not say it already."""
    program = chosen.program
    is_long = bool((program.lower >= 0).all()) and chosen.rest_total >= 0
    above = np.flatnonzero(program.upper < 1.0 if is_long else np.isfinite(program.upper))
    below = np.flatnonzero(program.lower)
    rows = np.zeros((len(above) + len(below), layout.size))
    rows[np.arange(len(above)), above] = 1.0
    rows[: len(above), -1] = -program.upper[above]
    at = len(above) + np.arange(len(below))
    rows[at, below] = -1.0
    rows[at, -1] = program.lower[below]
    return rows


def _box(chosen: Chosen, layout: _Layout) -> tuple[Floats, Floats]:
    program, count = chosen.program, layout.weights
    lower, upper = np.zeros(layout.size), np.full(layout.size, _FREE)
    if program.is_ratio:
        lower[:count] = np.where(program.lower >= 0, 0.0, -_FREE)
    else:
        lower[:count], upper[:count] = program.lower, program.upper
    return lower, upper


def _run(
    quadratic: Floats,
    linear: Floats,
    equal: Floats,
    equals: Floats,
    rows: Floats,
    bounds: Floats,
    lower: Floats,
    upper: Floats,
) -> Any:
    """The result, None when there is no feasible point."""
    given = [np.asfortranarray(equal), equals] if len(equal) else [None, None]
    limits = [np.asfortranarray(rows), np.full(len(rows), -_FREE), bounds] if len(rows) else [None, None, None]
    status: Any = None
    for tolerance in _TOLERANCES:
        solver = piqp.DenseSolver()
        settings = solver.settings
        settings.eps_abs = settings.eps_rel = tolerance
        settings.eps_duality_gap_abs = settings.eps_duality_gap_rel = tolerance
        settings.max_iter = 100
        solver.setup(np.asfortranarray(quadratic), linear, *given, *limits, lower, upper)
        status = solver.solve()
        if status == piqp.PIQP_SOLVED:
            return solver.result
        if status == piqp.PIQP_PRIMAL_INFEASIBLE:
            return None
    raise TradingError(Kind.INTERNAL, "SOLVER_FAILED", f"PIQP ended as {status}.", route="piqp")


def _solved(chosen: Chosen, layout: _Layout, groups: list[_Rows], result: Any) -> Solved:
    program, x = chosen.program, np.asarray(result.x)
    scale, unit = 1.0, 1.0 / chosen.size
    if program.is_ratio:
        scale = float(x[-1])
        y = np.append(x[: layout.weights], scale)
        variance = float(y[:-1] @ program.covariance @ y[:-1]) + scale * float(
            2 * chosen.cross @ y[:-1] + scale * chosen.rest_variance
        )
        unit = max(variance, _NO_VARIANCE) / chosen.size / program.reach
    prices = _prices(groups, np.asarray(result.z_u), unit)
    budget = prices.get("budget", np.zeros(1))[0] if program.allows_cash else float(result.y[0]) / unit
    return Solved(
        x[: layout.weights] / scale,
        Multipliers(
            budget=float(budget),
            sectors=tuple(prices.get("sectors", np.zeros(0)).tolist()),
            target=float(prices.get("target", np.zeros(1))[0]),
            turnover=float(prices.get("turnover", np.zeros(1))[0]),
        ),
    )


def _prices(groups: list[_Rows], duals: Floats, unit: float) -> dict[str, Floats]:
    """Multipliers by the names of their rows."""
    prices, first = {}, 0
    for group in groups:
        prices[group.name] = duals[first : first + len(group.rows)] / unit
        first += len(group.rows)
    return prices
