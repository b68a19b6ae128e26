"""Between the words of the trade and the protobuf messages of execution."""

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

from google.protobuf.message import DecodeError

from neuraltrader.common.v1 import common_pb2
from neuraltrader.execution.v1 import execution_pb2 as pb
from neuraltrader.execution.v1 import execution_service_pb2 as rpc_pb
from neuraltrader.inference.v1 import inference_pb2
from services.execution.domain.change import Change
from services.execution.domain.charge import LoggedCharge
from services.execution.domain.comparison import Comparison
from services.execution.domain.fill import LoggedFill
from services.execution.domain.limits import RiskLimits, SignalTrading
from services.execution.domain.order import Order, OrderEvent
from services.execution.domain.request import OrderRequest
from services.execution.domain.signals import Signal, SignalSide
from services.execution.domain.statement import Statement, day_text
from services.execution.domain.submission import Patience, Submitted, Timings, Wait
from services.execution.ports import AccountRecord, AuditEntry, AuditQuery, LoggedEvent, StoredOrder
from trading.errors import InvalidArgument, TradingError
from trading.ids import AccountId
from trading.order import Liquidity, OrderRole, OrderStatus, OrderType, Side, TimeInForce, TradingState

DEFAULT_WAIT_MS = 2_000
LONGEST_WAIT_MS = 10_000
USUAL_AUDIT_ENTRIES, MOST_AUDIT_ENTRIES = 100, 1_000
WordT = TypeVar("WordT", bound=StrEnum)

_SIDES = {pb.SIDE_BUY: Side.BUY, pb.SIDE_SELL: Side.SELL}
_TYPES = {
    pb.ORDER_TYPE_MARKET: OrderType.MARKET,
    pb.ORDER_TYPE_LIMIT: OrderType.LIMIT,
    pb.ORDER_TYPE_STOP: OrderType.STOP,
    pb.ORDER_TYPE_STOP_LIMIT: OrderType.STOP_LIMIT,
    pb.ORDER_TYPE_TRAILING_STOP: OrderType.TRAILING_STOP,
}
_TIMES_IN_FORCE = {
    pb.TIME_IN_FORCE_UNSPECIFIED: TimeInForce.DAY,
    pb.TIME_IN_FORCE_DAY: TimeInForce.DAY,
    pb.TIME_IN_FORCE_GTC: TimeInForce.GTC,
    pb.TIME_IN_FORCE_IOC: TimeInForce.IOC,
    pb.TIME_IN_FORCE_FOK: TimeInForce.FOK,
    pb.TIME_IN_FORCE_GTD: TimeInForce.GTD,
}
_STATES = {
    pb.TRADING_STATE_ACTIVE: TradingState.ACTIVE,
    pb.TRADING_STATE_REDUCING: TradingState.REDUCING,
    pb.TRADING_STATE_HALTED: TradingState.HALTED,
}
_WAITS = {
    pb.WAIT_UNSPECIFIED: None,
    pb.WAIT_NONE: Wait.NONE,
    pb.WAIT_ACCEPTED: Wait.ACCEPTED,
    pb.WAIT_TERMINAL: Wait.TERMINAL,
}
_SIGNAL_SIDES = {
    inference_pb2.SIGNAL_SIDE_BUY: SignalSide.BUY,
    inference_pb2.SIGNAL_SIDE_SELL: SignalSide.SELL,
    inference_pb2.SIGNAL_SIDE_FLAT: SignalSide.FLAT,
}
_STATUS_VALUES = {status: pb.OrderStatus.Value(f"ORDER_STATUS_{status}") for status in OrderStatus}
_STATUS_NAMES = {value: status for status, value in _STATUS_VALUES.items()}
_ROLE_VALUES = {
    None: pb.ORDER_ROLE_UNSPECIFIED,
    OrderRole.TAKE_PROFIT: pb.ORDER_ROLE_TAKE_PROFIT,
    OrderRole.STOP_LOSS: pb.ORDER_ROLE_STOP_LOSS,
}
_LIQUIDITY_VALUES = {
    None: pb.LIQUIDITY_UNSPECIFIED,
    Liquidity.MAKER: pb.LIQUIDITY_MAKER,
    Liquidity.TAKER: pb.LIQUIDITY_TAKER,
}
_OPTIONAL_LIMITS = (
    "max_order_notional_nanos",
    "max_position_nanos",
    "max_gross_exposure_nanos",
    "max_net_exposure_nanos",
    "price_collar",
    "max_quote_age_ns",
    "max_open_orders",
    "max_submits_per_second",
    "max_daily_loss_nanos",
    "min_order_notional_nanos",
    "max_modifies_per_second",
    "duplicate_window_ns",
    "refuse_self_trades",
)


def order_request(message: rpc_pb.SubmitOrderRequest) -> OrderRequest:
    """A submit in words of the trade; raises InvalidArgument for an enum value that means nothing."""
    return OrderRequest(
        symbol=message.symbol,
        side=_word(_SIDES, message.side, "side"),
        order_type=_word(_TYPES, message.order_type, "order_type"),
        quantity_nanos=message.quantity_nanos,
        price_nanos=_optional(message, "price_nanos"),
        stop_price_nanos=_optional(message, "stop_price_nanos"),
        time_in_force=_word(_TIMES_IN_FORCE, message.time_in_force, "time_in_force"),
        account=AccountId(message.account),
        client_order_id=message.client_order_id,
        client_timestamp_ns=_optional(message, "client_timestamp_ns"),
        expire_time_ns=_optional(message, "expire_time_ns"),
        trail_nanos=_optional(message, "trail_nanos"),
        trail_bps=_optional(message, "trail_bps"),
        reduce_only=message.reduce_only,
        post_only=message.post_only,
        take_profit_nanos=_optional(message, "take_profit_nanos"),
        stop_loss_nanos=_optional(message, "stop_loss_nanos"),
    )


def patience(message: rpc_pb.SubmitOrderRequest) -> Patience:
    """What the caller waits for; raises InvalidArgument for a wait out of range."""
    if not 0 <= message.wait_ms <= LONGEST_WAIT_MS:
        raise InvalidArgument(f"Expected a wait of 0..{LONGEST_WAIT_MS} ms.", field="wait_ms", value=message.wait_ms)
    if message.wait not in _WAITS:
        raise InvalidArgument("Expected NONE, ACCEPTED or TERMINAL.", field="wait", value=message.wait)
    return Patience(_WAITS[message.wait], (message.wait_ms or DEFAULT_WAIT_MS) / 1e3)


def submitted(outcome: Submitted) -> rpc_pb.SubmitOrderResponse:
    """The answer to a submit."""
    return rpc_pb.SubmitOrderResponse(order=order(outcome.order, outcome.timings), duplicate=outcome.duplicate)


def stored_order(stored: StoredOrder) -> pb.Order:
    """An order with its timings."""
    return order(stored.order, stored.timings)


def order(found: Order, timings: Timings | None = None) -> pb.Order:
    """An order as it is now."""
    terms = found.terms
    timings = timings or Timings()
    return pb.Order(
        order_id=terms.order_id,
        client_order_id=terms.client_order_id,
        venue_order_id=found.venue_order_id or "",
        account=terms.account,
        venue=terms.venue,
        symbol=terms.symbol,
        side=_value(pb.Side, "SIDE", terms.side),
        order_type=_value(pb.OrderType, "ORDER_TYPE", terms.order_type),
        time_in_force=_value(pb.TimeInForce, "TIME_IN_FORCE", terms.time_in_force),
        quantity_nanos=terms.quantity_nanos,
        price_nanos=terms.price_nanos,
        stop_price_nanos=terms.stop_price_nanos,
        status=_STATUS_VALUES[found.status],
        filled_quantity_nanos=found.filled_nanos,
        avg_price_nanos=found.avg_price_nanos,
        denial=_denial(found),
        reason=found.reason,
        version=found.version,
        created_time_ns=found.created_time_ns,
        updated_time_ns=found.updated_time_ns,
        client_timestamp_ns=terms.client_timestamp_ns,
        total_latency_ns=timings.total_ns,
        validation_time_ns=timings.validation_ns,
        execution_time_ns=timings.execution_ns,
        reduce_only=terms.reduce_only,
        post_only=terms.post_only,
        expire_time_ns=terms.expire_time_ns,
        trail_nanos=terms.trail_nanos,
        trail_bps=terms.trail_bps,
        parent_order_id=terms.parent_order_id or "",
        role=_ROLE_VALUES[terms.role],
        external=terms.external,
        arrival_price_nanos=terms.arrival_price_nanos or None,
        slippage_nanos=found.slippage_nanos,
        fee_nanos=found.fee_nanos,
        replacements=found.replacements,
        take_profit_nanos=terms.take_profit_nanos,
        stop_loss_nanos=terms.stop_loss_nanos,
    )


def order_event(log_sequence: int, event: OrderEvent, after: Order) -> pb.OrderEvent:
    """An event with the order after it, as it is published."""
    return pb.OrderEvent(
        event_id=event.event_id,
        kind=_value(pb.OrderEventKind, "ORDER_EVENT_KIND", event.kind),
        version=event.version,
        log_sequence=log_sequence,
        correlation_id=event.correlation_id,
        causation_id=event.causation_id,
        event_time_ns=event.event_time_ns,
        receive_time_ns=event.receive_time_ns,
        order=order(after),
        fill=_fill_of(log_sequence, event, after),
        reason=event.reason,
        reconciliation=event.reconciliation,
        hash=event.hash,
        previous_hash=event.previous_hash,
    )


def order_event_bytes(log_sequence: int, event: OrderEvent, after: Order) -> bytes:
    """The wire form of an event."""
    return order_event(log_sequence, event, after).SerializeToString()


def logged_event(logged: LoggedEvent, after: Order) -> pb.OrderEvent:
    """An event out of the log, with the order after it."""
    return order_event(logged.log_sequence, logged.event, after)


def fill(found: LoggedFill) -> pb.Fill:
    """A trade out of the log."""
    return pb.Fill(
        event_id=found.event_id,
        order_id=found.order_id,
        execution_id=found.execution.execution_id,
        account=found.account,
        symbol=found.symbol,
        side=_value(pb.Side, "SIDE", found.side),
        price_nanos=found.execution.price_nanos,
        quantity_nanos=found.execution.quantity_nanos,
        fee_nanos=found.execution.fee_nanos,
        currency=found.currency,
        event_time_ns=found.event_time_ns,
        log_sequence=found.log_sequence,
        mid_nanos=found.execution.mid_nanos or None,
        liquidity=_LIQUIDITY_VALUES[found.execution.liquidity],
    )


def charge(found: LoggedCharge) -> pb.Charge:
    """A charge out of the record."""
    charge = found.charge
    return pb.Charge(
        charge_id=charge.charge_id,
        venue_id=charge.venue_id,
        account=charge.account,
        kind=_value(pb.ChargeKind, "CHARGE_KIND", charge.kind),
        symbol=charge.symbol,
        currency=charge.currency,
        amount_nanos=charge.amount_nanos,
        quantity_nanos=charge.quantity_nanos,
        order_id=charge.order_id or "",
        event_time_ns=charge.event_time_ns,
        receive_time_ns=charge.receive_time_ns,
        sequence=found.sequence,
        log_sequence=found.log_sequence,
    )


def change(message: rpc_pb.ModifyOrderRequest) -> Change:
    """What a modify shall change."""
    return Change(
        _optional(message, "quantity_nanos"), _optional(message, "price_nanos"), _optional(message, "stop_price_nanos")
    )


def audit_query(message: rpc_pb.ListAuditRequest) -> AuditQuery:
    """Which changes to list, one more than a page holds; raises InvalidArgument."""
    if not 0 <= message.page_size <= MOST_AUDIT_ENTRIES:
        raise InvalidArgument(
            f"Expected a page size of 0..{MOST_AUDIT_ENTRIES}.", field="page_size", value=message.page_size
        )
    if message.before_id < 0:
        raise InvalidArgument("Expected an id of the trail.", field="before_id", value=message.before_id)
    limit = (message.page_size or USUAL_AUDIT_ENTRIES) + 1
    return AuditQuery(limit, message.account or None, message.subject or None, message.before_id or None)


def audit_entry(found: AuditEntry) -> pb.AuditEntry:
    """One change on the wire."""
    return pb.AuditEntry(**found._asdict())


def statement(found: Statement) -> pb.Statement:
    """An account's day on the wire."""
    positions = [
        pb.StatementPosition(symbol=name, quantity_nanos=held.quantity_nanos, avg_price_nanos=held.entry_price_nanos)
        for name, held in found.positions.items()
    ]
    return pb.Statement(
        account=found.account,
        venue=found.venue,
        currency=found.currency,
        day=day_text(found.day),
        opening_cash_nanos=found.opening_cash_nanos,
        closing_cash_nanos=found.closing_cash_nanos,
        realized_nanos=found.realized_nanos,
        fees_nanos=found.fees_nanos,
        fills=map(fill, found.fills),
        positions=positions,
        charges=map(charge, found.charges),
    )


def comparison(found: Comparison) -> pb.VenueDifference:
    """One comparison on the wire."""
    return pb.VenueDifference(
        subject=found.subject, name=found.name, ours=found.ours, venue=found.venue, agrees=found.agrees
    )


def statuses(values: Any) -> frozenset[OrderStatus]:
    """The states that a query asks for; raises InvalidArgument."""
    return frozenset(_word(_STATUS_NAMES, value, "statuses") for value in values)


def trading_state(value: int) -> TradingState:
    """The kill switch's position; raises InvalidArgument."""
    return _word(_STATES, value, "state")


def trading_state_value(state: TradingState) -> Any:
    """The kill switch on the wire."""
    return _value(pb.TradingState, "TRADING_STATE", state)


def limits(message: pb.RiskLimits) -> RiskLimits:
    """Limits in words of the trade."""
    given = {name: _optional(message, name) for name in _OPTIONAL_LIMITS}
    return RiskLimits(AccountId(message.account), updated_time_ns=message.updated_time_ns, **given)


def limits_message(found: RiskLimits) -> pb.RiskLimits:
    """Limits on the wire."""
    given = {name: getattr(found, name) for name in _OPTIONAL_LIMITS}
    return pb.RiskLimits(account=found.account, updated_time_ns=found.updated_time_ns, **given)


def signal_trading(message: pb.SignalTrading) -> SignalTrading:
    """The signal switch in words of the trade."""
    return SignalTrading(
        enabled=message.enabled,
        notional_nanos=message.notional_nanos,
        min_confidence=message.min_confidence,
        account=AccountId(message.account or "main"),
        models=tuple(message.models),
    )


def signal_trading_message(switch: SignalTrading) -> pb.SignalTrading:
    """The signal switch on the wire."""
    return pb.SignalTrading(
        enabled=switch.enabled,
        models=switch.models,
        notional_nanos=switch.notional_nanos,
        min_confidence=switch.min_confidence,
        account=switch.account,
    )


def account(record: AccountRecord, buying_power_nanos: int) -> rpc_pb.Account:
    """An account on the wire."""
    return rpc_pb.Account(
        id=record.id,
        venue=record.venue,
        currency=record.currency,
        trading_state=trading_state_value(record.trading_state),
        opening_cash_nanos=record.opening_cash_nanos,
        buying_power_nanos=buying_power_nanos,
    )


def latency(summary: Any) -> common_pb2.Latency:
    """Percentiles on the wire."""
    return common_pb2.Latency(
        p50_ns=summary.p50_ns, p99_ns=summary.p99_ns, mean_ns=summary.mean_ns, count=summary.count
    )


def stream_error(error: TradingError) -> rpc_pb.StreamError:
    """What went wrong with one command of the stream."""
    facts = {key: str(value) for key, value in error.metadata.items()}
    retry_after_s = error.metadata.get("retry_after_s")
    return rpc_pb.StreamError(
        code=error.kind.value,
        reason=error.reason,
        message=error.message,
        metadata=facts,
        retry_after_ms=None if retry_after_s is None else round(float(str(retry_after_s)) * 1e3),
    )


def signal(payload: bytes) -> Signal:
    """A signal as inference published it; raises InvalidArgument when it is none."""
    message = inference_pb2.Signal()
    try:
        message.ParseFromString(payload)
    except DecodeError as error:
        raise InvalidArgument("Not a signal.", bytes=len(payload)) from error
    return Signal(
        id=message.id,
        symbol=message.symbol,
        side=_word(_SIGNAL_SIDES, message.side, "side"),
        strength=message.strength,
        confidence=message.confidence,
        model=message.model,
        expires_ns=message.expires_ns,
        tick_receive_time_ns=message.tick_receive_time_ns,
        price_nanos=message.price_nanos,
        stale=message.stale,
    )


def _fill_of(log_sequence: int, event: OrderEvent, after: Order) -> pb.Fill | None:
    if event.execution is None:
        return None
    terms = after.terms
    return fill(
        LoggedFill(
            log_sequence,
            event.event_id,
            terms.order_id,
            terms.account,
            terms.symbol,
            terms.side,
            terms.currency,
            event.event_time_ns,
            event.execution,
        )
    )


def _denial(found: Order) -> pb.Denial | None:
    denial = found.denial
    if denial is None:
        return None
    return pb.Denial(code=denial.code, message=denial.message, limits=denial.limits)


def _word(words: Mapping[Any, WordT], value: int, field: str) -> WordT:
    found = words.get(value)
    if found is None:
        expected = ", ".join(dict.fromkeys(word.value for word in words.values()))
        raise InvalidArgument(f"Expected one of {expected}.", field=field, value=value)
    return found


@cache
def _value(enum: Any, prefix: str, word: str) -> Any:
    return enum.Value(f"{prefix}_{word}")


def _optional(message: Any, field: str) -> Any:
    return getattr(message, field) if message.HasField(field) else None
