"""Polygon's names for what the exchange lists: tickers of REST, pairs of the streams, markets of both."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.paper_venue.polygon.errors import not_entitled, not_found
from trading.instruments import AssetClass, Instrument

VENUE = "polygon"
_CRYPTO_PREFIX = "X:"
_FOREIGN_PREFIXES = ("O:", "I:", "C:")


class Market(StrEnum):
    """The markets that this venue carries, by the word that addresses use."""

    STOCKS = "stocks"
    CRYPTO = "crypto"

    @property
    def locale(self) -> str:
        """Where the market is, in addresses."""
        return "us" if self is Market.STOCKS else "global"

    @property
    def asset_class(self) -> AssetClass:
        return AssetClass.EQUITY if self is Market.STOCKS else AssetClass.CRYPTO

    @classmethod
    def called(cls, name: str, locale: str | None = None) -> "Market":
        """By its word, and its locale where the address has one; raises ApiError 403 for any other."""
        if name not in list(cls) or locale not in (None, cls(name).locale):
            raise not_entitled()
        return cls(name)


@dataclass(frozen=True, slots=True)
class Ticker:
    """One instrument; `index` is its place in the market's ticks, `stream_name` how the streams spell it."""

    name: str
    stream_name: str
    market: Market
    instrument: Instrument
    index: int

    @property
    def symbol(self) -> str:
        """The canonical symbol."""
        return self.instrument.symbol

    @property
    def asset_class(self) -> AssetClass:
        return self.instrument.asset_class

    @property
    def is_crypto(self) -> bool:
        return self.market is Market.CRYPTO

    @property
    def currencies(self) -> tuple[str, str]:
        """Base and quote currency of a pair."""
        base, _, quote = self.stream_name.partition("-")
        return base, quote


class Listing:
    """The tickers of both markets."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self.tickers = tuple(_ticker(instrument, index) for index, instrument in enumerate(instruments))
        self._by_name = {ticker.name: ticker for ticker in self.tickers}
        self._by_symbol = {ticker.symbol: ticker for ticker in self.tickers}
        self._by_stream_name = {(ticker.market, ticker.stream_name): ticker for ticker in self.tickers}

    def of_market(self, market: Market) -> tuple[Ticker, ...]:
        """The tickers of one market, by name."""
        return tuple(sorted((t for t in self.tickers if t.market is market), key=lambda ticker: ticker.name))

    def get(self, name: str) -> Ticker | None:
        """By Polygon's own spelling; raises ApiError 403 for a foreign asset class."""
        if name.startswith(_FOREIGN_PREFIXES):
            raise not_entitled()
        return self._by_name.get(name)

    def find(self, name: str) -> Ticker:
        """The same; raises ApiError 404 for what is not listed."""
        ticker = self.get(name)
        if ticker is None:
            raise not_found()
        return ticker

    def find_pair(self, base: str, quote: str) -> Ticker:
        """A coin by its two currencies; raises ApiError 404."""
        return self.find(f"{_CRYPTO_PREFIX}{base}{quote}")

    def of_symbol(self, symbol: str) -> Ticker:
        """By canonical symbol."""
        return self._by_symbol[symbol]

    def of_stream(self, market: Market, name: str) -> Ticker | None:
        """By the spelling of the streams; a pair may carry its prefix."""
        return self._by_stream_name.get((market, name.removeprefix(_CRYPTO_PREFIX)))


def _ticker(instrument: Instrument, index: int) -> Ticker:
    if instrument.asset_class is AssetClass.EQUITY:
        name = instrument.venue_symbol(VENUE)
        return Ticker(name, name, Market.STOCKS, instrument, index)
    base, _, quote = instrument.symbol.partition("-")
    name = instrument.venue_symbols.get(VENUE) or f"{_CRYPTO_PREFIX}{base}{quote}"
    pair = name.removeprefix(_CRYPTO_PREFIX)
    return Ticker(name, f"{base}-{pair.removeprefix(base)}", Market.CRYPTO, instrument, index)
