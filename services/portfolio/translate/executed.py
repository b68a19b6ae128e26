"""What execution says: fills, charges and accounts."""

from google.protobuf.message import DecodeError

from neuraltrader.execution.v1 import execution_pb2 as execution
from neuraltrader.execution.v1 import execution_service_pb2 as calls
from services.portfolio.domain.account import AccountTerms
from services.portfolio.domain.entries import Charge, Fill
from trading.errors import InvalidArgument
from trading.order import Side, TradingState

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


def terms_of(message: calls.Account) -> AccountTerms:
    """What execution says of an account; an unspecified state is read as ACTIVE."""
    return AccountTerms(
        message.id,
        message.venue,
        message.currency,
        _STATES.get(message.trading_state, TradingState.ACTIVE).value,
        message.opening_cash_nanos,
        message.buying_power_nanos,
    )
