"""What one customer of a market-data stream has subscribed to, and which rows that selects."""

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from services.paper_venue.alpaca.listing import Listing
from services.paper_venue.domain.ticks import Kind, Ticks
from trading.instruments import AssetClass

CHANNELS = ("trades", "quotes", "bars", "updatedBars", "dailyBars")
QUIET_CHANNELS = ("statuses", "lulds", "orderbooks", "news")
"""Channels that may be asked for and on which this market never has anything to say."""
EVERYTHING = "*"
_ROW_CHANNELS = {"quotes": Kind.QUOTE, "trades": Kind.TRADE}


class Subscriptions:
    """The full state of one connection; symbols are kept as the customer wrote them."""

    def __init__(self, listing: Listing, asset_class: AssetClass) -> None:
        self._listing = listing
        self._asked: dict[str, dict[str, None]] = {channel: {} for channel in (*CHANNELS, *QUIET_CHANNELS)}
        self._of_class = np.array([i.asset_class is asset_class for i in listing.instruments], np.bool_)
        self._rows = np.zeros((len(Kind), len(listing.instruments)), np.bool_)
        self._symbols: dict[str, frozenset[str]] = {}

    @property
    def is_empty(self) -> bool:
        """Nothing of this market is subscribed to."""
        return not self._rows.any() and not any(self._symbols.values())

    @property
    def key(self) -> bytes:
        """Equal for two customers who want the same rows."""
        return self._rows.tobytes()

    def change(self, wanted: Mapping[str, Iterable[str]], subscribe: bool) -> None:
        """Add or take away symbols of channels; raises KeyError for a channel that does not exist."""
        for channel, symbols in wanted.items():
            asked = self._asked[channel]
            for symbol in symbols:
                if subscribe:
                    asked[symbol] = None
                else:
                    asked.pop(symbol, None)
        self._refresh()

    def state(self) -> dict[str, list[str]]:
        """The whole state as the stream acknowledges it; corrections and cancellations follow the trades."""
        state = {channel: list(symbols) for channel, symbols in self._asked.items() if channel in CHANNELS or symbols}
        trades = list(self._asked["trades"])
        return (
            state
            | {"statuses": list(self._asked["statuses"]), "lulds": list(self._asked["lulds"])}
            | {
                "corrections": trades,
                "cancelErrors": trades,
            }
        )

    def select(self, ticks: Ticks) -> Ticks:
        """The rows that the customer wants, in their order."""
        wanted = self._rows[ticks.kind, ticks.instrument]
        return ticks if wanted.all() else ticks[wanted]

    def wants(self, channel: str, symbol: str) -> bool:
        """The customer wants the bars of a canonical symbol."""
        return symbol in self._symbols.get(channel, ())

    def _refresh(self) -> None:
        for channel, kind in _ROW_CHANNELS.items():
            self._rows[kind] = self._chosen(channel)
        symbols = [instrument.symbol for instrument in self._listing.instruments]
        for channel in CHANNELS[2:]:
            chosen = self._chosen(channel).tolist()
            self._symbols[channel] = frozenset(name for name, wanted in zip(symbols, chosen, strict=True) if wanted)

    def _chosen(self, channel: str) -> npt.NDArray[np.bool_]:
        asked = self._asked[channel]
        if EVERYTHING in asked:
            return self._of_class
        chosen = np.zeros_like(self._of_class)
        for instrument in self._listing.find_all(asked):
            chosen[self._listing.index(instrument.symbol)] = True
        return np.asarray(chosen & self._of_class)
