"""Optimisation and risk questions from the wire, and their answers onto it."""

import numpy as np

from neuraltrader.portfolio.v1 import portfolio_service_pb2 as pb
from services.portfolio.domain.matrices import Floats, Refusal, require_finite
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
from services.portfolio.domain.risk import PositionKind, RiskQuestion, RiskReport, market_of
from trading.errors import InvalidArgument

RISK_FREE_RATE = 0.02
RISK_AVERSION = 5.0
PERIODS_PER_YEAR = 252.0
_FLOAT = np.dtype("<f8")
_NS_PER_MS = 1e6
_OBJECTIVES = {
    pb.OBJECTIVE_UNSPECIFIED: Objective.MAX_SHARPE,
    pb.OBJECTIVE_MIN_VARIANCE: Objective.MIN_VARIANCE,
    pb.OBJECTIVE_MAX_SHARPE: Objective.MAX_SHARPE,
    pb.OBJECTIVE_MAX_UTILITY: Objective.MAX_UTILITY,
    pb.OBJECTIVE_TARGET_RETURN: Objective.TARGET_RETURN,
}
_MIN_POSITION_KINDS = {
    pb.MIN_POSITION_KIND_UNSPECIFIED: MinPositionKind.SEMICONTINUOUS,
    pb.MIN_POSITION_KIND_SEMICONTINUOUS: MinPositionKind.SEMICONTINUOUS,
    pb.MIN_POSITION_KIND_HARD: MinPositionKind.HARD,
}
_POSITION_KINDS = {
    pb.POSITION_KIND_UNSPECIFIED: PositionKind.WEIGHTS,
    pb.POSITION_KIND_WEIGHTS: PositionKind.WEIGHTS,
    pb.POSITION_KIND_NOTIONAL: PositionKind.NOTIONAL,
}


def problem_of(request: pb.OptimizeRequest) -> Problem:
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


def _moments_of(request: pb.OptimizeRequest, symbols: tuple[str, ...]) -> Moments:
    count = len(symbols)
    if not request.returns_f64le:
        covariance = _matrix("covariance", request.covariance_f64le, count)
        return given_moments(np.array(request.expected_returns, dtype=np.float64), covariance, symbols)
    if request.covariance_f64le or request.expected_returns:
        raise InvalidArgument("Expected moments or returns, not both.", field="returns")
    returns = _matrix("returns", request.returns_f64le, count)
    return moments_of_returns(returns, symbols, request.periods_per_year or PERIODS_PER_YEAR)


def _constraints_of(message: pb.Constraints) -> Constraints:
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


def _current_of(request: pb.OptimizeRequest, symbols: tuple[str, ...]) -> Floats | None:
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


def question_of(request: pb.CalculateRiskRequest) -> RiskQuestion:
    """The risk question of a request; raises Refusal for wrong shapes, InvalidArgument for unknown options."""
    symbols = tuple(request.symbols)
    kind = _POSITION_KINDS.get(request.position_kind)
    if kind is None:
        raise InvalidArgument("Expected a known kind.", field="position_kind", was=request.position_kind)
    returns = _matrix("returns", request.returns_f64le, len(symbols))
    market = _vector("market_returns", request.market_returns_f64le)
    return RiskQuestion(
        symbols=symbols,
        positions=np.array(request.positions, dtype=np.float64),
        kind=kind,
        returns=returns,
        market=market if market is not None else market_of(symbols, returns, request.benchmark),
        risk_free_rate=request.risk_free_rate if request.HasField("risk_free_rate") else RISK_FREE_RATE,
        periods_per_year=request.periods_per_year or PERIODS_PER_YEAR,
    )


def _matrix(name: str, data: bytes, columns: int) -> Floats:
    """Rows of `columns` values; a copy only where the machine is not little-endian."""
    row_bytes = columns * _FLOAT.itemsize
    if not row_bytes or not data or len(data) % row_bytes:
        numbers = {"bytes": len(data), "bytes_per_row": row_bytes}
        raise Refusal("SHAPE_MISMATCH", f"Expected {name} of whole rows of {columns} float64.", name, numbers)
    return np.frombuffer(data, _FLOAT).astype(np.float64, copy=False).reshape(-1, columns)


def _vector(name: str, data: bytes) -> Floats | None:
    return _matrix(name, data, 1).ravel() if data else None


def optimize_response(proven: Proven) -> pb.OptimizeResponse:
    """A proven answer on the wire."""
    answer, solution = proven.answer, proven.answer.solution
    return pb.OptimizeResponse(
        allocations=answer.allocations,
        cash=answer.cash,
        expected_return=answer.expected_return,
        risk=answer.risk,
        sharpe_ratio=answer.sharpe_ratio,
        objective_value=answer.objective_value,
        turnover=answer.turnover,
        binding_constraints=answer.binding_constraints,
        psd="verified",
        solver=pb.SolverReport(
            route=solution.route,
            status=solution.status,
            time_ms=proven.time_ns / _NS_PER_MS,
            gap=solution.gap,
            kkt_residual=answer.kkt_residual,
            max_violation=answer.max_violation,
        ),
        input_sha256=proven.input_sha256,
    )


def risk_response(report: RiskReport) -> pb.CalculateRiskResponse:
    """A risk report on the wire."""
    return pb.CalculateRiskResponse(
        var_95=report.var_95,
        cvar_95=report.cvar_95,
        var_95_gaussian=report.var_95_gaussian,
        cvar_95_gaussian=report.cvar_95_gaussian,
        beta=report.beta,
        sharpe_ratio=report.sharpe_ratio,
        sortino_ratio=report.sortino_ratio,
        max_drawdown=report.max_drawdown,
        volatility=report.volatility,
        annual_return=report.annual_return,
        tracking_error=report.tracking_error,
        correlation=report.correlation,
        observations=report.observations,
    )
