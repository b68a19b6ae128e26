"""Risk questions from the wire, and reports to it."""

import numpy as np

from neuraltrader.portfolio.v1 import portfolio_service_pb2 as calls
from services.portfolio.domain.matrices import matrix_of, vector_of
from services.portfolio.domain.risk import PositionKind, RiskQuestion, RiskReport, market_of
from services.portfolio.translate.defaults import PERIODS_PER_YEAR, RISK_FREE_RATE
from trading.errors import InvalidArgument

_POSITION_KINDS = {
    calls.POSITION_KIND_UNSPECIFIED: PositionKind.WEIGHTS,
    calls.POSITION_KIND_WEIGHTS: PositionKind.WEIGHTS,
    calls.POSITION_KIND_NOTIONAL: PositionKind.NOTIONAL,
}


def question_of(request: calls.CalculateRiskRequest) -> RiskQuestion:
    """The risk question of a request; raises Refusal for wrong shapes, InvalidArgument for unknown options."""
    symbols = tuple(request.symbols)
    kind = _POSITION_KINDS.get(request.position_kind)
    if kind is None:
        raise InvalidArgument("Expected a known kind.", field="position_kind", was=request.position_kind)
    returns = matrix_of("returns", request.returns_f64le, len(symbols))
    market = vector_of("market_returns", request.market_returns_f64le)
    return RiskQuestion(
        symbols=symbols,
        positions=np.array(request.positions, dtype=np.float64),
        kind=kind,
        returns=returns,
        market=market if market is not None else market_of(symbols, returns, request.benchmark),
        risk_free_rate=request.risk_free_rate if request.HasField("risk_free_rate") else RISK_FREE_RATE,
        periods_per_year=request.periods_per_year or PERIODS_PER_YEAR,
    )


def risk_response(report: RiskReport) -> calls.CalculateRiskResponse:
    """A risk report on the wire."""
    return calls.CalculateRiskResponse(
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
