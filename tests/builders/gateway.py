"""Messages of the fleet as the gateway gets them."""

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np

from fleet import blocks
from neuraltrader.common.v1 import common_pb2
from neuraltrader.execution.v1 import execution_pb2
from neuraltrader.inference.v1 import inference_pb2
from neuraltrader.market_data.v1 import market_data_pb2
from neuraltrader.portfolio.v1 import portfolio_pb2
from trading.market import QuoteBlock, TradeBlock

PATIENCE_S = 60.0
ONE = 1_000_000_000
EVENT_NS = 1_760_000_000_000_000_000
RECEIVE_NS = EVENT_NS + 1_000_000


def an_order(**changes: Any) -> execution_pb2.Order:
    """A MARKET order for ten AAPL that is filled."""
    fields: dict[str, Any] = {
        "order_id": "01990000-0000-7000-8000-000000000001",
        "client_order_id": "mine-1",
        "venue_order_id": "v-1",
        "account": "main",
        "venue": "paper",
        "symbol": "AAPL",
        "side": execution_pb2.SIDE_BUY,
        "order_type": execution_pb2.ORDER_TYPE_MARKET,
        "time_in_force": execution_pb2.TIME_IN_FORCE_DAY,
        "quantity_nanos": 10 * ONE,
        "status": execution_pb2.ORDER_STATUS_FILLED,
        "filled_quantity_nanos": 10 * ONE,
        "avg_price_nanos": 189_500_000_000,
        "version": 4,
        "created_time_ns": EVENT_NS,
        "updated_time_ns": RECEIVE_NS,
        "total_latency_ns": 900_000,
        "validation_time_ns": 100_000,
        "execution_time_ns": 700_000,
    }
    return execution_pb2.Order(**fields | changes)


def an_order_event(log_sequence: int, account: str = "main", **changes: Any) -> execution_pb2.OrderEvent:
    """An event of an order."""
    fields: dict[str, Any] = {
        "event_id": f"event-{log_sequence}",
        "kind": execution_pb2.ORDER_EVENT_KIND_ACCEPTED,
        "version": 3,
        "log_sequence": log_sequence,
        "event_time_ns": EVENT_NS,
        "receive_time_ns": RECEIVE_NS,
        "order": an_order(account=account, order_id=f"order-{log_sequence}"),
        "hash": "ab",
    }
    return execution_pb2.OrderEvent(**fields | changes)


def a_fill(**changes: Any) -> execution_pb2.Fill:
    """Ten AAPL bought from somebody who waited."""
    fields: dict[str, Any] = {
        "event_id": "event-7",
        "order_id": "order-7",
        "execution_id": "x-7",
        "account": "main",
        "symbol": "AAPL",
        "side": execution_pb2.SIDE_BUY,
        "price_nanos": 189_500_000_000,
        "quantity_nanos": 10 * ONE,
        "fee_nanos": ONE // 100,
        "currency": "USD",
        "event_time_ns": EVENT_NS,
        "log_sequence": 7,
        "mid_nanos": 189_490_000_000,
        "liquidity": execution_pb2.LIQUIDITY_TAKER,
    }
    return execution_pb2.Fill(**fields | changes)


def a_charge(**changes: Any) -> execution_pb2.Charge:
    """A fee of two dollars that no trade carries."""
    fields: dict[str, Any] = {
        "charge_id": "charge-1",
        "venue_id": "20251009::fee",
        "account": "main",
        "kind": execution_pb2.CHARGE_KIND_FEE,
        "currency": "USD",
        "amount_nanos": 2 * ONE,
        "event_time_ns": EVENT_NS,
        "sequence": 1,
    }
    return execution_pb2.Charge(**fields | changes)


def a_statement(**changes: Any) -> execution_pb2.Statement:
    """A day on which ten AAPL were bought."""
    fields: dict[str, Any] = {
        "account": "main",
        "venue": "paper",
        "currency": "USD",
        "day": "2025-10-09",
        "opening_cash_nanos": 100_000 * ONE,
        "closing_cash_nanos": 98_104_990_000_000,
        "realized_nanos": -ONE // 100,
        "fees_nanos": ONE // 100,
        "fills": [a_fill()],
        "charges": [a_charge()],
        "positions": [
            execution_pb2.StatementPosition(symbol="AAPL", quantity_nanos=10 * ONE, avg_price_nanos=189_500_000_000)
        ],
    }
    return execution_pb2.Statement(**fields | changes)


def money(units: int, nanos: int = 0) -> common_pb2.Money:
    """Dollars."""
    return common_pb2.Money(currency="USD", units=units, nanos=nanos)


def a_position(**changes: Any) -> portfolio_pb2.Position:
    """Ten AAPL."""
    fields: dict[str, Any] = {
        "account": "main",
        "symbol": "AAPL",
        "quantity_nanos": 10 * ONE,
        "avg_price_nanos": 189_500_000_000,
        "mark_price_nanos": 190 * ONE,
        "market_value": money(1900),
        "unrealized_pnl": money(5),
        "realized_pnl": money(0),
        "updated_time_ns": EVENT_NS,
    }
    return portfolio_pb2.Position(**fields | changes)


def a_position_change(account_sequence: int, account: str = "main") -> portfolio_pb2.PositionChanged:
    """A change of a position."""
    return portfolio_pb2.PositionChanged(
        position=a_position(account=account),
        event_id=f"event-{account_sequence}",
        account_sequence=account_sequence,
        cash=money(98_105),
    )


def an_account(**changes: Any) -> portfolio_pb2.Account:
    """An account with a hundred thousand dollars."""
    fields: dict[str, Any] = {
        "id": "main",
        "venue": "paper",
        "currency": "USD",
        "cash": money(98_105),
        "equity": money(100_005),
        "buying_power": money(98_105, 500_000_000),
        "day_pnl": money(-5, -250_000_000),
        "trading_state": "ACTIVE",
        "balances": [common_pb2.Money(currency="EUR", units=-7), money(98_105)],
        "unpriced_currencies": ["EUR"],
        "gross_exposure": money(1_900),
        "net_exposure": money(1_900),
    }
    return portfolio_pb2.Account(**fields | changes)


def a_quote(symbol: str = "AAPL", **changes: Any) -> market_data_pb2.Quote:
    """A quote of market_data's store."""
    fields: dict[str, Any] = {
        "symbol": symbol,
        "bid_nanos": 189_990_000_000,
        "bid_size_nanos": 100 * ONE,
        "ask_nanos": 190_010_000_000,
        "ask_size_nanos": 200 * ONE,
        "event_time_ns": EVENT_NS,
        "receive_time_ns": RECEIVE_NS,
        "venue": "paper",
    }
    return market_data_pb2.Quote(**fields | changes)


def _column(value: int, count: int) -> Any:
    return np.full(count, value, np.int64)


def quote_block(symbol: str = "AAPL", *, bid: int = 190, count: int = 1, first: int = 0, feed: str = "f") -> bytes:
    """A block of equal quotes as NATS carries it."""
    times = (_column(EVENT_NS, count), _column(RECEIVE_NS, count))
    columns = (bid * ONE, 100 * ONE, (bid + 1) * ONE, 200 * ONE)
    block = QuoteBlock("paper", symbol, *times, *(_column(value, count) for value in columns))
    return blocks.encode_quotes(block, first, feed)


def trade_block(symbol: str = "AAPL", *, price: int = 190, count: int = 1, first: int = 0, feed: str = "f") -> bytes:
    """A block of equal trades by a buyer as NATS carries it."""
    times = (_column(EVENT_NS, count), _column(RECEIVE_NS, count))
    columns = (price * ONE, 10 * ONE, 1)
    ids = tuple(str(first + index) for index in range(count))
    block = TradeBlock("paper", symbol, *times, *(_column(value, count) for value in columns), ids)
    return blocks.encode_trades(block, first, feed)


def a_bar(symbol: str = "AAPL", **changes: Any) -> market_data_pb2.Bar:
    """A minute of trading."""
    fields: dict[str, Any] = {
        "symbol": symbol,
        "interval": "1m",
        "timestamp_ns": EVENT_NS,
        "open_nanos": 189 * ONE,
        "high_nanos": 191 * ONE,
        "low_nanos": 188 * ONE,
        "close_nanos": 190 * ONE,
        "volume": 1e10,
        "vwap_nanos": 190 * ONE,
        "trade_count": 42,
        "venue": "paper",
    }
    return market_data_pb2.Bar(**fields | changes)


def a_signal(symbol: str = "AAPL", **changes: Any) -> inference_pb2.Signal:
    """A wish to be long."""
    fields: dict[str, Any] = {
        "id": "signal-1",
        "symbol": symbol,
        "side": inference_pb2.SIGNAL_SIDE_BUY,
        "strength": 0.4,
        "confidence": 0.7,
        "horizon_ns": ONE,
        "model": "momentum-v1",
        "version": "1",
        "event_time_ns": EVENT_NS,
        "price_nanos": 190 * ONE,
    }
    return inference_pb2.Signal(**fields | changes)


async def until(condition: Callable[[], bool], pause_s: float = 0.0) -> None:
    """Wait for a condition that another task makes true."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if condition():
                return
            await asyncio.sleep(pause_s)
