"""What a model sees of a market: eighteen features, kept per symbol in O(1) time and memory per tick.

A tick is one two-sided quote; its price is the mid. Trades since the tick before add their number, volume and
aggressors' signs. While a symbol has never traded, the displayed sizes stand in for the volume and the last
move of the mid for the sign. Prices enter as x = 10⁴·ln(price), so that differences are basis points.
Averages are exponential with α = 2/(N+1), or Wilder's 1/N for the RSI. `feature_series` computes the same
over columns; the two agree to 1e-6.
"""

import math

from trading.money import ONE

FEATURES = (
    "return_1",
    "return_8",
    "return_32",
    "ema_32_distance",
    "ema_128_distance",
    "volatility_32",
    "z_score_32",
    "spread",
    "quote_imbalance",
    "quote_imbalance_32",
    "quote_imbalance_128",
    "tick_imbalance_32",
    "tick_imbalance_128",
    "trades_per_tick_32",
    "rsi_14",
    "vwap_32_distance",
    "trend_128",
    "volatility_ratio",
)
"""Names in the order of the columns; returns, distances, volatility and spread in basis points."""

BASIS_POINTS = 10_000.0
FAST, MIDDLE, SLOW = 2 / 9, 2 / 33, 2 / 129
WILDER = 1 / 14
SHORT_LAG, LONG_LAG = 8, 32
RING = LONG_LAG + 1
"""Logarithms that are kept of a symbol."""
WARM_UP_TICKS = 128
MOVE_FLOOR = 1e-3
"""Basis points that a ratio of moves adds below the line: a flat market gives a calm number, not noise."""
WEIGHT_FLOOR = 1e-9
"""Units of size that a ratio of sizes adds below the line."""

AVERAGES = (
    ("weight", MIDDLE),
    ("sign count", MIDDLE),
    ("sign count", SLOW),
    ("signs", MIDDLE),
    ("signs", SLOW),
    ("imbalance", MIDDLE),
    ("imbalance", SLOW),
    ("x", MIDDLE),
    ("x", SLOW),
    ("gain", WILDER),
    ("loss", WILDER),
    ("weight·price", MIDDLE),
    ("trades", MIDDLE),
    ("r", SLOW),
    ("r²", FAST),
    ("r²", MIDDLE),
    ("r²", SLOW),
    ("(x − mean)²", MIDDLE),
)
"""The order of `FeatureState.averages`: what is averaged, and with which α.

Averages of the same, and those that the same is done to, lie side by side, so that columns take them at once.
"""


class FeatureState:
    """The features of one symbol at one venue after its newest tick; plain floats, no arrays."""

    __slots__ = (
        "ask",
        "ask_size",
        "averages",
        "bid",
        "bid_size",
        "last_r",
        "last_sign",
        "last_trade_price",
        "last_trade_sign",
        "pending_signs",
        "pending_trades",
        "pending_volume",
        "price",
        "ring",
        "ticks",
        "traded",
    )

    def __init__(self) -> None:
        self.ticks = 0
        self.price = self.bid = self.ask = self.bid_size = self.ask_size = 0.0
        self.averages = (0.0,) * len(AVERAGES)
        self.ring = [0.0] * RING
        self.last_r = self.last_sign = 0.0
        self.traded = False
        self.pending_volume = self.pending_trades = self.pending_signs = 0.0
        self.last_trade_price = self.last_trade_sign = 0.0

    def copy(self) -> "FeatureState":
        """A state of its own that goes on from here."""
        other = FeatureState.__new__(FeatureState)
        for name in FeatureState.__slots__:
            setattr(other, name, getattr(self, name))
        other.ring = self.ring.copy()
        return other

    @property
    def warm(self) -> bool:
        """Enough ticks have been seen for the slowest average to mean something."""
        return self.ticks >= WARM_UP_TICKS

    def trade(self, price: float, size: float, side_sign: int) -> None:
        """Take in one trade; a hidden aggressor (0) is told by Lee and Ready's rule (1991).

        Above the mid it bought, below it sold; at the mid the sign of the last price change tells.
        """
        last = self.last_trade_price or price
        against_mid = (price > self.price) - (price < self.price) if self.ticks else 0
        change = (price > last) - (price < last)
        self.last_trade_sign = float(side_sign or against_mid or change or self.last_trade_sign)
        self.last_trade_price = price
        self.traded = True
        self.pending_volume += size
        self.pending_trades += 1.0
        self.pending_signs += self.last_trade_sign

    def quote(self, bid_nanos: int, bid_size_nanos: int, ask_nanos: int, ask_size_nanos: int) -> None:
        """Take in one two-sided quote, a tick; the caller has left out empty and crossed books."""
        bid, ask = bid_nanos / ONE, ask_nanos / ONE  # as `to_float` does, without four calls in every tick
        self.step((bid + ask) * 0.5, bid, ask, bid_size_nanos / ONE, ask_size_nanos / ONE)

    def step(self, price: float, bid: float, ask: float, bid_size: float, ask_size: float) -> None:
        """Advance every average by one tick; sizes in units. Long and flat because every tick pays for it."""
        x = BASIS_POINTS * math.log(price)
        tick = self.ticks
        if not tick:
            self.start(x, price)
        ring, previous = self.ring, self.price
        r = x - ring[(tick - 1) % RING] if price != previous else 0.0
        sign = 1.0 if price > previous else -1.0 if price < previous else self.last_sign
        sizes = bid_size + ask_size
        imbalance = (bid_size - ask_size) / (sizes + WEIGHT_FLOOR)
        trades = self.pending_trades
        if self.traded:
            weight, signs, count = self.pending_volume, self.pending_signs, trades
            self.pending_volume = self.pending_trades = self.pending_signs = 0.0
        else:
            weight, signs, count = sizes, sign, 1.0
        w32, c32, c128, s32, s128, i32, i128, x32, x128, gain, loss, wp32, t32, r128, q8, q32, q128, d32 = self.averages
        square = r * r
        x32 += MIDDLE * (x - x32)
        deviation = x - x32
        self.averages = (
            w32 + MIDDLE * (weight - w32),
            c32 + MIDDLE * (count - c32),
            c128 + SLOW * (count - c128),
            s32 + MIDDLE * (signs - s32),
            s128 + SLOW * (signs - s128),
            i32 + MIDDLE * (imbalance - i32),
            i128 + SLOW * (imbalance - i128),
            x32,
            x128 + SLOW * (x - x128),
            gain + WILDER * ((r if r > 0 else 0.0) - gain),
            loss + WILDER * ((-r if r < 0 else 0.0) - loss),
            wp32 + MIDDLE * (weight * price - wp32),
            t32 + MIDDLE * (trades - t32),
            r128 + SLOW * (r - r128),
            q8 + FAST * (square - q8),
            q32 + MIDDLE * (square - q32),
            q128 + SLOW * (square - q128),
            d32 + MIDDLE * (deviation * deviation - d32),
        )
        ring[tick % RING] = x
        self.price, self.bid, self.ask = price, bid, ask
        self.bid_size, self.ask_size = bid_size, ask_size
        self.last_r, self.last_sign = r, sign
        self.ticks = tick + 1

    def features(self) -> tuple[float, ...]:
        """The newest feature row in the order of FEATURES; needs at least one tick."""
        w32, c32, c128, s32, s128, i32, i128, x32, x128, gain, loss, wp32, t32, r128, q8, q32, q128, d32 = self.averages
        ring, tick, price = self.ring, self.ticks - 1, self.price
        x = ring[tick % RING]
        slow_move = math.sqrt(q128) + MOVE_FLOOR
        vwap = (wp32 + WEIGHT_FLOOR * price) / (w32 + WEIGHT_FLOOR)
        return (
            self.last_r,
            x - ring[(tick - SHORT_LAG) % RING],
            x - ring[(tick - LONG_LAG) % RING],
            x - x32,
            x - x128,
            math.sqrt(q32),
            (x - x32) / (math.sqrt(d32) + MOVE_FLOOR),
            BASIS_POINTS * (self.ask - self.bid) / price,
            (self.bid_size - self.ask_size) / (self.bid_size + self.ask_size + WEIGHT_FLOOR),
            i32,
            i128,
            s32 / (c32 + WEIGHT_FLOOR),
            s128 / (c128 + WEIGHT_FLOOR),
            t32,
            (gain + MOVE_FLOOR) / (gain + loss + 2 * MOVE_FLOOR),
            BASIS_POINTS * (price / vwap - 1),
            r128 / slow_move,
            (math.sqrt(q8) + MOVE_FLOOR) / slow_move,
        )

    def start(self, x: float, price: float) -> None:
        """The first tick is its own past: no return, no distance, no weight."""
        self.price = price
        self.ring = [x] * len(self.ring)
        self.averages = tuple(x if name == "x" else 0.0 for name, _ in AVERAGES)
