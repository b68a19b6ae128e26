"""Risk questions from the wire, and reports to it."""

from collections.abc import Iterable

import numpy as np

from neuraltrader.portfolio.v1 import portfolio_service_pb2 as calls
from neuraltrader.portfolio.v1 import risk_service_pb2 as risk_calls
from services.portfolio.domain.matrices import Floats, matrix_of, vector_of
from services.portfolio.domain.risk import PositionKind, RiskReport
from services.portfolio.domain.risk_inputs import Exposures, RiskRequest, Subject
from services.portfolio.domain.simulation import LossDistribution, Method, Plan
from services.portfolio.domain.stress import Outcome, Scenario, parse_day
from services.portfolio.translate.defaults import PERIODS_PER_YEAR, RISK_FREE_RATE
from trading.errors import InvalidArgument

_POSITION_KINDS = {
    calls.POSITION_KIND_UNSPECIFIED: PositionKind.WEIGHTS,
    calls.POSITION_KIND_WEIGHTS: PositionKind.WEIGHTS,
    calls.POSITION_KIND_NOTIONAL: PositionKind.NOTIONAL,
}
_METHODS = {
    risk_calls.SIMULATION_METHOD_UNSPECIFIED: Method.HISTORICAL_BOOTSTRAP,
    risk_calls.SIMULATION_METHOD_HISTORICAL_BOOTSTRAP: Method.HISTORICAL_BOOTSTRAP,
    risk_calls.SIMULATION_METHOD_GAUSSIAN: Method.GAUSSIAN,
    risk_calls.SIMULATION_METHOD_STUDENT_T: Method.STUDENT_T,
}
_PLAN = Plan()


def risk_request_of(request: calls.CalculateRiskRequest) -> RiskRequest:
    """The risk question of a request; raises Refusal for wrong shapes, InvalidArgument for unknown options."""
    symbols = tuple(request.symbols)
    kind = _POSITION_KINDS.get(request.position_kind)
    if kind is None:
        raise InvalidArgument("Expected a known kind.", field="position_kind", was=request.position_kind)
    has_history = bool(request.account) or request.HasField("window")
    return RiskRequest(
        symbols=symbols,
        positions=np.array(request.positions, dtype=np.float64),
        kind=kind,
        returns=_returns_of(request.returns_f64le, len(symbols), or_history=has_history),
        market=vector_of("market_returns", request.market_returns_f64le),
        benchmark=request.benchmark,
        window_days=request.window.days,
        account=request.account,
        risk_free_rate=request.risk_free_rate if request.HasField("risk_free_rate") else RISK_FREE_RATE,
        periods_per_year=request.periods_per_year or PERIODS_PER_YEAR,
    )


def _returns_of(data: bytes, columns: int, *, or_history: bool) -> Floats | None:
    return None if or_history and not data else matrix_of("returns", data, columns)


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
        gross_exposure=report.gross_exposure,
        net_exposure=report.net_exposure,
        input_sha256=report.input_sha256,
    )


def subject_of(request: risk_calls.SimulateLossesRequest | risk_calls.StressTestRequest) -> Subject:
    """Whose losses are asked for."""
    return Subject(request.account, tuple(request.symbols), tuple(request.values))


def plan_of(request: risk_calls.SimulateLossesRequest) -> Plan:
    """How a simulation is to be done; raises InvalidArgument for an unknown method."""
    method = _METHODS.get(request.method)
    if method is None:
        raise InvalidArgument("Expected a known method.", field="method", was=request.method)
    return Plan(
        method=method,
        horizon_days=request.horizon_days or _PLAN.horizon_days,
        paths=request.paths or _PLAN.paths,
        seed=request.seed,
        degrees_of_freedom=request.degrees_of_freedom or _PLAN.degrees_of_freedom,
        block_days=request.block_days or _PLAN.block_days,
    )


def simulated_returns_of(request: risk_calls.SimulateLossesRequest) -> Floats | None:
    """Returns that came with the request, or None for those of history."""
    return _returns_of(request.returns_f64le, len(request.symbols), or_history=True)


def losses_response(found: LossDistribution) -> risk_calls.SimulateLossesResponse:
    """Simulated losses on the wire."""
    return risk_calls.SimulateLossesResponse(
        value=found.value,
        var_95=found.var_95,
        cvar_95=found.cvar_95,
        var_99=found.var_99,
        cvar_99=found.cvar_99,
        mean=found.mean,
        deviation=found.deviation,
        var_95_error=found.var_95_error,
        loss_probability=found.loss_probability,
        percentiles=found.percentiles,
        symbols=found.symbols,
        observations=found.observations,
        input_sha256=found.input_sha256,
    )


def scenario_of(message: risk_calls.StressScenario) -> Scenario:
    """A scenario from the wire; raises InvalidArgument for a day that is none."""
    first, last = message.history_start, message.history_end
    if bool(first) != bool(last):
        raise InvalidArgument("Expected both ends of a stretch.", field="scenarios.history_end", scenario=message.name)
    return Scenario(
        name=message.name,
        symbol_shocks=dict(message.symbol_shocks),
        sector_shocks=dict(message.sector_shocks),
        market_shock=message.market_shock if message.HasField("market_shock") else None,
        first_day=parse_day(first, "scenarios.history_start") if first else None,
        last_day=parse_day(last, "scenarios.history_end") if last else None,
    )


def stress_response(outcomes: Iterable[Outcome], exposures: Exposures) -> risk_calls.StressTestResponse:
    """Outcomes on the wire."""
    return risk_calls.StressTestResponse(
        outcomes=[
            risk_calls.StressOutcome(
                name=outcome.name,
                profit=outcome.profit,
                fraction=outcome.fraction,
                by_symbol=outcome.by_symbol,
                error=outcome.error,
            )
            for outcome in outcomes
        ],
        gross_value=exposures.gross,
        net_value=exposures.net,
    )
