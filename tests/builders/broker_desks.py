"""Brokers with a venue behind them, and what a test does there that no broker of ours would."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import httpx
import structlog
from builders.fault_script import Script
from builders.live_venue import LiveVenue
from builders.orders import terms
from fakes.orders import FakeBroker
from pydantic import SecretStr

from fleet.metrics import Metrics
from services.execution.adapters.alpaca_broker import AlpacaBroker
from services.execution.adapters.alpaca_trade_updates import AlpacaTradeUpdates
from services.execution.adapters.binance_answers import outcome
from services.execution.adapters.binance_broker import BinanceBroker
from services.execution.adapters.binance_key import BinanceKey
from services.execution.adapters.binance_rest import HEADERS, BinanceRest
from services.execution.adapters.binance_symbols import BinanceSymbols
from services.execution.adapters.binance_user_data import BinanceUserData
from services.execution.adapters.venue_http import VenueHttp
from services.execution.domain.order import OrderTerms
from services.execution.domain.venue import StreamOpened
from services.execution.ports.venue import Broker
from trading.clock import SystemClock
from trading.errors import Unavailable
from trading.ids import OrderId, new_id
from trading.instruments import Instrument, crypto, equity
from trading.money import ONE
from trading.order import OrderType, TimeInForce

AAPL, BITCOIN = equity("AAPL"), crypto("BTC")


class Desk(Protocol):
    """A broker, what it trades, and the venue's own hand."""

    broker: Broker
    instrument: Instrument
    quantity_nanos: int
    low_nanos: int
    """A price that the market does not reach from above."""
    keeps_makers: bool
    """The venue itself refuses a post-only order that would take."""
    holds: bool
    """The venue itself counts what the account holds."""

    async def place_strange(self) -> str:
        """An order of another program; returns the venue's symbol of it."""
        ...

    def cut_next_answer(self) -> None:
        """The next order is taken, and its answer lost."""
        ...

    def fill(self, order_id: OrderId) -> None:
        """Nothing to do where there is a market."""
        ...


def a_market_order(desk: Desk, **changes: Any) -> OrderTerms:
    """To buy what the desk trades."""
    symbol = desk.instrument.venue_symbol(desk.broker.protocol)
    given = {"symbol": desk.instrument.symbol, "venue_symbol": symbol, "quantity_nanos": desk.quantity_nanos}
    return terms(**{**given, **changes})


def a_resting_order(desk: Desk, **changes: Any) -> OrderTerms:
    """A limit order to buy that no market reaches."""
    far = {"order_type": OrderType.LIMIT, "price_nanos": desk.low_nanos, "time_in_force": TimeInForce.GTC}
    return a_market_order(desk, **{**far, **changes})


class FakeDesk:
    """The fake that the unit tests trust."""

    instrument, quantity_nanos, low_nanos = AAPL, ONE, 10 * ONE
    keeps_makers = holds = False

    def __init__(self) -> None:
        self.broker = FakeBroker()
        self.broker.stream.put_nowait(StreamOpened())

    async def place_strange(self) -> str:
        self.broker.take(terms())
        return "AAPL"

    def cut_next_answer(self) -> None:
        self.broker.answers.append(Unavailable("The connection was cut."))
        self.broker.takes_anyway = True

    def fill(self, order_id: OrderId) -> None:
        self.broker.fill(order_id, self.quantity_nanos // ONE)


class _LiveDesk:
    """At the local exchange."""

    def __init__(self, broker: Broker, venue: LiveVenue) -> None:
        self.broker = broker
        self._script = Script(str(venue.line["admin"]))

    def fill(self, order_id: OrderId) -> None:
        """The market does it."""

    def cut_next_answer(self) -> None:
        self._script.arm("disconnect", protocol=self.broker.protocol, transport="http", method="POST", count=1)


class AlpacaDesk(_LiveDesk):
    """In Alpaca's protocol."""

    instrument, quantity_nanos, low_nanos = AAPL, ONE, 10 * ONE
    keeps_makers, holds = False, True

    def __init__(self, broker: AlpacaBroker, venue: LiveVenue) -> None:
        super().__init__(broker, venue)
        self._venue = venue

    async def place_strange(self) -> str:
        order = {
            "symbol": "AAPL",
            "qty": "1",
            "side": "buy",
            "type": "limit",
            "limit_price": "9",
            "time_in_force": "gtc",
        }
        async with httpx.AsyncClient(trust_env=False, timeout=60, headers=self._venue.key.headers()) as client:
            answer = await client.post(f"{self._venue.addresses['rest']}/v2/orders", json=order)
            assert answer.is_success
        return "AAPL"


class BinanceDesk(_LiveDesk):
    """In Binance's protocol."""

    instrument, quantity_nanos, low_nanos = BITCOIN, ONE // 10, 1_000 * ONE
    keeps_makers, holds = True, True

    def __init__(self, broker: BinanceBroker, rest: BinanceRest, venue: LiveVenue) -> None:
        super().__init__(broker, venue)
        self.rest = rest

    async def place_strange(self) -> str:
        order = {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": "1",
            "price": "9",
        }
        outcome(
            await self.rest.command("POST", "/api/v3/order", {**order, "newClientOrderId": f"theirs-{new_id()[-12:]}"})
        )
        return "BTCUSDT"


@asynccontextmanager
async def alpaca_desk(venue: LiveVenue) -> AsyncIterator[AlpacaDesk]:
    """At a running exchange."""
    key = venue.key
    stream = AlpacaTradeUpdates(
        venue.addresses["trading_stream"], key.key_id, key.secret, structlog.get_logger(), Metrics()
    )
    async with VenueHttp(venue.addresses["rest"], headers=key.headers(), timeout_s=10) as client:
        yield AlpacaDesk(AlpacaBroker(client, stream), venue)


@asynccontextmanager
async def binance_desk(venue: LiveVenue, secret: str = "secret") -> AsyncIterator[BinanceDesk]:
    """At a running exchange; `secret` names what is signed with, ed25519_key for the other kind."""
    told, log = venue.line["binance"], structlog.get_logger()
    key = BinanceKey(told["key"], SecretStr(told[secret]))
    async with VenueHttp(told["rest"], headers={**HEADERS, "X-MBX-APIKEY": key.key_id}, timeout_s=10) as client:
        rest = BinanceRest(client, key, SystemClock(), window_ms=10_000)
        stream = BinanceUserData(told["ws_api"], key, rest, log, Metrics())
        broker = BinanceBroker(rest, BinanceSymbols(rest, ["BTCUSDT"], log), stream, log)
        yield BinanceDesk(broker, rest, venue)
