"""Accounts that have traded and orders on trial, for the checks before a trade."""

from typing import Any

from builders.orders import AAPL, NOW_NS, a_quote, an_order, execution, terms

from services.execution.domain.holdings import Holdings
from services.execution.domain.order import Denial, OrderTerms
from services.execution.domain.risk import Intent
from trading.money import ONE
from trading.order import OrderEventKind, OrderType, Side


def holding(quantity: int, price: int = 100, symbol: str = "AAPL", time_ns: int = NOW_NS) -> Holdings:
    """An account that traded once, in whole units."""
    holdings = Holdings()
    side = Side.BUY if quantity > 0 else Side.SELL
    holdings.fill(symbol, side, execution(abs(quantity), price), time_ns)
    return holdings


def working(holdings: Holdings, side: Side, quantity: int) -> Holdings:
    """The same account with one more working order."""
    holdings.replace(None, an_order(OrderEventKind.SUBMITTED, side=side, quantity_nanos=quantity * ONE))
    return holdings


def code(denial: Denial | None) -> str | None:
    return denial and denial.code


def limit_order(side: Side, price: int, **changes: Any) -> OrderTerms:
    """A limit order for ten, in whole units."""
    return terms(side=side, order_type=OrderType.LIMIT, price_nanos=price * ONE, **changes)


def on_trial(asked: OrderTerms, **changes: Any) -> Intent:
    """An order judged by a quote of 99/101, perhaps as a change or a release."""
    return Intent(asked, AAPL, a_quote(), **changes)
