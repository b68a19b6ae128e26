"""Problems from the wire, and answers to it."""

import numpy as np

from neuraltrader.portfolio.v1 import portfolio_service_pb2 as calls
from services.portfolio.domain.matrices import Floats, matrix_of, require_finite
from services.portfolio.domain.optimiser.answer import Proven
from services.portfolio.domain.optimiser.problem import (
    Constraints,
    MinPositionKind,
    Moments,
    Objective,
    Problem,
    given_moments,
    moments_of_returns,
)
from services.portfolio.translate.defaults import PERIODS_PER_YEAR, RISK_AVERSION, RISK_FREE_RATE
from trading.errors import InvalidArgument

_NS_PER_MS = 1e6
_OBJECTIVES = {
    calls.OBJECTIVE_UNSPECIFIED: Objective.MAX_SHARPE,
    calls.OBJECTIVE_MIN_VARIANCE: Objective.MIN_VARIANCE,
    calls.OBJECTIVE_MAX_SHARPE: Objective.MAX_SHARPE,
    calls.OBJECTIVE_MAX_UTILITY: Objective.MAX_UTILITY,
    calls.OBJECTIVE_TARGET_RETURN: Objective.TARGET_RETURN,
}
_MIN_POSITION_KINDS = {
    calls.MIN_POSITION_KIND_UNSPECIFIED: MinPositionKind.SEMICONTINUOUS,
    calls.MIN_POSITION_KIND_SEMICONTINUOUS: MinPositionKind.SEMICONTINUOUS,
    calls.MIN_POSITION_KIND_HARD: MinPositionKind.HARD,
}


def problem_of(request: calls.OptimizeRequest) -> Problem:
    """The problem a request poses; raises Refusal for what is no problem, InvalidArgument for an unknown option."""
    symbols = tuple(request.symbols)
    objective = _OBJECTIVES.get(request.objective)
    if objective is None:
        raise InvalidArgument("Expected a known objective.", field="objective", was=request.objective)
    return Problem(
        symbols=symbols,
        moments=_moments_of(request, symbols),
        objective=objective,
        risk_free_rate=request.risk_free_rate if request.HasField("risk_free_rate") else RISK_FREE_RATE,
        risk_aversion=request.risk_aversion if request.HasField("risk_aversion") else RISK_AVERSION,
        target_return=request.target_return if request.HasField("target_return") else None,
        constraints=_constraints_of(request.constraints),
        current=_current_of(request, symbols),
    )


def _moments_of(request: calls.OptimizeRequest, symbols: tuple[str, ...]) -> Moments:
    count = len(symbols)
    if not request.returns_f64le:
        covariance = matrix_of("covariance", request.covariance_f64le, count)
        return given_moments(np.array(request.expected_returns, dtype=np.float64), covariance, symbols)
    if request.covariance_f64le or request.expected_returns:
        raise InvalidArgument("Expected moments or returns, not both.", field="returns")
    returns = matrix_of("returns", request.returns_f64le, count)
    return moments_of_returns(returns, symbols, request.periods_per_year or PERIODS_PER_YEAR)


def _constraints_of(message: calls.Constraints) -> Constraints:
    kind = _MIN_POSITION_KINDS.get(message.min_position_kind)
    if kind is None:
        raise InvalidArgument(
            "Expected a known kind.", field="constraints.min_position_kind", was=message.min_position_kind
        )
    return Constraints(
        max_position_size=message.max_position_size if message.HasField("max_position_size") else 1.0,
        min_position_size=message.min_position_size if message.HasField("min_position_size") else 0.0,
        min_position_kind=kind,
        sectors=dict(message.sectors),
        sector_caps=dict(message.sector_caps),
        turnover_limit=message.turnover_limit if message.HasField("turnover_limit") else None,
        allow_cash=message.allow_cash,
    )


def _current_of(request: calls.OptimizeRequest, symbols: tuple[str, ...]) -> Floats | None:
    held = dict(request.current_positions)
    if not held:
        return None
    strangers = sorted(set(held) - set(symbols))
    if strangers:
        raise InvalidArgument(
            f"Positions are held in symbols that the problem lacks: {', '.join(strangers[:5])}.",
            reason="UNKNOWN_SYMBOL",
            field="current_positions",
        )
    current = np.array([held.get(symbol, 0.0) for symbol in symbols], dtype=np.float64)
    require_finite("current_positions", current)
    return current


def optimize_response(proven: Proven) -> calls.OptimizeResponse:
    """A proven answer on the wire."""
    answer, solution = proven.answer, proven.answer.solution
    return calls.OptimizeResponse(
        allocations=answer.allocations,
        cash=answer.cash,
        expected_return=answer.expected_return,
        risk=answer.risk,
        sharpe_ratio=answer.sharpe_ratio,
        objective_value=answer.objective_value,
        turnover=answer.turnover,
        binding_constraints=answer.binding_constraints,
        psd="verified",
        solver=calls.SolverReport(
            route=solution.route,
            status=solution.status,
            time_ms=proven.time_ns / _NS_PER_MS,
            gap=solution.gap,
            kkt_residual=answer.kkt_residual,
            max_violation=answer.max_violation,
        ),
        input_sha256=proven.input_sha256,
    )
