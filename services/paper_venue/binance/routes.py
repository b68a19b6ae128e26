"""Puts the protocol together: every route of REST, the market streams and the WebSocket API below one prefix."""

from starlette.routing import BaseRoute, WebSocketRoute

from services.paper_venue.binance.account_api import AccountApi
from services.paper_venue.binance.auth import Keys
from services.paper_venue.binance.calls import public_calls, signed_calls
from services.paper_venue.binance.connection import SocketRules
from services.paper_venue.binance.data_api import DataApi
from services.paper_venue.binance.frames import Framer
from services.paper_venue.binance.ledger import Ledger
from services.paper_venue.binance.limits import LimitRules, Limits
from services.paper_venue.binance.listing import Listing
from services.paper_venue.binance.market_stream import MarketStreams
from services.paper_venue.binance.order_lists import OrderListApi
from services.paper_venue.binance.rest import Door
from services.paper_venue.binance.trading_api import TradingApi
from services.paper_venue.binance.user_data import UserData
from services.paper_venue.binance.ws_api import WsApi
from services.paper_venue.domain.market import Market
from services.paper_venue.domain.touch import Slippage
from services.paper_venue.feed import Feed
from trading.clock import Clock

PREFIX = "/binance"
"""Alpaca's trading stream has the path `/stream` on the same port."""


def addresses(authority: str, keys: Keys) -> dict[str, str]:
    """Where clients find the protocol at `host:port`, and what they sign with."""
    return {
        "rest": f"http://{authority}{PREFIX}",
        "stream": f"ws://{authority}{PREFIX}",
        "ws_api": f"ws://{authority}{PREFIX}/ws-api/v3",
        "key": keys.key,
        "secret": keys.secret,
        "ed25519_key": keys.ed25519.pem,
    }


def routes(
    market: Market,
    feed: Feed,
    keys: Keys,
    slippage: Slippage,
    kept: int,
    limit_rules: LimitRules,
    stream_rules: SocketRules,
    api_rules: SocketRules,
    clock: Clock,
) -> list[BaseRoute]:
    """Every route; `kept` bounds the orders and fills that keep their numbers and names."""
    exchange = market.exchange
    listing, limits = Listing(tuple(exchange.instruments)), Limits(limit_rules)
    ledger = Ledger(exchange, kept)
    data = DataApi(market, listing, slippage, limits, clock)
    trading = TradingApi(exchange, listing, ledger, limits, clock)
    user_data = UserData(trading.payloads, trading.lists, exchange.account, listing, clock)
    exchange.listen(ledger.take)  # before its readers: a report needs the number of its fill
    exchange.listen(user_data.tell)
    account = AccountApi(exchange.account, listing, limits, clock)
    calls = [*public_calls(data), *signed_calls(trading, OrderListApi(trading, limits), account)]
    streams = MarketStreams(Framer(data), feed, stream_rules, clock)
    api = WsApi(calls, keys, limits, user_data, api_rules, clock)
    return [
        *Door(keys, limits, clock).routes(PREFIX, calls),
        WebSocketRoute(f"{PREFIX}/ws", streams.raw),
        WebSocketRoute(f"{PREFIX}/ws/{{names:path}}", streams.raw),
        WebSocketRoute(f"{PREFIX}/stream", streams.combined),
        WebSocketRoute(f"{PREFIX}/ws-api/v3", api.endpoint),
    ]
