"""What each venue offers us, put together from its account and its addresses."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx

from fleet.http import http_client
from fleet.settings import VenueAccounts
from services.market_data.adapters.alpaca_assets import AlpacaAssets
from services.market_data.adapters.alpaca_history import AlpacaHistory, feed_of
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
from trading.clock import Clock
from trading.instruments import AssetClass


@dataclass(frozen=True, slots=True)
class VenueLimits:
    """Bounds of what a venue is asked and sends; `rest_timeout_s` is the patience for one answer.

    `assets_at_once` asks for all that a venue lists, and not for one after another.
    """

    stream: StreamLimits
    rest_timeout_s: float
    binance_rollover: Rollover
    binance_weight: int
    binance_by_depth: bool
    assets_at_once: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """What a venue offers us; `numbered` says that its trade ids count up by one for each symbol."""

    feeds: Sequence[MarketFeed]
    assets: InstrumentSource
    history: HistorySource
    trades: TradeSource
    numbered: bool = False


class VenueOffers:
    """Makes offers; the connections that they need live as long as `stack`."""

    def __init__(self, stack: AsyncExitStack, accounts: VenueAccounts, limits: VenueLimits, clock: Clock) -> None:
        self._stack, self._accounts, self._limits, self._clock = stack, accounts, limits, clock

    async def open(self, venue: str, classes: Sequence[AssetClass]) -> Offer:
        """What a venue offers for these classes of instruments; `paper` speaks Alpaca's protocol."""
        offers: Mapping[str, Callable[[str, Sequence[AssetClass]], Awaitable[Offer]]] = {
            "paper": self._alpaca,
            "alpaca": self._alpaca,
            "polygon": self._polygon,
            "binance": self._binance,
        }
        return await offers[venue](venue, classes)

    async def _alpaca(self, venue: str, classes: Sequence[AssetClass]) -> Offer:
        account, clock = self._accounts, self._clock
        key = AlpacaKey(account.alpaca_key_id, account.alpaca_secret_key)
        data = AlpacaRest(await self._client(account.alpaca_data_url, key.headers()))
        trading = AlpacaRest(await self._client(account.alpaca_trading_url, key.headers()))
        urls = {AssetClass.EQUITY: account.alpaca_stream_url, AssetClass.CRYPTO: account.alpaca_crypto_stream}
        tape = feed_of(account.alpaca_stream_url)
        return Offer(
            [AlpacaFeed(venue, one, urls[one], key, clock, self._limits.stream) for one in classes],
            AlpacaAssets(trading, clock, at_once=self._limits.assets_at_once),
            AlpacaHistory(venue, data, tape),
            AlpacaTrades(venue, data, tape, clock),
        )

    async def _polygon(self, venue: str, classes: Sequence[AssetClass]) -> Offer:
        account, clock = self._accounts, self._clock
        key, url = account.polygon_api_key, account.polygon_stream_url
        headers = {"Authorization": f"Bearer {key.get_secret_value()}"}
        rest = PolygonRest(await self._client(account.polygon_rest_url, headers))
        return Offer(
            [PolygonFeed(venue, one, url, key, clock, self._limits.stream) for one in classes],
            PolygonAssets(rest, clock, at_once=self._limits.assets_at_once),
            PolygonHistory(venue, rest),
            PolygonTrades(venue, rest, clock),
        )

    async def _binance(self, venue: str, classes: Sequence[AssetClass]) -> Offer:
        account, clock, limits = self._accounts, self._clock, self._limits
        key = {"X-MBX-APIKEY": account.binance_api_key} if account.binance_api_key else {}
        client = await self._client(account.binance_rest_url, HEADERS | key)
        rest = BinanceRest(client, clock, weight_most=limits.binance_weight)
        url, rollover = account.binance_stream_url, limits.binance_rollover
        feed = BinanceFeed(venue, url, rest, clock, limits.stream, rollover, by_depth=limits.binance_by_depth)
        return Offer(
            [feed] if feed.asset_class in classes else [],
            BinanceAssets(rest, clock),
            BinanceHistory(venue, rest),
            BinanceTrades(venue, rest, clock),
            numbered=True,
        )

    async def _client(self, base_url: str, headers: Mapping[str, str]) -> httpx.AsyncClient:
        client = http_client(base_url, headers=headers, timeout_s=self._limits.rest_timeout_s)
        return await self._stack.enter_async_context(client)
