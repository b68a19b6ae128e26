"""A market drawn by lot: correlated assets with spreads, displayed sizes, jumps and clustered volatility.

Log prices follow a two-factor model (equities, crypto) on a 50 ms grid; volatility is a slow log-AR(1), partly shared;
jumps are rare and big. The touch is the price rounded to ticks with a spread in ticks; quotes and trades sample it.
The momentum bursts of `bursts.py` come on top. The same seed gives the same ticks, on any machine, at any speed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from services.paper_venue.domain.bursts import BurstRules, BurstSchedule
from services.paper_venue.domain.profiles import profile_of
from services.paper_venue.domain.ticks import Kind, Ticks
from trading.instruments import AssetClass, Instrument

Floats = npt.NDArray[np.float64]

STEP_NS = 50_000_000
STEPS_PER_CHUNK = 80
CHUNK_NS = STEP_NS * STEPS_PER_CHUNK
_STEP_S = STEP_NS / 1e9
_CHUNK_S = CHUNK_NS / 1e9

_VOLATILITY_MEMORY_S = 300.0
_VOLATILITY_SPREAD = 0.35
_LEAN_MEMORY_S = 1.5
_LEAN_SPREAD = 0.25
_SIZE_SPREAD = 0.5
_JUMPS_PER_HOUR = 2.0
_JUMP_SIZE = 8.0  # standard deviations of the quiet one-second move
_CRYPTO_WITH_EQUITIES = 0.4
_ROUND_LOT = 100.0
_CRYPTO_SIZE_STEP_NANOS = 100_000


@dataclass(frozen=True, slots=True)
class SimulationRules:
    """What the simulated market is like; rates in events per second and symbol."""

    quote_rate: float = 20.0
    trade_rate: float = 5.0
    bursts: BurstRules = field(default_factory=BurstRules)


class _Streams(NamedTuple):
    """One stream of random numbers per purpose, so that none disturbs another."""

    prices: np.random.Generator
    quotes: np.random.Generator
    trades: np.random.Generator
    bursts: np.random.Generator


class _Touch(NamedTuple):
    """The touch in ticks on the grid (steps × symbols), and what leans on it."""

    bid: npt.NDArray[np.int64]
    ask: npt.NDArray[np.int64]
    lean: Floats
    burst: Floats


class Simulation:
    """Draws a market chunk by chunk (4 s each); `prices` is the level it has reached."""

    def __init__(self, instruments: Sequence[Instrument], seed: int, start_ns: int, rules: SimulationRules) -> None:
        self._rules = rules
        self._start_ns = start_ns
        self._streams = _Streams(*map(np.random.default_rng, np.random.SeedSequence([seed, 1]).spawn(4)))
        profiles = [profile_of(instrument) for instrument in instruments]
        self._is_crypto = np.array([instrument.asset_class is AssetClass.CRYPTO for instrument in instruments])
        self._tick = np.array([instrument.tick_nanos for instrument in instruments], np.int64)
        self._loading = np.array([profile.correlation for profile in profiles])
        self._spread_bps = np.array([profile.spread_bps for profile in profiles])
        self._size = np.array([profile.size for profile in profiles])
        self._size_step = np.where(self._is_crypto, _CRYPTO_SIZE_STEP_NANOS, _ROUND_LOT * 1e9)
        quiet = rules.bursts.variance_factor**-0.5
        self._volatility = quiet * np.array(
            [p.volatility_per_second(i.asset_class) for p, i in zip(profiles, instruments, strict=True)]
        )
        self._log_price = np.log([profile.price for profile in profiles])
        self._log_volatility = np.zeros(len(instruments))
        self._lean = np.zeros(len(instruments))
        self._schedules = [BurstSchedule(rules.bursts, self._streams.bursts.spawn(1)[0]) for _ in instruments]
        self._chunks = 0
        self._trades = 0

    @property
    def prices(self) -> Floats:
        """The efficient price of each symbol now, in currency."""
        return np.exp(self._log_price)

    def chunks(self) -> Iterator[Ticks]:
        """The market from its start, without end."""
        while True:
            yield self._next_chunk()

    def _next_chunk(self) -> Ticks:
        first_ns = self._start_ns + self._chunks * CHUNK_NS
        touch = self._draw_touch()
        parts = [self._opening(touch, first_ns)] if self._chunks == 0 else []
        parts += [self._draw_quotes(touch, first_ns), self._draw_trades(touch, first_ns)]
        self._chunks += 1
        return Ticks.merged(parts)

    def _draw_touch(self) -> _Touch:
        burst = self._draw_bursts()
        prices = self._draw_prices(burst)
        lean = self._draw_lean() + self._rules.bursts.size_lean * burst
        spread = self._draw_spread(prices)
        bid = np.rint(prices * 1e9 / self._tick - spread / 2).astype(np.int64)
        bid = np.maximum(bid, 1)
        return _Touch(bid, bid + spread, lean, burst)

    def _draw_bursts(self) -> Floats:
        times_s = np.asarray((self._chunks * STEPS_PER_CHUNK + np.arange(STEPS_PER_CHUNK)) * _STEP_S, np.float64)
        return np.stack([schedule.directions(times_s) for schedule in self._schedules], axis=1)

    def _draw_prices(self, burst: Floats) -> Floats:
        random, symbols = self._streams.prices, len(self._tick)
        volatility = self._volatility * np.exp(self._draw_log_volatility())
        equities, own_crypto = random.standard_normal((2, STEPS_PER_CHUNK, 1))
        crypto = _CRYPTO_WITH_EQUITIES * equities + (1 - _CRYPTO_WITH_EQUITIES**2) ** 0.5 * own_crypto
        factor = np.where(self._is_crypto, crypto, equities)
        own = random.standard_normal((STEPS_PER_CHUNK, symbols))
        noise = self._loading * factor + (1 - self._loading**2) ** 0.5 * own
        drift = self._rules.bursts.drift * burst * _STEP_S
        moves = volatility * (noise * _STEP_S**0.5 + drift + self._draw_jumps())
        path = self._log_price + np.cumsum(moves, axis=0)
        self._log_price = path[-1]
        return np.asarray(np.exp(path))

    def _draw_log_volatility(self) -> Floats:
        random = self._streams.prices
        memory = np.exp(-_CHUNK_S / _VOLATILITY_MEMORY_S)
        shared, own = random.standard_normal(), random.standard_normal(len(self._tick))
        news = (0.5**0.5) * (shared + own) * _VOLATILITY_SPREAD * (1 - memory**2) ** 0.5
        self._log_volatility = memory * self._log_volatility + news
        return self._log_volatility

    def _draw_jumps(self) -> Floats:
        random, shape = self._streams.prices, (STEPS_PER_CHUNK, len(self._tick))
        happens = random.random(shape) < _JUMPS_PER_HOUR * _STEP_S / 3600
        return happens * random.standard_normal(shape) * _JUMP_SIZE

    def _draw_lean(self) -> Floats:
        """A wandering lean of sizes and flow that means nothing: what a model must not mistake for a burst."""
        memory = np.exp(-_STEP_S / _LEAN_MEMORY_S)
        news = self._streams.quotes.standard_normal((STEPS_PER_CHUNK, len(self._tick)))
        news *= _LEAN_SPREAD * (1 - memory**2) ** 0.5
        path = np.empty_like(news)
        for step in range(STEPS_PER_CHUNK):
            self._lean = memory * self._lean + news[step]
            path[step] = self._lean
        return path

    def _draw_spread(self, prices: Floats) -> npt.NDArray[np.int64]:
        usual = prices * 1e9 * self._spread_bps * 1e-4 / self._tick * np.exp(self._log_volatility)
        widened = self._streams.quotes.poisson(0.15 * usual)
        return np.asarray(np.maximum(1, np.rint(usual)).astype(np.int64) + widened)

    def _opening(self, touch: _Touch, first_ns: int) -> Ticks:
        """One quote of every symbol at the first moment, so that orders can be filled at once."""
        symbols = np.arange(len(self._tick))
        return self._quotes_at(touch, np.zeros_like(symbols), symbols, np.full(len(symbols), first_ns, np.int64))

    def _draw_quotes(self, touch: _Touch, first_ns: int) -> Ticks:
        random = self._streams.quotes
        counts = random.poisson(self._rules.quote_rate * _STEP_S, touch.bid.shape)
        steps, symbols = self._cells(counts)
        return self._quotes_at(touch, steps, symbols, self._times(steps, first_ns, random))

    def _quotes_at(
        self, touch: _Touch, steps: npt.NDArray[np.intp], symbols: npt.NDArray[np.intp], times: npt.NDArray[np.int64]
    ) -> Ticks:
        lean, tick = touch.lean[steps, symbols], self._tick[symbols]
        bid_size, ask_size = self._draw_sizes(symbols, lean), self._draw_sizes(symbols, -lean)
        bid, ask = touch.bid[steps, symbols] * tick, touch.ask[steps, symbols] * tick
        return Ticks.of(Kind.QUOTE, symbols.astype(np.int16), times, bid, bid_size, ask, ask_size)

    def _draw_sizes(self, symbols: npt.NDArray[np.intp], lean: Floats) -> npt.NDArray[np.int64]:
        noise = self._streams.quotes.standard_normal(len(symbols)) * _SIZE_SPREAD
        return self._in_lots(symbols, self._size[symbols] * np.exp(noise + lean))

    def _in_lots(self, symbols: npt.NDArray[np.intp], sizes: Floats) -> npt.NDArray[np.int64]:
        step = self._size_step[symbols]
        return np.asarray(np.maximum(1, np.rint(sizes * 1e9 / step)) * step).astype(np.int64)

    def _draw_trades(self, touch: _Touch, first_ns: int) -> Ticks:
        random, rules = self._streams.trades, self._rules
        factor = np.where(touch.burst == 0, 1.0, rules.bursts.trade_rate_factor)
        steps, symbols = self._cells(random.poisson(rules.trade_rate * _STEP_S * factor))
        times = self._times(steps, first_ns, random)
        balance = rules.bursts.one_sided * touch.burst + np.where(touch.burst == 0, np.tanh(touch.lean), 0.0)
        buys = random.random(len(steps)) < 0.5 + 0.5 * balance[steps, symbols]
        price = np.where(buys, touch.ask[steps, symbols], touch.bid[steps, symbols]) * self._tick[symbols]
        sizes = self._size[symbols] * 0.4 * np.exp(random.standard_normal(len(steps)))
        ids = self._trades + 1 + np.argsort(np.argsort(times, kind="stable"), kind="stable")
        self._trades += len(steps)
        sides = np.where(buys, 1, -1).astype(np.int64)
        return Ticks.of(Kind.TRADE, symbols.astype(np.int16), times, price, self._in_lots(symbols, sizes), sides, ids)[
            np.argsort(times, kind="stable")
        ]

    @staticmethod
    def _cells(counts: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """The step and the symbol of each event, from the number of events per cell of the grid."""
        cells = np.repeat(np.arange(counts.size), counts.ravel())
        return cells // counts.shape[1], cells % counts.shape[1]

    @staticmethod
    def _times(steps: npt.NDArray[np.intp], first_ns: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
        return first_ns + steps.astype(np.int64) * STEP_NS + random.integers(0, STEP_NS, len(steps))
