"""Alpaca's names for what the exchange lists: spellings, asset ids, asset classes."""

import re
from collections.abc import Iterable, Sequence

from trading.errors import UnknownSymbol
from trading.ids import hashed_id
from trading.instruments import AssetClass, Instrument, Instruments

VENUE = "alpaca"
_EXCHANGES = {AssetClass.EQUITY: "NASDAQ", AssetClass.CRYPTO: "CRYPTO"}
_CLASSES = {AssetClass.EQUITY: "us_equity", AssetClass.CRYPTO: "crypto"}


class Listing:
    """The instruments of the market, looked up by any of Alpaca's names for them."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self.instruments = tuple(instruments)
        self._known = Instruments(instruments)
        self._index = {instrument.symbol: index for index, instrument in enumerate(instruments)}
        self._spelling = {instrument.symbol: instrument.venue_symbol(VENUE) for instrument in instruments}
        self._asset_ids = {i.symbol: hashed_id("alpaca-asset", i.symbol) for i in instruments}
        self._other_names = {self._asset_ids[i.symbol]: i for i in instruments}
        self._other_names |= {re.sub("[^A-Z0-9.]", "", self.spelling(i.symbol)): i for i in instruments}

    def find(self, name: str) -> Instrument:
        """By symbol in any spelling, with or without its slash, or by asset id; raises UnknownSymbol."""
        if name in self._known:
            return self._known.get(name)
        found = self._other_names.get(name.upper()) or self._other_names.get(name)
        if found is None:
            raise UnknownSymbol(f"No instrument is called {name!r}.", symbol=name)
        return found

    def find_all(self, names: Iterable[str]) -> list[Instrument]:
        """The instruments of those names that exist."""
        return [self.find(name) for name in names if name in self]

    def __contains__(self, name: str) -> bool:
        return name in self._known or name.upper() in self._other_names or name in self._other_names

    def index(self, symbol: str) -> int:
        """The index of a canonical symbol in the market's ticks."""
        return self._index[symbol]

    def asset_id(self, symbol: str) -> str:
        """The UUID of an asset; the same at every start."""
        return self._asset_ids[symbol]

    def spelling(self, symbol: str) -> str:
        """How Alpaca spells a canonical symbol."""
        return self._spelling[symbol]


def asset_class(instrument: Instrument) -> str:
    """Alpaca's word for the asset class."""
    return _CLASSES[instrument.asset_class]


def exchange_of(instrument: Instrument) -> str:
    """Alpaca's word for the listing exchange."""
    return _EXCHANGES[instrument.asset_class]
