"""How each simulated instrument behaves: its level, its liveliness, and how it hangs together with the rest."""

import math
from dataclasses import dataclass

from trading.instruments import AssetClass, Instrument

TRADING_SECONDS_PER_YEAR = 252 * 6.5 * 3600
CALENDAR_SECONDS_PER_YEAR = 365 * 86_400


@dataclass(frozen=True, slots=True)
class Profile:
    """The parameters of one simulated instrument.

    `price` is the level at the venue's start, in currency; `annual_volatility` a fraction; `correlation` the
    loading on the factor of its asset class; `spread_bps` the usual spread in hundredths of a percent of the price;
    `size` the usual displayed size and `daily_volume` the usual volume, both in units of the instrument.
    """

    price: float
    annual_volatility: float
    correlation: float = 0.65
    spread_bps: float = 1.0
    size: float = 400.0
    daily_volume: float = 20e6

    def volatility_per_second(self, asset_class: AssetClass) -> float:
        """The standard deviation of the log price over one second of trading."""
        crypto = asset_class is AssetClass.CRYPTO
        return self.annual_volatility / math.sqrt(CALENDAR_SECONDS_PER_YEAR if crypto else TRADING_SECONDS_PER_YEAR)


_PROFILES = {
    "AAPL": Profile(190.0, 0.27, 0.72, 0.9, 500, 55e6),
    "MSFT": Profile(420.0, 0.25, 0.74, 0.8, 250, 22e6),
    "NVDA": Profile(130.0, 0.48, 0.70, 1.0, 900, 220e6),
    "AMZN": Profile(185.0, 0.31, 0.68, 0.9, 400, 42e6),
    "TSLA": Profile(250.0, 0.55, 0.58, 1.2, 300, 95e6),
    "GOOGL": Profile(170.0, 0.29, 0.68, 0.9, 400, 28e6),
    "META": Profile(510.0, 0.35, 0.66, 1.0, 200, 15e6),
    "AIG": Profile(76.0, 0.26, 0.55, 1.8, 300, 4e6),
    "BAC": Profile(40.0, 0.27, 0.62, 2.5, 3_000, 38e6),
    "BRK.B": Profile(430.0, 0.17, 0.64, 1.0, 200, 4e6),
    "JPM": Profile(205.0, 0.24, 0.64, 0.8, 300, 9e6),
    "IBM": Profile(190.0, 0.22, 0.52, 1.0, 250, 4e6),
    "XOM": Profile(115.0, 0.25, 0.45, 0.9, 500, 15e6),
    "SPY": Profile(560.0, 0.16, 0.95, 0.3, 800, 60e6),
    "IWM": Profile(215.0, 0.22, 0.86, 0.5, 700, 28e6),
    "EEM": Profile(44.0, 0.19, 0.70, 2.3, 4_000, 30e6),
    "BTC-USDT": Profile(62_000.0, 0.52, 0.85, 0.6, 0.6, 25_000),
    "ETH-USDT": Profile(3_000.0, 0.65, 0.82, 0.8, 8.0, 350_000),
}
_UNKNOWN_EQUITY = Profile(100.0, 0.30)
_UNKNOWN_CRYPTO = Profile(100.0, 0.80, 0.75, 2.0, 50.0, 1e6)


def profile_of(instrument: Instrument) -> Profile:
    """The instrument's own profile, else that of a usual member of its asset class."""
    usual = _UNKNOWN_CRYPTO if instrument.asset_class is AssetClass.CRYPTO else _UNKNOWN_EQUITY
    return _PROFILES.get(instrument.symbol, usual)
