"""The adapters of one protocol, pointed at a paper venue or at whatever stands before it."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic import SecretStr

from fleet.http import http_client
from services.market_data.adapters.alpaca_assets import AlpacaAssets
from services.market_data.adapters.alpaca_history import AlpacaHistory
from services.market_data.adapters.alpaca_key import AlpacaKey
from services.market_data.adapters.alpaca_rest import AlpacaRest
from services.market_data.adapters.alpaca_stream import AlpacaFeed
from services.market_data.adapters.alpaca_trades import AlpacaTrades
from services.market_data.adapters.binance_assets import BinanceAssets
from services.market_data.adapters.binance_history import BinanceHistory
from services.market_data.adapters.binance_rest import HEADERS, BinanceRest
from services.market_data.adapters.binance_stream import BinanceFeed, Rollover
from services.market_data.adapters.binance_trades import BinanceTrades
from services.market_data.adapters.polygon_assets import PolygonAssets
from services.market_data.adapters.polygon_history import PolygonHistory
from services.market_data.adapters.polygon_rest import PolygonRest
from services.market_data.adapters.polygon_stream import PolygonFeed
from services.market_data.adapters.polygon_trades import PolygonTrades
from services.market_data.adapters.venue_socket import StreamLimits
from services.market_data.ports import HistorySource, InstrumentSource, MarketFeed, TradeSource
from trading.clock import SystemClock
from trading.instruments import AssetClass

PROTOCOLS = ("alpaca", "polygon", "binance")
SHARES = ("alpaca", "polygon")
"""The protocols that carry shares too."""


@dataclass(frozen=True)
class Adapters:
    """What a venue offers us, behind our ports."""

    protocol: str
    feed: Callable[[AssetClass], MarketFeed]
    history: HistorySource
    assets: InstrumentSource
    trades: TradeSource


@asynccontextmanager
async def adapters(
    protocol: str,
    line: Mapping[str, Mapping[str, str]],
    *,
    limits: StreamLimits | None = None,
    rollover: Rollover | None = None,
    by_depth: bool = False,
) -> AsyncIterator[Adapters]:
    """Adapters with the addresses and keys of `line`, which has the form that the paper venue prints."""
    where, clock, bounds = line[protocol], SystemClock(), limits or StreamLimits()
    if protocol == "alpaca":
        key = AlpacaKey(where["key"], SecretStr(where["secret"]))
        urls = {AssetClass.EQUITY: where["stream"], AssetClass.CRYPTO: where["crypto_stream"]}
        async with http_client(where["rest"], headers=key.headers(), timeout_s=60) as client:
            rest = AlpacaRest(client)
            yield Adapters(
                protocol,
                lambda one: AlpacaFeed(protocol, one, urls[one], key, clock, bounds),
                AlpacaHistory(protocol, rest, "iex"),
                AlpacaAssets(rest, clock),
                AlpacaTrades(protocol, rest, "iex", clock),
            )
    elif protocol == "polygon":
        secret = SecretStr(where["key"])
        headers = {"Authorization": f"Bearer {where['key']}"}
        async with http_client(where["rest"], headers=headers, timeout_s=60) as client:
            pages = PolygonRest(client)
            yield Adapters(
                protocol,
                lambda one: PolygonFeed(protocol, one, where["stream"], secret, clock, bounds),
                PolygonHistory(protocol, pages),
                PolygonAssets(pages, clock),
                PolygonTrades(protocol, pages, clock),
            )
    else:
        async with http_client(where["rest"], headers=HEADERS, timeout_s=60) as client:
            asked = BinanceRest(client, clock, weight_most=5_400)
            yield Adapters(
                protocol,
                lambda _: BinanceFeed(
                    protocol, where["stream"], asked, clock, bounds, rollover or Rollover(), by_depth=by_depth
                ),
                BinanceHistory(protocol, asked),
                BinanceAssets(asked, clock),
                BinanceTrades(protocol, asked, clock),
            )
