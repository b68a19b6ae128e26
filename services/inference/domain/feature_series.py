"""The features of `features` over columns: many ticks at once, from a cold or a warm state."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from services.inference.domain.features import (
    AVERAGES,
    BASIS_POINTS,
    FAST,
    FEATURES,
    LONG_LAG,
    MIDDLE,
    MOVE_FLOOR,
    SHORT_LAG,
    SLOW,
    WEIGHT_FLOOR,
    WILDER,
    FeatureState,
)
from trading.market import QuoteBlock

Floats = npt.NDArray[np.float64]

_NANO = 1_000_000_000.0
_CHUNK = 64
_MEAN_ROW, _DEVIATION_ROW = 1, len(AVERAGES) - 1
_GROUPS = ((FAST, slice(0, 1)), (MIDDLE, slice(1, 9)), (SLOW, slice(9, 15)), (WILDER, slice(15, 17)))
"""Rows of AVERAGES that share an α; the last row, which depends on another, stands alone."""


@dataclass(frozen=True, slots=True)
class Ticks:
    """N ticks of one symbol, oldest first, as float columns in units.

    `volume`, `trades` and `signs` are the size, the number and the summed aggressors' signs of what traded
    since the tick before.
    """

    price: Floats
    bid: Floats
    ask: Floats
    bid_size: Floats
    ask_size: Floats
    volume: Floats
    trades: Floats
    signs: Floats

    def __len__(self) -> int:
        return len(self.price)


def two_sided(block: QuoteBlock) -> npt.NDArray[np.bool_]:
    """Which quotes of a block are ticks: neither an empty nor a crossed book."""
    return np.asarray((block.bid_nanos > 0) & (block.ask_nanos >= block.bid_nanos))


def quote_ticks(block: QuoteBlock, whole: npt.NDArray[np.bool_]) -> Ticks:
    """The `whole` quotes of a block as ticks without trades."""
    keep = slice(None) if whole.all() else whole
    bid, ask = block.bid_nanos[keep] / _NANO, block.ask_nanos[keep] / _NANO
    bid_size, ask_size = block.bid_size_nanos[keep] / _NANO, block.ask_size_nanos[keep] / _NANO
    nothing = np.zeros(len(bid))
    return Ticks((bid + ask) * 0.5, bid, ask, bid_size, ask_size, nothing, nothing, nothing)


def fold(state: FeatureState, ticks: Ticks) -> Floats:
    """Advance `state` by every tick and give the (N, F) features after each of them."""
    if not len(ticks):
        return np.empty((0, len(FEATURES)))
    moves, averages = _advance(state, ticks)
    return _rows(ticks, moves.x, moves.r, moves.lags, averages)


def advance(state: FeatureState, ticks: Ticks) -> None:
    """Advance `state` by every tick, without the features in between."""
    if len(ticks):
        _advance(state, ticks)


def preview(state: FeatureState, ticks: Ticks) -> Floats:
    """The (K, F) features of K alternatives for the next tick of a state that has seen some, which stays as it is."""
    past = _history(state)
    x = BASIS_POINTS * np.log(ticks.price)
    change = ticks.price - state.price
    r = np.where(change != 0, x - past[-1], 0.0)
    sign = np.where(change != 0, np.sign(change), state.last_sign)
    trades = state.pending_trades + ticks.trades
    signs, volume = state.pending_signs + ticks.signs, state.pending_volume + ticks.volume
    inputs = _inputs(ticks, x, r, _Flow.of(ticks, sign, state.traded | (trades > 0), volume, trades, signs))
    alphas, start = np.array([alpha for _, alpha in AVERAGES])[:, None], np.array(state.averages)[:, None]
    averages = np.empty((len(AVERAGES), len(x)))
    averages[:-1] = start[:-1] + alphas[:-1] * (inputs - start[:-1])
    averages[_DEVIATION_ROW] = start[-1] + MIDDLE * ((x - averages[_MEAN_ROW]) ** 2 - start[-1])
    lags = np.stack((x - past[-SHORT_LAG], x - past[-LONG_LAG]))
    return _rows(ticks, x, r, lags, averages)


@dataclass(frozen=True, slots=True)
class _Flow:
    """What each tick says of trading: weights, signs and their count, and real trades."""

    weight: Floats
    signs: Floats
    count: Floats
    trades: Floats

    @classmethod
    def of(
        cls, ticks: Ticks, sign: Floats, traded: npt.NDArray[np.bool_], volume: Floats, trades: Floats, signs: Floats
    ) -> "_Flow":
        """Trades where the symbol has ever traded, else displayed sizes and the sign of the mid."""
        weight = np.where(traded, volume, ticks.bid_size + ticks.ask_size)
        return cls(weight, np.where(traded, signs, sign), np.where(traded, trades, 1.0), trades)


@dataclass(frozen=True, slots=True)
class _Moves:
    """The logarithms, returns and signs of N ticks."""

    x: Floats
    r: Floats
    sign: Floats
    lags: Floats


def _advance(state: FeatureState, ticks: Ticks) -> tuple[_Moves, Floats]:
    x = BASIS_POINTS * np.log(ticks.price)
    if not state.ticks:
        state.start(float(x[0]), float(ticks.price[0]))
    history = np.concatenate((_history(state), x))
    moves = _moves(state, ticks, history)
    volume, trades, signs = (column.copy() for column in (ticks.volume, ticks.trades, ticks.signs))
    volume[0] += state.pending_volume
    trades[0] += state.pending_trades
    signs[0] += state.pending_signs
    traded = state.traded | (np.cumsum(trades) > 0)
    inputs = _inputs(ticks, x, moves.r, _Flow.of(ticks, moves.sign, traded, volume, trades, signs))
    averages = _averages(state, x, inputs)
    _leave(state, ticks, history, moves, averages)
    state.traded = bool(traded[-1])
    return moves, averages


def _history(state: FeatureState) -> Floats:
    """The newest LONG_LAG values of x, oldest first."""
    newest = (state.ticks - 1) % len(state.ring)
    return np.array((state.ring[newest + 1 :] + state.ring[: newest + 1])[-LONG_LAG:])


def _moves(state: FeatureState, ticks: Ticks, history: Floats) -> _Moves:
    x = history[LONG_LAG:]
    change = np.diff(ticks.price, prepend=state.price)
    r = np.where(change != 0, x - history[LONG_LAG - 1 : -1], 0.0)
    lags = np.stack((x - history[LONG_LAG - SHORT_LAG : -SHORT_LAG], x - history[:-LONG_LAG]))
    return _Moves(x, r, carried(np.sign(change), state.last_sign), lags)


def carried(sign: Floats, start: float) -> Floats:
    """Each zero takes the sign before it, the first ones that of `start`."""
    last_move = np.maximum.accumulate(np.where(sign != 0, np.arange(len(sign)), -1))
    return np.where(last_move >= 0, sign[last_move], start)


def _inputs(ticks: Ticks, x: Floats, r: Floats, flow: _Flow) -> Floats:
    """One row for each of AVERAGES but the last, which depends on another average."""
    square, gain, imbalance = r * r, np.maximum(r, 0.0), _imbalance(ticks)
    middle = (x, square, imbalance, flow.weight, flow.weight * ticks.price, flow.trades, flow.signs, flow.count)
    slow = (x, r, square, imbalance, flow.signs, flow.count)
    return np.stack((square, *middle, *slow, gain, gain - r))


def _imbalance(ticks: Ticks) -> Floats:
    return (ticks.bid_size - ticks.ask_size) / (ticks.bid_size + ticks.ask_size + WEIGHT_FLOOR)


def _averages(state: FeatureState, x: Floats, inputs: Floats) -> Floats:
    averages = np.empty((len(AVERAGES), len(x)))
    start = np.array(state.averages)
    for alpha, rows in _GROUPS:
        averages[rows] = ema_series(inputs[rows], alpha, start[rows])
    deviation = x - averages[_MEAN_ROW]
    averages[_DEVIATION_ROW] = ema_series((deviation * deviation)[None], MIDDLE, start[_DEVIATION_ROW:])[0]
    return averages


def ema_series(values: Floats, alpha: float, start: Floats) -> Floats:
    """Exponential averages along the rows of (K, N), each continuing from its `start`.

    Chunks of 64 are one matrix product; only the carry between chunks is sequential.
    """
    rows, count = values.shape
    kernel, decay = _kernel(alpha)
    chunks = -(-count // _CHUNK)
    padded = np.zeros((rows, chunks * _CHUNK))
    padded[:, :count] = values
    out = (padded.reshape(-1, _CHUNK) @ kernel).reshape(rows, chunks, _CHUNK)
    out += _carries(out[:, :, -1], float(decay[-1]), start)[:, :, None] * decay
    averages: Floats = out.reshape(rows, -1)[:, :count]
    return averages


def _carries(ends: Floats, decay: float, start: Floats) -> Floats:
    """The average before each chunk."""
    carries = np.empty_like(ends)
    for row, (own, carry) in enumerate(zip(ends.tolist(), start.tolist(), strict=True)):
        before = []
        for end in own:
            before.append(carry)
            carry = end + decay * carry
        carries[row] = before
    return carries


@cache
def _kernel(alpha: float) -> tuple[Floats, Floats]:
    """What a chunk's values weigh in its averages, and how the average before the chunk decays in it."""
    steps = np.arange(_CHUNK)
    lag = steps[None, :] - steps[:, None]
    kernel = np.where(lag >= 0, alpha * (1 - alpha) ** np.maximum(lag, 0), 0.0)
    return kernel, np.asarray((1 - alpha) ** (steps + 1.0))


def _rows(ticks: Ticks, x: Floats, r: Floats, lags: Floats, averages: Floats) -> Floats:
    """The formulas of `FeatureState.features` over columns."""
    q8, x32, q32, i32, w32, wp32, t32, s32, c32, x128, r128, q128, i128, s128, c128, gain, loss, d32 = averages
    slow_move = np.sqrt(q128) + MOVE_FLOOR
    vwap = (wp32 + WEIGHT_FLOOR * ticks.price) / (w32 + WEIGHT_FLOOR)
    columns = (
        r,
        lags[0],
        lags[1],
        x - x32,
        x - x128,
        np.sqrt(q32),
        (x - x32) / (np.sqrt(d32) + MOVE_FLOOR),
        BASIS_POINTS * (ticks.ask - ticks.bid) / ticks.price,
        _imbalance(ticks),
        i32,
        i128,
        s32 / (c32 + WEIGHT_FLOOR),
        s128 / (c128 + WEIGHT_FLOOR),
        t32,
        (gain + MOVE_FLOOR) / (gain + loss + 2 * MOVE_FLOOR),
        BASIS_POINTS * (ticks.price / vwap - 1),
        r128 / slow_move,
        (np.sqrt(q8) + MOVE_FLOOR) / slow_move,
    )
    return np.stack(columns, axis=1)


def _leave(state: FeatureState, ticks: Ticks, history: Floats, moves: _Moves, averages: Floats) -> None:
    """Put the state where `step` over every tick would have left it."""
    state.ticks += len(ticks)
    size, newest = len(state.ring), (state.ticks - 1) % len(state.ring)
    recent = history[-size:].tolist()
    state.ring = recent[size - newest - 1 :] + recent[: size - newest - 1]
    state.averages = tuple(averages[:, -1].tolist())
    state.price, state.bid, state.ask = float(ticks.price[-1]), float(ticks.bid[-1]), float(ticks.ask[-1])
    state.bid_size, state.ask_size = float(ticks.bid_size[-1]), float(ticks.ask_size[-1])
    state.last_r, state.last_sign = float(moves.r[-1]), float(moves.sign[-1])
    state.pending_volume = state.pending_trades = state.pending_signs = 0.0
