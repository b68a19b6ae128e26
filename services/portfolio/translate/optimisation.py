"""Problems from the wire, and answers to it."""

import numpy as np

from neuraltrader.portfolio.v1 import portfolio_service_pb2 as calls
from services.portfolio.domain.estimation.black_litterman import View, expected_returns
from services.portfolio.domain.estimation.covariance import HALF_LIFE, Estimator, moments_of_returns
from services.portfolio.domain.matrices import (
    Floats,
    Refusal,
    matrix_of,
    require_finite,
    require_square,
    symmetric,
    vector_of,
)
from services.portfolio.domain.optimiser.answer import Proven
from services.portfolio.domain.optimiser.definiteness import factor_of
from services.portfolio.domain.optimiser.problem import (
    Bounds,
    Constraints,
    FactorModel,
    MinPositionKind,
    Moments,
    Objective,
    Problem,
    Recall,
    factor_moments,
    given_moments,
    recall_nothing,
)
from services.portfolio.translate.defaults import BETA, PERIODS_PER_YEAR, RISK_AVERSION, RISK_FREE_RATE
from trading.errors import InvalidArgument

_FLOAT_BYTES = 8
_NS_PER_MS = 1e6
_OBJECTIVES = {
    calls.OBJECTIVE_UNSPECIFIED: Objective.MAX_SHARPE,
    calls.OBJECTIVE_MIN_VARIANCE: Objective.MIN_VARIANCE,
    calls.OBJECTIVE_MAX_SHARPE: Objective.MAX_SHARPE,
    calls.OBJECTIVE_MAX_UTILITY: Objective.MAX_UTILITY,
    calls.OBJECTIVE_TARGET_RETURN: Objective.TARGET_RETURN,
    calls.OBJECTIVE_TARGET_RISK: Objective.TARGET_RISK,
    calls.OBJECTIVE_MIN_CVAR: Objective.MIN_CVAR,
    calls.OBJECTIVE_RISK_PARITY: Objective.RISK_PARITY,
    calls.OBJECTIVE_HRP: Objective.HRP,
}
_ESTIMATORS = {
    calls.COVARIANCE_ESTIMATOR_UNSPECIFIED: Estimator.SAMPLE,
    calls.COVARIANCE_ESTIMATOR_SAMPLE: Estimator.SAMPLE,
    calls.COVARIANCE_ESTIMATOR_LEDOIT_WOLF: Estimator.LEDOIT_WOLF,
    calls.COVARIANCE_ESTIMATOR_EWMA: Estimator.EWMA,
}
_MIN_POSITION_KINDS = {
    calls.MIN_POSITION_KIND_UNSPECIFIED: MinPositionKind.SEMICONTINUOUS,
    calls.MIN_POSITION_KIND_SEMICONTINUOUS: MinPositionKind.SEMICONTINUOUS,
    calls.MIN_POSITION_KIND_HARD: MinPositionKind.HARD,
}


def problem_of(
    request: calls.OptimizeRequest, window: Floats | None = None, recall: Recall = recall_nothing
) -> Problem:
    """The problem a request poses; `window` are the returns that were read for it, where it asked for them.

    Raises Refusal for what is no problem, InvalidArgument for an unknown option.
    """
    symbols = tuple(request.symbols)
    covariance = request.covariance_f64le  # each look copies it
    returns = _returns_of(request, covariance, window)
    objective = _OBJECTIVES.get(request.objective)
    if objective is None:
        raise InvalidArgument("Expected a known objective.", field="objective", was=request.objective)
    return Problem(
        symbols=symbols,
        moments=_with_views(request, symbols, _moments_of(request, symbols, returns, covariance, recall)),
        objective=objective,
        risk_free_rate=_or(request, "risk_free_rate", RISK_FREE_RATE),
        risk_aversion=_or(request, "risk_aversion", RISK_AVERSION),
        target_return=request.target_return if request.HasField("target_return") else None,
        constraints=_constraints_of(request.constraints),
        current=_current_of(request, symbols),
        target_risk=request.target_risk if request.HasField("target_risk") else None,
        beta=_or(request, "beta", BETA),
        turnover_cost=_or(request, "turnover_cost", 0.0),
        returns=returns if objective is Objective.MIN_CVAR else None,
        risk_budgets=dict(request.risk_budgets),
    )


def _or(request: calls.OptimizeRequest, name: str, default: float) -> float:
    """An option, or what leaving it out means."""
    return float(getattr(request, name)) if request.HasField(name) else default  # type: ignore[arg-type]


def _returns_of(request: calls.OptimizeRequest, covariance: bytes, window: Floats | None) -> Floats | None:
    """The returns behind the moments, from the one source that the request names; None when it sends moments."""
    sent = request.returns_f64le
    given = [
        name
        for name, is_given in (
            ("returns", bool(sent)),
            ("window", request.HasField("window")),
            ("covariance", bool(covariance)),
            ("exposures", bool(request.exposures_f64le)),
        )
        if is_given
    ]
    if len(given) > 1:
        raise InvalidArgument(f"Expected one source of moments, was {' and '.join(given)}.", field=given[0])
    if request.HasField("window"):
        return window
    return matrix_of("returns", sent, len(request.symbols)) if sent else None


def _moments_of(
    request: calls.OptimizeRequest,
    symbols: tuple[str, ...],
    returns: Floats | None,
    covariance: bytes,
    recall: Recall,
) -> Moments:
    if returns is not None:
        if request.expected_returns:
            raise InvalidArgument("Expected moments or returns, not both.", field="returns")
        return moments_of_returns(
            returns,
            symbols,
            request.periods_per_year or PERIODS_PER_YEAR,
            _estimator_of(request),
            request.ewma_half_life or HALF_LIFE,
        )
    count = len(symbols)
    expected = np.array(request.expected_returns, dtype=np.float64)
    if request.views and not len(expected):
        expected = np.zeros(count)  # the market implies them
    if request.exposures_f64le:
        return factor_moments(expected, _model_of(request, count), symbols)
    return given_moments(expected, matrix_of("covariance", covariance, count), symbols, recall)


def _estimator_of(request: calls.OptimizeRequest) -> Estimator:
    estimator = _ESTIMATORS.get(request.covariance_estimator)
    if estimator is None:
        raise InvalidArgument(
            "Expected a known estimator.", field="covariance_estimator", was=request.covariance_estimator
        )
    return estimator


def _model_of(request: calls.OptimizeRequest, count: int) -> FactorModel:
    """B·F·Bᵀ + diag(D) as loadings of K×N whose factors are independent."""
    specific = vector_of("residual_variances", request.residual_variances_f64le)
    row_bytes = len(request.exposures_f64le) // max(count, 1)
    exposures = matrix_of("exposures", request.exposures_f64le, max(row_bytes // _FLOAT_BYTES, 1))
    if len(exposures) != count:
        numbers = {"expected_rows": count, "was": len(exposures)}
        raise Refusal("SHAPE_MISMATCH", f"Expected exposures of {count} rows.", "exposures", numbers)
    factors = exposures.shape[1]
    covariance = matrix_of("factor_covariance", request.factor_covariance_f64le, factors)
    require_square("factor_covariance", covariance, factors)
    require_finite("factor_covariance", covariance)
    names = [f"factor {index}" for index in range(factors)]
    root = factor_of(symmetric(names, covariance))
    return FactorModel(root @ exposures.T, np.zeros(count) if specific is None else specific)


def _with_views(request: calls.OptimizeRequest, symbols: tuple[str, ...], moments: Moments) -> Moments:
    if not request.views:
        return moments
    views = [View(dict(view.weights), view.value, view.confidence) for view in request.views]
    posterior = expected_returns(
        symbols,
        moments.covariance,
        dict(request.market_weights),
        views,
        _or(request, "risk_free_rate", RISK_FREE_RATE),
        _or(request, "risk_aversion", RISK_AVERSION),
    )
    return moments._replace(expected_returns=posterior)


def _bounds_of(message: calls.Constraints) -> dict[str, Bounds]:
    """Bounds of single symbols; the side that is not given is the common one."""
    least = message.min_position_size if message.HasField("min_position_size") else 0.0
    most = message.max_position_size if message.HasField("max_position_size") else 1.0
    lower, upper = dict(message.lower_bounds), dict(message.upper_bounds)
    if message.min_position_kind != calls.MIN_POSITION_KIND_HARD:
        least = 0.0
    return {
        symbol: Bounds(lower.get(symbol, least), upper.get(symbol, most)) for symbol in dict.fromkeys([*lower, *upper])
    }


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
        bounds=_bounds_of(message),
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
        psd=proven.psd,
        solver=calls.SolverReport(
            route=solution.route,
            status=solution.status,
            time_ms=proven.time_ns / _NS_PER_MS,
            gap=solution.gap,
            kkt_residual=answer.kkt_residual,
            max_violation=answer.max_violation,
        ),
        input_sha256=proven.input_sha256,
        cvar=answer.cvar,
        risk_contributions=answer.risk_contributions,
    )
