"""Nouns of a rebalance for tests."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from services.portfolio.domain.rebalance import Order, OrderReport, Rebalance, Rules, State, client_order_id
from services.portfolio.domain.rebalance_plan import Situation, Touch
from trading.instruments import CATALOGUE, Instrument
from trading.money import ONE, parse_nanos

REBALANCE_ID = "01990000-0000-7000-8000-000000000001"
BY_SYMBOL = {instrument.symbol: instrument for instrument in CATALOGUE}


def a_situation(
    held: Mapping[str, str] | None = None,
    prices: Mapping[str, str] | None = None,
    *,
    cash: str = "100000",
    spread: str = "0",
    instruments: Mapping[str, Instrument] = BY_SYMBOL,
    cushion: Fraction = Fraction(0),
) -> Situation:
    """A book and a market: quantities, prices, cash and the half spread as decimals; equity is what that makes."""
    half = parse_nanos(spread)
    touches = {
        symbol: Touch(parse_nanos(price) - half, parse_nanos(price) + half) for symbol, price in (prices or {}).items()
    }
    quantities = {symbol: parse_nanos(quantity) for symbol, quantity in (held or {}).items()}
    worth = sum(
        touches[symbol].mid_nanos * quantity // ONE for symbol, quantity in quantities.items() if symbol in touches
    )
    money = parse_nanos(cash)
    return Situation(money + worth, money, "USD", quantities, instruments, touches, cushion)


def an_order(symbol: str = "AAPL", quantity: str = "-10", **words: Any) -> Order:
    """An order that sells ten AAPL at a hundred."""
    named: dict[str, Any] = {
        "symbol": symbol,
        "quantity_nanos": parse_nanos(quantity),
        "price_nanos": 100 * ONE,
        "weight_before": 0.5,
        "weight_target": 0.4,
        "client_order_id": client_order_id(REBALANCE_ID, symbol),
    }
    return Order(**(named | words))


def a_rebalance(*orders: Order, **words: Any) -> Rebalance:
    """A proposal that sells AAPL and TSLA and buys MSFT, unless other orders are given."""
    usual = (an_order(), an_order("TSLA", "-5"), an_order("MSFT", "7"))
    named: dict[str, Any] = {
        "id": REBALANCE_ID,
        "account": "main",
        "state": State.PROPOSED,
        "rules": Rules("main", {"AAPL": 0.4, "MSFT": 0.1}),
        "orders": orders or usual,
        "left_alone": {"SPY": "drift_band"},
        "weights": {"AAPL": 0.5, "TSLA": 0.1},
        "equity_nanos": 100_000 * ONE,
        "turnover": 0.2,
        "created_time_ns": 1,
        "updated_time_ns": 1,
    }
    return Rebalance(**(named | words))


def a_report(status: str = "FILLED", filled: str = "0", problem: str = "", order_id: str = "order") -> OrderReport:
    """Execution's word."""
    return OrderReport(order_id, status, parse_nanos(filled), problem)
