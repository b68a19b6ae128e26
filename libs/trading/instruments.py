"""What can be traded, and the many spellings of its name.

A canonical symbol is `AAPL`, `BRK.B` or, for crypto, `BTC-USDT`; every venue has a spelling of its own
(`BTC/USD`, `X:BTCUSD`, `BTCUSDT`). Any spelling is understood, the canonical one is given back.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from trading.errors import InvalidArgument, UnknownSymbol

CENT = 10_000_000
HUNDREDTH_OF_A_CENT = 100_000
_LONGEST_SYMBOL = 32
ALWAYS_OPEN = "24/7"
"""Trading hours of what never closes."""


class AssetClass(StrEnum):
    """What kind of thing an instrument is."""

    EQUITY = "EQUITY"
    CRYPTO = "CRYPTO"


@dataclass(frozen=True, slots=True)
class Instrument:
    """One tradable thing; tick, lot and limits in nanos, `trading_hours` the exchange's code (XNYS) or 24/7."""

    symbol: str
    asset_class: AssetClass = AssetClass.EQUITY
    currency: str = "USD"
    tick_nanos: int = CENT
    lot_nanos: int = 1
    min_quantity_nanos: int = 1
    max_quantity_nanos: int = 1_000_000_000 * 1_000_000
    sector: str = ""
    name: str = ""
    tradable: bool = True
    shortable: bool = True
    venue_symbols: Mapping[str, str] = field(default_factory=dict)
    trading_hours: str = ALWAYS_OPEN

    def venue_symbol(self, venue: str) -> str:
        """How `venue` spells it; the canonical symbol when it has no spelling of its own."""
        return self.venue_symbols.get(venue, self.symbol)


class Instruments:
    """A set of instruments that is looked up by any spelling."""

    def __init__(self, instruments: Iterable[Instrument] = ()) -> None:
        self._by_symbol: dict[str, Instrument] = {}
        self._symbols: dict[str, str] = {}  # canonical symbol by itself in capitals
        self._spellings: dict[str, str] = {}  # canonical symbol by a venue's spelling in capitals
        for instrument in instruments:
            self.add(instrument)

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self._by_symbol.values())

    def __len__(self) -> int:
        return len(self._by_symbol)

    def __contains__(self, spelling: object) -> bool:
        return isinstance(spelling, str) and self._symbol(spelling) is not None

    def add(self, instrument: Instrument) -> None:
        """Take in an instrument, or a newer version of it, with all its spellings."""
        self._by_symbol[instrument.symbol] = instrument
        self._symbols[instrument.symbol.upper()] = instrument.symbol
        for spelling in instrument.venue_symbols.values():
            self._spellings[spelling.upper()] = instrument.symbol

    def get(self, spelling: str) -> Instrument:
        """The instrument behind any spelling of its name; raises UnknownSymbol."""
        symbol = self._symbol(parse_symbol(spelling))
        if symbol is None:
            raise UnknownSymbol(f"No instrument is called {spelling!r}.", symbol=spelling)
        return self._by_symbol[symbol]

    def _symbol(self, spelling: str) -> str | None:
        """A canonical symbol is never hidden by another instrument's spelling."""
        capitals = spelling.upper()
        return self._symbols.get(capitals) or self._spellings.get(capitals)


def parse_symbol(text: str) -> str:
    """Refuse what can be no symbol: empty, too long, or with blanks and control characters."""
    if not 0 < len(text) <= _LONGEST_SYMBOL or not text.isascii() or not text.isprintable() or " " in text:
        raise InvalidArgument(
            f"Expected a symbol of 1-{_LONGEST_SYMBOL} printable characters.", field="symbol", value=text[:64]
        )
    return text


def equity(symbol: str, sector: str = "", name: str = "") -> Instrument:
    """A US share: ticks of a cent, fractions down to a nano."""
    return Instrument(symbol, AssetClass.EQUITY, "USD", CENT, 1, sector=sector, name=name, trading_hours="XNYS")


def crypto(base: str, name: str = "", *, tick_nanos: int = CENT, lot_nanos: int = HUNDREDTH_OF_A_CENT) -> Instrument:
    """A coin against the dollar: canonical `BASE-USDT`, spelt by each venue in its own way."""
    spellings = {"alpaca": f"{base}/USD", "polygon": f"X:{base}USD", "binance": f"{base}USDT"}
    return Instrument(
        f"{base}-USDT",
        AssetClass.CRYPTO,
        "USD",
        tick_nanos,
        lot_nanos,
        sector="Crypto",
        name=name,
        shortable=False,
        venue_symbols=spellings,
    )


CATALOGUE: tuple[Instrument, ...] = (
    equity("AAPL", "Technology", "Apple Inc."),
    equity("MSFT", "Technology", "Microsoft Corporation"),
    equity("NVDA", "Technology", "NVIDIA Corporation"),
    equity("AMZN", "Consumer Discretionary", "Amazon.com, Inc."),
    equity("TSLA", "Consumer Discretionary", "Tesla, Inc."),
    equity("GOOGL", "Communication Services", "Alphabet Inc. Class A"),
    equity("META", "Communication Services", "Meta Platforms, Inc."),
    equity("AIG", "Financials", "American International Group, Inc."),
    equity("BAC", "Financials", "Bank of America Corporation"),
    equity("BRK.B", "Financials", "Berkshire Hathaway Inc. Class B"),
    equity("JPM", "Financials", "JPMorgan Chase & Co."),
    equity("IBM", "Technology", "International Business Machines Corporation"),
    equity("XOM", "Energy", "Exxon Mobil Corporation"),
    equity("SPY", "Broad Market", "SPDR S&P 500 ETF Trust"),
    equity("IWM", "Broad Market", "iShares Russell 2000 ETF"),
    equity("EEM", "Emerging Markets", "iShares MSCI Emerging Markets ETF"),
    crypto("BTC", "Bitcoin"),
    crypto("ETH", "Ether"),
)
"""Well-known instruments with their sectors; a venue's own asset list adds to it."""

DEFAULT_SYMBOLS = ("AAPL", "TSLA", "NVDA", "MSFT", "SPY", "BTC-USDT", "ETH-USDT")
DEFAULT_BENCHMARK = "SPY"
