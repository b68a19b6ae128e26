"""Solves the chosen part of a MIN_CVAR problem as a linear program with HiGHS (Rockafellar and Uryasev, 2000).

    min α + 1 / ((1 − β)·T) · Σₜ uₜ    with  uₜ ≥ −R̂ₜw − α,  u ≥ 0

over the weights w, the value at risk α, the excess losses u and, where trades matter, t ≥ |w − w₀|.
"""

from typing import Any

import highspy
import numpy as np

from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.optimiser.column_generation import Chosen, Solved, everything
from services.portfolio.domain.optimiser.problem import BUDGET, Problem
from services.portfolio.domain.optimiser.program import Indices, Program
from services.portfolio.domain.optimiser.proof import Multipliers, net_excess
from trading.errors import Kind, TradingError

_TOLERANCE = 1e-9
_FREE = highspy.kHighsInf
_highs: Any = highspy
"""Untyped here: half of the library's functions carry no annotations."""


class LinearProgram:
    """min costᵀx with lower ≤ x ≤ upper and rows added by name."""

    def __init__(self, cost: Floats, lower: Floats, upper: Floats) -> None:
        self._cost, self._lower, self._upper = cost, lower, upper
        self._rows: list[Floats] = []
        self._least: list[Floats] = []
        self._most: list[Floats] = []
        self._slices: dict[str, slice] = {}
        self._count = 0

    def add(self, name: str, rows: Floats, least: Floats | float, most: Floats | float) -> None:
        """least ≤ rows · x ≤ most."""
        count = len(rows)
        self._rows.append(rows)
        self._least.append(np.broadcast_to(np.asarray(least, np.float64), count))
        self._most.append(np.broadcast_to(np.asarray(most, np.float64), count))
        self._slices[name] = slice(self._count, self._count + count)
        self._count += count

    def solve(self) -> "Optimum | None":
        """The optimum, or None when there is no feasible point; raises SOLVER_FAILED when the solver gives up."""
        solver: Any = _highs.Highs()
        solver.setOptionValue("output_flag", False)
        solver.setOptionValue("threads", 1)
        solver.setOptionValue("primal_feasibility_tolerance", _TOLERANCE)
        solver.setOptionValue("dual_feasibility_tolerance", _TOLERANCE)
        solver.passModel(self._model())
        solver.run()
        status = solver.getModelStatus()
        if status == highspy.HighsModelStatus.kOptimal:
            found = solver.getSolution()
            return Optimum(np.array(found.col_value), np.array(found.row_dual), self._slices)
        if status in {highspy.HighsModelStatus.kInfeasible, highspy.HighsModelStatus.kUnboundedOrInfeasible}:
            return None
        raise TradingError(Kind.INTERNAL, "SOLVER_FAILED", f"HiGHS ended as {status}.", route="highs")

    def _model(self) -> Any:
        matrix = np.vstack(self._rows)
        model = highspy.HighsLp()
        model.num_col_, model.num_row_ = len(self._cost), len(matrix)
        model.col_cost_, model.col_lower_, model.col_upper_ = self._cost, self._lower, self._upper
        model.row_lower_, model.row_upper_ = np.concatenate(self._least), np.concatenate(self._most)
        held = matrix != 0
        starts = np.concatenate([[0], np.cumsum(held.sum(axis=1))])
        model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        model.a_matrix_.start_, model.a_matrix_.index_ = starts.astype(np.int32), np.nonzero(held)[1].astype(np.int32)
        model.a_matrix_.value_ = matrix[held]
        return model


class Optimum:
    """Values of the variables, and what each row would pay for one more unit."""

    def __init__(self, values: Floats, duals: Floats, slices: dict[str, slice]) -> None:
        self.values = values
        self._duals, self._slices = duals, slices

    def duals(self, name: str) -> Floats:
        """Multipliers of the rows of that name; none when there are no such rows."""
        return self._duals[self._slices[name]] if name in self._slices else np.zeros(0)

    def dual(self, name: str) -> float:
        """The multiplier of the one row of that name, 0 when there is none."""
        return float(self.duals(name).sum())


def solve(chosen: Chosen) -> Solved | None:
    """The optimum for the chosen assets, or None when they are infeasible."""
    program = chosen.program
    assert program.returns is not None
    periods, count = program.returns.shape
    trades = _split(chosen)
    width = count + len(trades) + 1 + periods
    cost = np.zeros(width)
    cost[count + len(trades)] = 1.0
    cost[-periods:] = 1 / ((1 - program.beta) * periods)
    lower, upper = np.zeros(width), np.full(width, _FREE)
    lower[:count], upper[:count] = program.lower, program.upper
    lower[count + len(trades)] = -_FREE
    linear = LinearProgram(cost, lower, upper)
    scenarios = np.zeros((periods, width))
    scenarios[:, :count] = program.returns
    scenarios[:, count + len(trades)] = 1.0
    scenarios[np.arange(periods), width - periods + np.arange(periods)] = 1.0
    linear.add("tail", scenarios, chosen.rest_losses if len(chosen.rest_losses) else 0.0, _FREE)
    add_couplings(linear, chosen, trades, width)
    optimum = linear.solve()
    if optimum is None:
        return None
    return Solved(
        optimum.values[:count],
        Multipliers(
            budget=-optimum.dual("budget"),
            sectors=tuple((-optimum.duals("sectors")).tolist()),
            turnover=-optimum.dual("turnover"),
            tail=_probabilities(optimum.duals("tail"), program.beta),
        ),
    )


def _probabilities(duals: Floats, beta: float) -> Floats:
    """Duals without their rounding: within bounds, summing to 1."""
    most = 1 / ((1 - beta) * len(duals))
    clipped = np.clip(duals, 0.0, most)
    total = float(clipped.sum())
    clean: Floats = np.minimum(clipped / total, most) if total else clipped
    return clean


def _split(chosen: Chosen) -> Indices:
    """Assets with a trade variable of their own; of the others the turnover is the weight."""
    program = chosen.program
    if not program.trades_matter:
        return np.zeros(0, np.intp)
    return np.flatnonzero((program.held != 0) | (program.lower < 0))


def add_couplings(linear: LinearProgram, chosen: Chosen, trades: Indices, width: int) -> None:
    """Budget, sector caps and turnover as rows; the trade variables follow the weights."""
    program, count = chosen.program, len(chosen.program.excess)
    total = np.zeros((1, width))
    total[0, :count] = 1.0
    left = BUDGET - chosen.rest_total
    linear.add("budget", total, -_FREE if program.allows_cash else left, left)
    if len(program.caps):
        rows = np.zeros((len(program.caps), width))
        capped = np.flatnonzero(program.sector_of >= 0)
        rows[program.sector_of[capped], capped] = 1.0
        linear.add("sectors", rows, -_FREE, program.caps - chosen.rest_sectors)
    if not program.trades_matter:
        return
    if program.limit is not None:
        turnover = _turnover_row(count, trades, width)[None, :]
        linear.add("turnover", turnover, -_FREE, program.limit - chosen.rest_turnover)
    for sign, name in ((1.0, "above"), (-1.0, "below")):
        rows = np.zeros((len(trades), width))
        rows[np.arange(len(trades)), trades] = -sign
        rows[np.arange(len(trades)), count + np.arange(len(trades))] = 1.0
        linear.add(name, rows, -sign * program.held[trades], _FREE)


def _turnover_row(count: int, trades: Indices, width: int) -> Floats:
    """Σ|w − w₀| of the chosen assets, over the weights and the trade variables."""
    row = np.zeros(width)
    row[:count] = 1.0
    row[trades] = 0.0
    row[count : count + len(trades)] = 1.0
    return row


def most_excess(problem: Problem) -> float | None:
    """The most (μ − rf)ᵀw, less what the trades cost, under the convex constraints; None when nothing is feasible."""
    chosen = everything(Program.of(problem))
    program, trades = chosen.program, _split(chosen)
    count, width = problem.size, problem.size + len(trades)
    lower, upper = np.zeros(width), np.full(width, _FREE)
    lower[:count], upper[:count] = program.lower, program.upper
    cost = np.concatenate([-problem.excess, np.zeros(len(trades))])
    if problem.turnover_cost:
        cost += problem.turnover_cost * _turnover_row(count, trades, width)
    linear = LinearProgram(cost, lower, upper)
    add_couplings(linear, chosen, trades, width)
    optimum = linear.solve()
    return None if optimum is None else net_excess(problem, optimum.values[:count])
