"""The book on the wire: fills and accounts in, positions and accounts out."""

from google.protobuf.message import DecodeError

from neuraltrader.common.v1 import common_pb2 as common
from neuraltrader.execution.v1 import execution_pb2 as execution
from neuraltrader.execution.v1 import execution_service_pb2 as execution_calls
from neuraltrader.market_data.v1 import market_data_pb2 as market
from neuraltrader.portfolio.v1 import portfolio_pb2 as pb
from services.portfolio.domain.account import AccountTerms, AccountValue, PositionChange, PositionValue
from services.portfolio.domain.ledger import Fill
from trading.errors import AmountOutOfRange, InvalidArgument
from trading.market import Quote
from trading.money import MAX_NANOS, Money
from trading.order import Side, TradingState

_SIDES = {execution.SIDE_BUY: Side.BUY, execution.SIDE_SELL: Side.SELL}
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


def quote_of(message: market.Quote) -> Quote:
    """A quote in our words."""
    return Quote(
        message.symbol,
        message.bid_nanos,
        message.bid_size_nanos,
        message.ask_nanos,
        message.ask_size_nanos,
        message.event_time_ns,
        message.receive_time_ns,
        message.venue,
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
