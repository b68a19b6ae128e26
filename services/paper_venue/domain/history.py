"""Simulated years before the venue's start: daily and minute bars that lead up to the live price.

Daily returns follow the same kind of factor model as the live simulation; minutes of the last days are random bridges
between a day's open and its close, and those days' bars are made of their minutes. Drawn on first use, by seed.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import numpy.typing as npt

from services.paper_venue.domain.bars import BarTable
from services.paper_venue.domain.profiles import Profile, profile_of
from services.paper_venue.domain.sessions import (
    OPENS,
    SESSION_MINUTES,
    at_new_york,
    is_trading_day,
    midnight_utc,
    new_york_date,
)
from trading.clock import MINUTE_NS
from trading.instruments import AssetClass, Instrument
from trading.money import ONE

Floats = npt.NDArray[np.float64]

HISTORY_DAYS = 3 * 365
MINUTE_DAYS = 30
_TRADING_DAYS_PER_YEAR = {AssetClass.EQUITY: 252, AssetClass.CRYPTO: 365}
_MINUTES_PER_DAY = {AssetClass.EQUITY: SESSION_MINUTES, AssetClass.CRYPTO: 1440}
_OVERNIGHT_SHARE = 0.3
_CRYPTO_WITH_EQUITIES = 0.4
_TRADES_PER_VOLUME = {AssetClass.EQUITY: 0.008, AssetClass.CRYPTO: 2.0}
_PREMIUM_PER_YEAR = 0.07


@dataclass(frozen=True, slots=True)
class _Day:
    """One trading day in log prices: where it opened and closed, and when it began (ns UTC)."""

    date: date
    open: float
    close: float
    start_ns: int
    minutes: int


class History:
    """The simulated past of some instruments, up to `anchor_ns`; `prices` in nanos are where it must arrive."""

    def __init__(self, instruments: Sequence[Instrument], prices: Mapping[str, int], seed: int, anchor_ns: int) -> None:
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self._prices = prices
        self._seed = seed
        self._anchor_ns = anchor_ns
        self._drawn: dict[str, tuple[BarTable, BarTable]] = {}

    def daily(self, symbol: str) -> BarTable:
        """Daily bars of the last three years, the unfinished day of the anchor included."""
        return self._tables(symbol)[0]

    def minutes(self, symbol: str) -> BarTable:
        """Minute bars of the last thirty days, up to the anchor."""
        return self._tables(symbol)[1]

    def _tables(self, symbol: str) -> tuple[BarTable, BarTable]:
        if symbol not in self._drawn:
            self._drawn[symbol] = self._draw(self._instruments[symbol])
        return self._drawn[symbol]

    def _draw(self, instrument: Instrument) -> tuple[BarTable, BarTable]:
        random = np.random.default_rng([self._seed, 3, zlib.crc32(instrument.symbol.encode())])
        profile = profile_of(instrument)
        days = self._days(instrument, profile, random)
        recent_from = new_york_date(self._anchor_ns) - timedelta(days=MINUTE_DAYS)
        old = [day for day in days if day.date < recent_from]
        recent = [self._minutes_of(day, instrument, profile, random) for day in days if day.date >= recent_from]
        minutes = BarTable.concat([*recent, BarTable.of([])])
        whole_days = BarTable.concat(
            [self._old_days(old, instrument, profile, random), *(_as_day(table, instrument) for table in recent)]
        )
        return whole_days, minutes

    def _days(self, instrument: Instrument, profile: Profile, random: np.random.Generator) -> list[_Day]:
        """The days of the history with log opens and closes, the last one ending at the anchor's price."""
        dates = self._dates(instrument.asset_class)
        returns = self._daily_returns(dates, instrument, profile, random)
        closes = np.log(self._prices[instrument.symbol] / ONE) - np.r_[np.cumsum(returns[::-1])[::-1][1:], 0.0]
        opens = closes - returns * (1 - _OVERNIGHT_SHARE)
        starts = [_start_of(day, instrument.asset_class) for day in dates]
        minutes = [self._minutes_until_anchor(start, instrument.asset_class) for start in starts]
        return [
            _Day(*values)
            for values in zip(dates, opens.tolist(), closes.tolist(), starts, minutes, strict=True)
            if values[-1] > 0
        ]

    def _dates(self, asset_class: AssetClass) -> list[date]:
        crypto = asset_class is AssetClass.CRYPTO
        last = datetime.fromtimestamp(self._anchor_ns / 1e9, UTC).date() if crypto else new_york_date(self._anchor_ns)
        dates = [last - timedelta(days=back) for back in range(HISTORY_DAYS, -1, -1)]
        return [
            day
            for day in dates
            if (crypto or is_trading_day(day)) and self._minutes_until_anchor(_start_of(day, asset_class), asset_class)
        ]

    def _minutes_until_anchor(self, start_ns: int, asset_class: AssetClass) -> int:
        """How many whole minutes of a day lie before the anchor."""
        return max(0, min(_MINUTES_PER_DAY[asset_class], (self._anchor_ns - start_ns) // MINUTE_NS))

    def _daily_returns(
        self, dates: Sequence[date], instrument: Instrument, profile: Profile, random: np.random.Generator
    ) -> Floats:
        per_year = _TRADING_DAYS_PER_YEAR[instrument.asset_class]
        factor = np.array([self._market_move(day, instrument.asset_class) for day in dates])
        own = random.standard_normal(len(dates))
        noise = profile.correlation * factor + (1 - profile.correlation**2) ** 0.5 * own
        premium = _PREMIUM_PER_YEAR * profile.annual_volatility / 0.2 / per_year
        return np.asarray(premium + noise * profile.annual_volatility / per_year**0.5)

    def _market_move(self, day: date, asset_class: AssetClass) -> float:
        """The day's standard move of the factor of an asset class; a pure function of seed and date."""
        equities, crypto = np.random.default_rng([self._seed, 5, day.toordinal()]).standard_normal(2)
        if asset_class is AssetClass.EQUITY:
            return float(equities)
        return float(_CRYPTO_WITH_EQUITIES * equities + (1 - _CRYPTO_WITH_EQUITIES**2) ** 0.5 * crypto)

    def _minutes_of(self, day: _Day, instrument: Instrument, profile: Profile, random: np.random.Generator) -> BarTable:
        volatility = profile.volatility_per_second(instrument.asset_class) * 60**0.5
        factor = np.random.default_rng([self._seed, 7, day.date.toordinal()]).standard_normal(1440)[: day.minutes]
        own = random.standard_normal(day.minutes)
        moves = volatility * (profile.correlation * factor + (1 - profile.correlation**2) ** 0.5 * own)
        path = np.cumsum(moves)
        share = np.arange(1, day.minutes + 1) / day.minutes
        closes = day.open + path + share * (day.close - day.open - path[-1])
        opens = np.r_[day.open, closes[:-1]]
        volume = profile.daily_volume / _MINUTES_PER_DAY[instrument.asset_class]
        starts = day.start_ns + np.arange(day.minutes, dtype=np.int64) * MINUTE_NS
        return _table(starts, opens, closes, volatility, volume, instrument, random)

    def _old_days(
        self, days: Sequence[_Day], instrument: Instrument, profile: Profile, random: np.random.Generator
    ) -> BarTable:
        volatility = profile.annual_volatility / _TRADING_DAYS_PER_YEAR[instrument.asset_class] ** 0.5
        starts = np.array([_stamp_of(day.start_ns, instrument) for day in days], np.int64)
        opens, closes = np.array([day.open for day in days]), np.array([day.close for day in days])
        return _table(starts, opens, closes, volatility, profile.daily_volume, instrument, random)


def _table(
    starts: npt.NDArray[np.int64],
    log_opens: Floats,
    log_closes: Floats,
    volatility: float,
    volume: float,
    instrument: Instrument,
    random: np.random.Generator,
) -> BarTable:
    """Bars from opens and closes: wicks and volumes grow with the size of the move."""
    count = len(starts)
    wicks = np.abs(random.standard_normal((2, count))) * 0.4 * volatility
    high, low = np.maximum(log_opens, log_closes) + wicks[0], np.minimum(log_opens, log_closes) - wicks[1]
    surprise = np.abs(log_closes - log_opens) / volatility
    volumes = np.rint(volume * np.exp(0.35 * random.standard_normal(count) + 0.25 * (surprise - 0.8)) * 1e4) / 1e4
    volumes = np.maximum(1.0, np.rint(volumes)) if instrument.asset_class is AssetClass.EQUITY else volumes
    trades = np.maximum(1, np.rint(volumes * _TRADES_PER_VOLUME[instrument.asset_class])).astype(np.int64)
    vwap = (log_opens + log_closes + high + low) / 4
    open_, highest, lowest, close = [
        _on_tick(log_prices, instrument) for log_prices in (log_opens, high, low, log_closes)
    ]
    vwaps = np.rint(np.exp(vwap) * ONE).astype(np.int64)
    return BarTable(starts, open_, highest, lowest, close, volumes, trades, vwaps)


def _on_tick(log_prices: Floats, instrument: Instrument) -> npt.NDArray[np.int64]:
    tick = instrument.tick_nanos
    return np.asarray(np.maximum(1, np.rint(np.exp(log_prices) * ONE / tick))).astype(np.int64) * tick


def _as_day(minutes: BarTable, instrument: Instrument) -> BarTable:
    return minutes.grouped(np.full(len(minutes), _stamp_of(int(minutes.start_ns[0]), instrument), np.int64))


def _start_of(day: date, asset_class: AssetClass) -> int:
    """When trading of a day begins."""
    return midnight_utc(day) if asset_class is AssetClass.CRYPTO else at_new_york(day, OPENS)


def _stamp_of(time_ns: int, instrument: Instrument) -> int:
    """What a daily bar is stamped with: midnight in New York for shares, in UTC for coins."""
    return day_start_ns(time_ns, instrument.asset_class)


def day_start_ns(time_ns: int, asset_class: AssetClass) -> int:
    """The start of the day that a moment belongs to: in New York for shares, in UTC for coins."""
    if asset_class is AssetClass.CRYPTO:
        return time_ns // 86_400_000_000_000 * 86_400_000_000_000
    return at_new_york(new_york_date(time_ns), datetime.min.time())
