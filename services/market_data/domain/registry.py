"""The instruments that this service streams: the catalogue's words, corrected by what the venue lists."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from trading.errors import UnknownSymbol
from trading.instruments import CATALOGUE, AssetClass, Instrument, Instruments, crypto, equity, parse_symbol


@dataclass(frozen=True, slots=True)
class VenueAsset:
    """What a venue says about one thing; sizes and steps in nanos, None where it says nothing."""

    spelling: str
    asset_class: AssetClass
    name: str
    tradable: bool
    shortable: bool
    min_quantity_nanos: int | None = None
    lot_nanos: int | None = None
    tick_nanos: int | None = None


class Registry:
    """Instruments by any spelling; those that a venue does not list are kept, and said to be not tradable."""

    def __init__(self, spellings: Iterable[str]) -> None:
        known = Instruments(CATALOGUE)
        self._instruments = Instruments(known.get(text) if text in known else infer(text) for text in spellings)
        self._unlisted: dict[str, str] = {}

    def all(self) -> list[Instrument]:
        """Every instrument, sorted by symbol."""
        return sorted(self._instruments, key=lambda instrument: instrument.symbol)

    def get(self, spelling: str) -> Instrument:
        """The instrument behind any spelling; raises UnknownSymbol."""
        return self._instruments.get(spelling)

    def quoted(self, spelling: str) -> Instrument:
        """The same, for a question about its quotes; raises UnknownSymbol also when no venue lists it."""
        instrument = self.get(spelling)
        if (venue := self._unlisted.get(instrument.symbol)) is not None:
            raise UnknownSymbol(f"{venue} does not list {instrument.symbol}.", symbol=instrument.symbol)
        return instrument

    def listed(self, asset_class: AssetClass | None = None) -> list[Instrument]:
        """The instruments to stream, of one class or of all."""
        return [
            instrument
            for instrument in self.all()
            if instrument.symbol not in self._unlisted and asset_class in (None, instrument.asset_class)
        ]

    def unlisted(self) -> list[str]:
        """Symbols that were asked for and that the venue does not know."""
        return sorted(self._unlisted)

    def learn(self, symbol: str, asset: VenueAsset | None, venue: str) -> None:
        """Take in what the venue says of a symbol; None when it does not know it."""
        instrument = self._instruments.get(symbol)
        if asset is None:
            self._unlisted[symbol] = venue
            self._instruments.add(replace(instrument, tradable=False))
        else:
            self._unlisted.pop(symbol, None)
            self._instruments.add(enriched(instrument, asset))


def infer(spelling: str) -> Instrument:
    """The instrument that a symbol outside the catalogue must mean: `DOGE-USDT` and `DOGE/USD` are coins."""
    text = parse_symbol(spelling).upper()
    for suffix in ("-USDT", "/USD"):
        if text.endswith(suffix) and len(text) > len(suffix):
            return crypto(text.removesuffix(suffix))
    return equity(text)


def enriched(instrument: Instrument, asset: VenueAsset) -> Instrument:
    """The instrument with what the venue knows better: names, steps, least size, and whether it trades."""
    return replace(
        instrument,
        name=asset.name or instrument.name,
        tradable=asset.tradable,
        shortable=asset.shortable,
        tick_nanos=asset.tick_nanos or instrument.tick_nanos,
        lot_nanos=asset.lot_nanos or instrument.lot_nanos,
        min_quantity_nanos=asset.min_quantity_nanos or instrument.min_quantity_nanos,
    )
