"""Solves the chosen part of a TARGET_RISK problem with cvxpy and Clarabel, in factor form.

Risk is ‖Fw + f‖ with FᵀF the covariance of the chosen assets, never a quadratic form: cvxpy then neither factors
Σ again nor guesses whether it is convex. Everything that differs from call to call is a parameter (DPP), and the
numbers of assets are rounded up to few sizes with assets that must stay at zero, so that a program is compiled once for
each size and form, and solved again ever after.
"""

import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import cvxpy
import numpy as np

from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.optimiser.column_generation import Chosen, Solved
from services.portfolio.domain.optimiser.definiteness import factor_of
from services.portfolio.domain.optimiser.problem import BUDGET
from services.portfolio.domain.optimiser.proof import Multipliers
from trading.errors import Kind, TradingError

cp: Any = cvxpy
"""Untyped here: the library's annotations know half of its own functions."""

_SIZES = (16, 32, 64, 96, 128, 160, 192, 256, 320, 384, 512, 768, 1024)
_PROGRAMS_KEPT = 16
_ATTEMPTS: tuple[dict[str, float], ...] = tuple(
    {"tol_gap_abs": tolerance, "tol_gap_rel": tolerance, "tol_feas": tolerance} for tolerance in (1e-11, 1e-9, 1e-8)
)
_INFEASIBLE = (cp.INFEASIBLE, cp.INFEASIBLE_INACCURATE)


class _Form(NamedTuple):
    """What distinguishes one compiled program from another."""

    size: int
    sectors: int
    allows_cash: bool
    limits_turnover: bool
    trades_matter: bool


@dataclass(frozen=True, slots=True)
class _Compiled:
    """One program with its parameters and the constraints whose multipliers are read."""

    program: Any
    weights: Any
    values: dict[str, Any]
    rows: dict[str, Any]

    def dual(self, name: str) -> float:
        """The multiplier of a constraint, 0 when there is none."""
        return float(np.sum(self.rows[name].dual_value)) if name in self.rows else 0.0


def solve(chosen: Chosen) -> Solved | None:
    """The optimum for the chosen assets, or None when they are infeasible."""
    program, count = chosen.program, len(chosen.program.excess)
    form = _Form(
        _padded(count), len(program.caps), program.allows_cash, program.limit is not None, program.trades_matter
    )
    compiled = _compiled(form)
    _fill(compiled.values, chosen, form)
    status = _run(compiled.program)
    if status in _INFEASIBLE:
        return None
    weights = np.asarray(compiled.weights.value, dtype=np.float64)[:count]
    factor = compiled.values["factor"].value[:, :count]
    risk = float(np.linalg.norm(factor @ weights + compiled.values["offset"].value))
    binds = risk > (program.risk_limit or 0.0) / 2  # a limit that is far away has no price
    sectors = np.atleast_1d(compiled.rows["sectors"].dual_value) if form.sectors else np.zeros(0)
    return Solved(
        weights,
        Multipliers(
            budget=compiled.dual("budget"),
            sectors=tuple(sectors.tolist()),
            turnover=compiled.dual("turnover"),
            risk=compiled.dual("risk") / risk if binds else 0.0,
        ),
    )


def _padded(count: int) -> int:
    return next((size for size in _SIZES if size >= count), count)


@lru_cache(_PROGRAMS_KEPT)
def _compiled(form: _Form) -> _Compiled:
    size = form.size
    weights = cp.Variable(size)
    values = {
        "factor": cp.Parameter((size + 1, size)),
        "offset": cp.Parameter(size + 1),
        "excess": cp.Parameter(size),
        "lower": cp.Parameter(size),
        "upper": cp.Parameter(size),
        "total": cp.Parameter(),
        "risk": cp.Parameter(nonneg=True),
    }
    rows = {
        "budget": cp.sum(weights) <= values["total"] if form.allows_cash else cp.sum(weights) == values["total"],
        "risk": cp.norm(values["factor"] @ weights + values["offset"], 2) <= values["risk"],
        "lower": weights >= values["lower"],
        "upper": weights <= values["upper"],
    }
    if form.sectors:
        values["members"], values["caps"] = cp.Parameter((form.sectors, size)), cp.Parameter(form.sectors)
        rows["sectors"] = values["members"] @ weights <= values["caps"]
    goal = values["excess"] @ weights
    if form.trades_matter:
        values["held"], values["cost"] = cp.Parameter(size), cp.Parameter(nonneg=True)
        turnover = cp.norm1(weights - values["held"])
        goal = goal - values["cost"] * turnover
        if form.limits_turnover:
            values["limit"] = cp.Parameter()
            rows["turnover"] = turnover <= values["limit"]
    return _Compiled(cp.Problem(cp.Maximize(goal), list(rows.values())), weights, values, rows)


def _fill(values: dict[str, Any], chosen: Chosen, form: _Form) -> None:
    program, count, size = chosen.program, len(chosen.program.excess), form.size
    factor, offset = _factor(chosen, size)
    values["factor"].value, values["offset"].value = factor, offset
    for name, short in (("excess", program.excess), ("lower", program.lower), ("upper", program.upper)):
        values[name].value = _longer(short, size)
    values["total"].value = BUDGET - chosen.rest_total
    values["risk"].value = program.risk_limit
    if form.sectors:
        members = np.zeros((form.sectors, size))
        capped = np.flatnonzero(program.sector_of >= 0)
        members[program.sector_of[capped], capped] = 1.0
        values["members"].value, values["caps"].value = members, program.caps - chosen.rest_sectors
    if form.trades_matter:
        values["held"].value, values["cost"].value = _longer(program.held, size), program.cost
    if form.limits_turnover and program.limit is not None:
        values["limit"].value = program.limit - chosen.rest_turnover
    assert count <= size


def _longer(short: Floats, size: int) -> Floats:
    longer = np.zeros(size)
    longer[: len(short)] = short
    return longer


def _factor(chosen: Chosen, size: int) -> tuple[Floats, Floats]:
    """F and f of the risk, padded: of the covariance bordered by the resting portfolio, as one more asset."""
    program, count = chosen.program, len(chosen.program.excess)
    bordered = np.zeros((count + 1, count + 1))
    bordered[:count, :count] = program.covariance
    bordered[:count, -1] = bordered[-1, :count] = chosen.cross
    bordered[-1, -1] = chosen.rest_variance
    found = factor_of(bordered)
    factor, offset = np.zeros((size + 1, size)), np.zeros(size + 1)
    factor[: len(found), :count] = found[:, :count]
    offset[: len(found)] = found[:, -1]
    return factor, offset


def _run(program: Any) -> str:
    status = str(cp.SOLVER_ERROR)
    for tolerances in _ATTEMPTS:
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")  # the status says it, and the proof judges it
                program.solve(solver=cp.CLARABEL, **tolerances)
        except cp.SolverError:
            continue
        status = str(program.status)
        if status == cp.OPTIMAL or status in _INFEASIBLE:
            return status
    if status != cp.OPTIMAL_INACCURATE:
        raise TradingError(Kind.INTERNAL, "SOLVER_FAILED", f"The solver ended as {status}.", route="cvxpy/clarabel")
    return status
