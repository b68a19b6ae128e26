"""Shapes of accounts and positions."""

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from neuraltrader.common.v1 import common_pb2
from neuraltrader.portfolio.v1 import portfolio_pb2 as pb
from neuraltrader.portfolio.v1 import portfolio_service_pb2 as rpc
from services.gateway.schemas.scalars import DecimalText, Nanoseconds, price_or_none
from trading.money import ONE, format_nanos


class Account(TypedDict):
    """What an account is worth."""

    id: str
    venue: str
    currency: str
    cash: DecimalText
    balances: Annotated[dict[str, DecimalText], Field(description="Exact cash by currency.")]
    equity: DecimalText
    unpriced_currencies: Annotated[list[str], Field(description="Left out of equity, for want of a rate.")]
    gross_exposure: DecimalText
    net_exposure: DecimalText
    buying_power: DecimalText
    day_pnl: DecimalText
    trading_state: str


class AccountList(TypedDict):
    """Accounts, by id."""

    accounts: list[Account]


class Position(TypedDict):
    """What an account holds of one symbol."""

    symbol: str
    quantity: Annotated[DecimalText, Field(description="Negative is short.")]
    avg_price: Annotated[str | None, Field(description="Null when flat.")]
    market_value: DecimalText
    unrealized_pnl: DecimalText
    realized_pnl: DecimalText
    currency: str


class PositionList(TypedDict):
    """Positions of an account, by symbol."""

    account: str
    positions: list[Position]
    as_of_ns: Nanoseconds


def money_text(money: common_pb2.Money) -> str:
    """An exact sum as a decimal."""
    return format_nanos(money.units * ONE + money.nanos)


def account_view(account: pb.Account) -> Account:
    """An account as JSON."""
    return {
        "id": account.id,
        "venue": account.venue,
        "currency": account.currency,
        "cash": money_text(account.cash),
        "balances": {balance.currency: money_text(balance) for balance in account.balances},
        "equity": money_text(account.equity),
        "unpriced_currencies": list(account.unpriced_currencies),
        "gross_exposure": money_text(account.gross_exposure),
        "net_exposure": money_text(account.net_exposure),
        "buying_power": money_text(account.buying_power),
        "day_pnl": money_text(account.day_pnl),
        "trading_state": account.trading_state,
    }


def position_view(position: pb.Position) -> Position:
    """A position as JSON."""
    return {
        "symbol": position.symbol,
        "quantity": format_nanos(position.quantity_nanos),
        "avg_price": price_or_none(position.avg_price_nanos),
        "market_value": money_text(position.market_value),
        "unrealized_pnl": money_text(position.unrealized_pnl),
        "realized_pnl": money_text(position.realized_pnl),
        "currency": position.market_value.currency or position.realized_pnl.currency,
    }


def position_list(account: str, answer: rpc.ListPositionsResponse) -> PositionList:
    """Positions as JSON."""
    return {
        "account": account,
        "positions": [position_view(position) for position in answer.positions],
        "as_of_ns": str(answer.as_of_ns),
    }
