"""Solves a portfolio problem over a factor model with PIQP's sparse interior-point method.

With Σ̂ = BᵀB + diag(d) the variance is ‖f‖² + Σ dᵢwᵢ² for the factor exposures f = Bw of the portfolio: K more
variables and K more rows, and no product of assets with assets anywhere. MAX_SHARPE has one more variable, the scale
κ of every constraint (Charnes and Cooper, 1962).
"""

from typing import Any

import numpy as np
import piqp
from scipy import sparse

from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.optimiser.branch_and_bound import Point
from services.portfolio.domain.optimiser.problem import FactorModel
from services.portfolio.domain.optimiser.program import Program
from services.portfolio.domain.optimiser.proof import Multipliers
from trading.errors import Kind, TradingError

_TOLERANCES = (1e-11, 1e-9, 1e-7)
_FREE = np.inf
_NO_VARIANCE = 1e-14
_RESIZE = 32.0


def solve(program: Program, model: FactorModel) -> Point | None:
    """The optimum over all assets, or None when there is none; raises SOLVER_FAILED when the solver gives up."""
    size = 1.0
    for _ in range(2):
        result = _run(program, model, size)
        if result is None:
            return None
        weights, multipliers = _read(program, model, result, size)
        along = _along(program, model, weights)
        own = program.objective_size(weights, along)
        if 1 / _RESIZE < own / size < _RESIZE:
            break
        size = own
    return Point(program.objective(weights, along), weights, multipliers)


def _along(program: Program, model: FactorModel, weights: Floats) -> Floats:
    product: Floats = (model.loadings.T @ (model.loadings @ weights) + model.specific * weights) / program.variance
    return product


def _run(program: Program, model: FactorModel, size: float) -> Any:
    factors, count = model.loadings.shape
    width = count + factors + program.is_ratio
    diagonal = np.zeros(width)
    diagonal[:count] = model.specific / program.variance / size
    diagonal[count : count + factors] = 1.0 / size
    linear = np.zeros(width)
    if not program.is_ratio:
        linear[:count] = -program.linear / size
    equal, equals = _equalities(program, model)
    rows, bounds = _inequalities(program, width, factors)
    lower, upper = np.full(width, -_FREE), np.full(width, _FREE)
    if program.is_ratio:
        lower[:count], lower[-1] = np.where(program.lower >= 0, 0.0, -_FREE), 0.0
    else:
        lower[:count], upper[:count] = program.lower, program.upper
    limits = [rows, np.full(len(bounds), -_FREE), bounds] if len(bounds) else [None, None, None]
    status: Any = None
    for tolerance in _TOLERANCES:
        solver = piqp.SparseSolver()
        solver.settings.eps_abs = solver.settings.eps_rel = tolerance
        solver.settings.eps_duality_gap_abs = solver.settings.eps_duality_gap_rel = tolerance
        solver.setup(sparse.diags_array(diagonal, format="csc"), linear, equal, equals, *limits, lower, upper)
        status = solver.solve()
        if status == piqp.PIQP_SOLVED:
            return solver.result
        if status == piqp.PIQP_PRIMAL_INFEASIBLE:
            return None
    raise TradingError(Kind.INTERNAL, "SOLVER_FAILED", f"PIQP ended as {status}.", route="piqp-sparse")


def _equalities(program: Program, model: FactorModel) -> tuple[Any, Floats]:
    """f = Bw, then the budget where there is no cash, then the excess return of 1."""
    factors, count = model.loadings.shape
    scale = np.zeros((factors, 1)) if program.is_ratio else np.zeros((factors, 0))
    rows = [np.hstack([model.loadings / program.variance**0.5, -np.eye(factors), scale])]
    values = [np.zeros(factors)]
    if not program.allows_cash:
        rows.append(_total(program, factors))
        values.append(np.array([0.0 if program.is_ratio else 1.0]))
    if program.is_ratio:
        row = np.zeros((1, count + factors + 1))
        row[0, :count] = program.excess / program.reach
        rows.append(row)
        values.append(np.ones(1))
    return sparse.csc_array(np.vstack(rows)), np.concatenate(values)


def _total(program: Program, factors: int) -> Floats:
    """Σw, less κ."""
    row = np.zeros((1, program.size + factors + program.is_ratio))
    row[0, : program.size] = 1.0
    if program.is_ratio:
        row[0, -1] = -1.0
    return row


def _inequalities(program: Program, width: int, factors: int) -> tuple[Any, Floats]:
    """Sector caps, the budget with cash, the target, and the box of MAX_SHARPE, in this order."""
    rows, bounds = [], []
    if len(program.caps):
        sectors = np.zeros((len(program.caps), width))
        capped = np.flatnonzero(program.sector_of >= 0)
        sectors[program.sector_of[capped], capped] = 1.0
        if program.is_ratio:
            sectors[:, -1] = -program.caps
        rows.append(sparse.csc_array(sectors))
        bounds.append(np.zeros(len(program.caps)) if program.is_ratio else program.caps)
    if program.allows_cash:
        rows.append(sparse.csc_array(_total(program, factors)))
        bounds.append(np.array([0.0 if program.is_ratio else 1.0]))
    if program.target is not None:
        target = np.zeros((1, width))
        target[0, : program.size] = -program.excess
        rows.append(sparse.csc_array(target))
        bounds.append(np.array([-program.target]))
    if program.is_ratio:
        rows.append(_scaled_box(program, width))
        bounds.append(np.zeros(rows[-1].shape[0]))
    return (sparse.vstack(rows, format="csc"), np.concatenate(bounds)) if rows else (None, np.zeros(0))


def _scaled_box(program: Program, width: int) -> Any:
    """w ≤ κ·upper and w ≥ κ·lower."""
    above = np.flatnonzero(np.isfinite(program.upper))
    below = np.flatnonzero(program.lower)
    count = len(above) + len(below)
    at = np.arange(count)
    values = np.concatenate([np.ones(len(above)), -np.ones(len(below))])
    scale = np.concatenate([-program.upper[above], program.lower[below]])
    columns = np.concatenate([above, below, np.full(count, width - 1)])
    return sparse.csc_array((np.concatenate([values, scale]), (np.concatenate([at, at]), columns)), (count, width))


def _read(program: Program, model: FactorModel, result: Any, size: float) -> tuple[Floats, Multipliers]:
    count, x, duals = program.size, np.asarray(result.x), np.asarray(result.z_u)
    scale, unit = 1.0, 1.0 / size
    if program.is_ratio:
        scale = float(x[-1])
        unit = max(float(x[:count] @ _along(program, model, x[:count])), _NO_VARIANCE) / size / program.reach
    sectors = len(program.caps)
    budget = float(duals[sectors]) if program.allows_cash else float(result.y[len(model.loadings)])
    target = float(duals[sectors + program.allows_cash]) if program.target is not None else 0.0
    weights = np.clip(x[:count] / scale, program.lower, program.upper)
    return weights, Multipliers(budget / unit, tuple((duals[:sectors] / unit).tolist()), target / unit)
