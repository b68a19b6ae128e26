"""Between the wire and the words of the trade; what makes no sense is refused here, once."""

import numpy as np
from google.protobuf.message import DecodeError

from neuraltrader.common.v1 import common_pb2 as common
from neuraltrader.execution.v1 import execution_pb2 as execution
from neuraltrader.execution.v1 import execution_service_pb2 as execution_calls
from neuraltrader.portfolio.v1 import portfolio_pb2 as pb
from neuraltrader.portfolio.v1 import portfolio_service_pb2 as calls
from services.portfolio.domain.account import AccountTerms, AccountValue, PositionChange, PositionValue
from services.portfolio.domain.ledger import Charge, Fill
from services.portfolio.domain.matrices import Floats, matrix_of, require_finite, vector_of
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
from trading.errors import AmountOutOfRange, InvalidArgument
from trading.money import MAX_NANOS, Money
from trading.order import Side, TradingState

RISK_FREE_RATE = 0.02
RISK_AVERSION = 5.0
PERIODS_PER_YEAR = 252.0
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
_POSITION_KINDS = {
    calls.POSITION_KIND_UNSPECIFIED: PositionKind.WEIGHTS,
    calls.POSITION_KIND_WEIGHTS: PositionKind.WEIGHTS,
    calls.POSITION_KIND_NOTIONAL: PositionKind.NOTIONAL,
}
_SIDES = {execution.SIDE_BUY: Side.BUY, execution.SIDE_SELL: Side.SELL}
_CHARGE_KINDS = {value: name.removeprefix("CHARGE_KIND_") for name, value in execution.ChargeKind.items() if value}
_STATES = {
    execution.TRADING_STATE_ACTIVE: TradingState.ACTIVE,
    execution.TRADING_STATE_REDUCING: TradingState.REDUCING,
    execution.TRADING_STATE_HALTED: TradingState.HALTED,
}


def fill_of_event(payload: bytes) -> Fill | None:
    """The fill that an order event carries, or None for another event; raises InvalidArgument for no event."""
    event = execution.OrderEvent()
    try:
        event.ParseFromString(payload)
    except DecodeError as error:
        raise InvalidArgument("Not an order event.", bytes=len(payload)) from error
    if event.kind != execution.ORDER_EVENT_KIND_FILL:
        return None
    return fill_of(event.fill)


def fill_of(message: execution.Fill) -> Fill:
    """A fill in our words; raises InvalidArgument when it lacks what the book needs."""
    side = _SIDES.get(message.side)
    named = message.event_id and message.account and message.symbol and message.currency
    if not named or side is None or message.quantity_nanos <= 0 or message.price_nanos < 0:
        raise InvalidArgument(
            "Expected a fill with id, account, symbol, currency, side, price and quantity.", event_id=message.event_id
        )
    return Fill(
        event_id=message.event_id,
        account=message.account,
        symbol=message.symbol,
        currency=message.currency,
        side=side,
        price_nanos=message.price_nanos,
        quantity_nanos=message.quantity_nanos,
        fee_nanos=message.fee_nanos,
        order_id=message.order_id,
        execution_id=message.execution_id,
        event_time_ns=message.event_time_ns,
        log_sequence=message.log_sequence,
    )


def charge_of_event(payload: bytes) -> Charge:
    """The charge that an event is; raises InvalidArgument for no charge."""
    message = execution.Charge()
    try:
        message.ParseFromString(payload)
    except DecodeError as error:
        raise InvalidArgument("Not a charge.", bytes=len(payload)) from error
    return charge_of(message)


def charge_of(message: execution.Charge) -> Charge:
    """A charge in our words; raises InvalidArgument when it lacks what the book needs."""
    kind = _CHARGE_KINDS.get(message.kind)
    if not (message.charge_id and message.account and message.currency and message.sequence > 0) or kind is None:
        raise InvalidArgument(
            "Expected a charge with id, account, kind, currency and sequence.", charge_id=message.charge_id
        )
    return Charge(
        event_id=message.charge_id,
        account=message.account,
        kind=kind,
        symbol=message.symbol,
        currency=message.currency,
        amount_nanos=message.amount_nanos,
        quantity_nanos=message.quantity_nanos,
        event_time_ns=message.event_time_ns,
        receive_time_ns=message.receive_time_ns,
        sequence=message.sequence,
        log_sequence=message.log_sequence,
    )


def terms_of(message: execution_calls.Account) -> AccountTerms:
    """What execution says of an account; an unspecified state is read as ACTIVE."""
    return AccountTerms(
        message.id,
        message.venue,
        message.currency,
        _STATES.get(message.trading_state, TradingState.ACTIVE).value,
        message.opening_cash_nanos,
        message.buying_power_nanos,
    )


def money_message(currency: str, nanos: int) -> common.Money:
    """An exact sum on the wire."""
    units, part = Money(currency, nanos).split()
    return common.Money(currency=currency, units=units, nanos=part)


def position_message(value: PositionValue) -> pb.Position:
    """A valued position on the wire; raises AmountOutOfRange when its quantity leaves int64 nanos."""
    position = value.position
    if abs(position.quantity_nanos) > MAX_NANOS:
        raise AmountOutOfRange("The position is beyond ±9.22e9.", symbol=position.symbol)
    return pb.Position(
        account=position.account,
        symbol=position.symbol,
        quantity_nanos=position.quantity_nanos,
        avg_price_nanos=position.avg_price_nanos,
        mark_price_nanos=value.mark_nanos,
        market_value=money_message(position.currency, value.market_value_nanos),
        unrealized_pnl=money_message(position.currency, value.unrealized_nanos),
        realized_pnl=money_message(position.currency, position.realized_nanos),
        fees=money_message(position.currency, position.fees_nanos),
        fill_count=position.fill_count,
        updated_time_ns=position.updated_time_ns,
    )


def change_message(change: PositionChange, value: PositionValue, cash_nanos: int) -> pb.PositionChanged:
    """A change of a position on the wire."""
    return pb.PositionChanged(
        position=position_message(value),
        event_id=change.event_id,
        account_sequence=change.account_sequence,
        cash=money_message(change.position.currency, cash_nanos),
    )


def account_message(value: AccountValue) -> pb.Account:
    """A valued account on the wire."""
    terms, currency = value.terms, value.terms.currency
    return pb.Account(
        id=terms.id,
        venue=terms.venue,
        currency=currency,
        cash=money_message(currency, value.cash_nanos),
        equity=money_message(currency, value.equity_nanos),
        buying_power=money_message(currency, terms.buying_power_nanos),
        day_pnl=money_message(currency, value.day_pnl_nanos),
        trading_state=terms.trading_state,
        log_sequence=value.totals.log_sequence,
        fill_count=value.totals.fill_count,
    )


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
