"""Positions and accounts on the wire."""

from neuraltrader.common.v1 import common_pb2 as common
from neuraltrader.portfolio.v1 import portfolio_pb2 as pb
from services.portfolio.domain.account import AccountValue, PositionChange, PositionValue
from trading.errors import AmountOutOfRange
from trading.money import MAX_NANOS, Money


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
    terms, currency, worth = value.terms, value.terms.currency, value.worth
    return pb.Account(
        id=terms.id,
        venue=terms.venue,
        currency=currency,
        cash=money_message(currency, value.cash_nanos),
        equity=money_message(currency, worth.equity_nanos),
        buying_power=money_message(currency, terms.buying_power_nanos),
        day_pnl=money_message(currency, value.day_pnl_nanos),
        trading_state=terms.trading_state,
        log_sequence=value.totals.log_sequence,
        fill_count=value.totals.fill_count,
        balances=[money_message(balance.currency, balance.nanos) for balance in worth.balances],
        unpriced_currencies=worth.unpriced,
        gross_exposure=money_message(currency, worth.gross_nanos),
        net_exposure=money_message(currency, worth.net_nanos),
    )
