"""The features of `features` over columns: many ticks at once, from a cold or a warm state."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.inference.domain.averages import Averages, padded_count
from services.inference.domain.features import (
    AVERAGES,
    BASIS_POINTS,
    FEATURES,
    LONG_LAG,
    MIDDLE,
    MOVE_FLOOR,
    SHORT_LAG,
    WEIGHT_FLOOR,
    FeatureState,
)
from trading.market import QuoteBlock

Floats = npt.NDArray[np.float64]
Reals = npt.NDArray[np.floating]

PIECE = 3072
"""Ticks that are computed at once: enough that calls cost little, few enough for the processor's cache."""
FEW = 64
"""Up to this many ticks stepping one by one is faster than columns."""
_NANO = 1_000_000_000.0
_WEIGHT, _COUNTS, _SIGNS, _IMBALANCES, _LOGARITHMS = 0, slice(1, 3), slice(3, 5), slice(5, 7), slice(7, 9)
_GAIN, _LOSS, _WEIGHTED_PRICE, _TRADES, _RETURN = 9, 10, 11, 12, 13
_FAST_SQUARE, _MIDDLE_SQUARE, _SLOW_SQUARE, _DEVIATION = 14, 15, 16, 17
_SQUARES, _WEIGHTS, _ROOTS = slice(14, 17), slice(0, 3), slice(14, 18)
"""Where AVERAGES has each; of two, the middle one is the first."""
_average = Averages([alpha for _, alpha in AVERAGES[:_DEVIATION]])
_average_deviation = Averages([MIDDLE])
"""The last of AVERAGES, which depends on another."""


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

    def __getitem__(self, part: slice) -> "Ticks":
        return Ticks(
            self.price[part],
            self.bid[part],
            self.ask[part],
            self.bid_size[part],
            self.ask_size[part],
            self.volume[part],
            self.trades[part],
            self.signs[part],
        )


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
    features = np.empty((len(ticks), len(FEATURES)))
    Folding().fold(state, ticks, features)
    return features


def advance(state: FeatureState, ticks: Ticks) -> None:
    """Advance `state` by every tick, without the features in between."""
    Folding().advance(state, ticks)


def step_through(state: FeatureState, ticks: Ticks, features: Reals) -> None:
    """`Folding.fold` tick by tick; faster for up to FEW ticks."""
    columns = (
        ticks.price,
        ticks.bid,
        ticks.ask,
        ticks.bid_size,
        ticks.ask_size,
        ticks.volume,
        ticks.trades,
        ticks.signs,
    )
    for row, tick in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        *quote, volume, trades, signs = tick
        state.traded = state.traded or state.pending_trades + trades > 0
        state.pending_volume += volume
        state.pending_trades += trades
        state.pending_signs += signs
        state.step(*quote)
        features[row] = state.features()


class Folding:
    """Memory for folding, used again and again, for one thread at a time: fresh pages cost as much as the sums."""

    def __init__(self) -> None:
        self._columns = np.zeros((len(FEATURES), PIECE))
        self._inputs = self._columns[:_DEVIATION]  # they are used up before a column is written
        self._averages = np.zeros((len(AVERAGES), PIECE))
        self._deviation = np.zeros((1, PIECE))

    def fold(self, state: FeatureState, ticks: Ticks, features: Reals) -> None:
        """Advance `state` by every tick and put the features after each into (N, F) rows, of any float type."""
        for start in range(0, len(ticks), PIECE):
            part = ticks[start : start + PIECE]
            moves, averages = self._advance(state, part)
            columns = self._columns[:, : len(part)]
            _put_columns(part, moves, averages, columns)
            features[start : start + PIECE] = columns.T

    def advance(self, state: FeatureState, ticks: Ticks) -> None:
        """The same without the features."""
        for start in range(0, len(ticks), PIECE):
            self._advance(state, ticks[start : start + PIECE])

    def _advance(self, state: FeatureState, ticks: Ticks) -> "tuple[_Moves, Floats]":
        moves = _moves(state, ticks)
        flow = _flow(state, ticks, moves)
        averages = self._put_averages(state, ticks, moves, flow)
        _leave(state, ticks, moves, averages)
        return moves, averages

    def _put_averages(self, state: FeatureState, ticks: Ticks, moves: "_Moves", flow: "_Flow") -> Floats:
        """The (A, N) values of AVERAGES after each tick."""
        count, start = len(ticks), np.array(state.averages)
        whole = padded_count(count)
        inputs, averages, deviation = self._inputs[:, :whole], self._averages[:, :whole], self._deviation[:, :whole]
        if whole > count:
            inputs[:, count:] = deviation[:, count:] = 0.0
        _put_inputs(ticks, moves, flow, inputs[:, :count])
        _average(inputs, start[:_DEVIATION], averages[:_DEVIATION])
        np.subtract(moves.x, averages[_LOGARITHMS.start, :count], out=deviation[0, :count])
        deviation *= deviation
        _average_deviation(deviation, start[_DEVIATION:], averages[_DEVIATION:])
        return averages[:, :count]


@dataclass(frozen=True, slots=True)
class _Moves:
    """The logarithms x of N ticks after LONG_LAG earlier ones, their returns, and the sign of the last move."""

    history: Floats
    r: Floats
    change: Floats

    @property
    def x(self) -> Floats:
        return self.history[LONG_LAG:]


@dataclass(frozen=True, slots=True)
class _Flow:
    """What each tick says of trading: weights, signs and their count, and real trades."""

    weight: Floats
    signs: Floats
    count: Floats
    trades: Floats


def _moves(state: FeatureState, ticks: Ticks) -> _Moves:
    history = np.empty(LONG_LAG + len(ticks))
    x = np.log(ticks.price, out=history[LONG_LAG:])
    x *= BASIS_POINTS
    if not state.ticks:
        state.start(float(x[0]), float(ticks.price[0]))
    history[:LONG_LAG] = _history(state)
    change = np.empty(len(ticks))
    change[0] = ticks.price[0] - state.price
    np.subtract(ticks.price[1:], ticks.price[:-1], out=change[1:])
    r = x - history[LONG_LAG - 1 : -1]
    r *= change != 0  # an unchanged price has moved by 0, not by the last bit of two logarithms
    return _Moves(history, r, change)


def _history(state: FeatureState) -> list[float]:
    """The newest LONG_LAG values of x, oldest first."""
    newest = (state.ticks - 1) % len(state.ring)
    return (state.ring[newest + 1 :] + state.ring[: newest + 1])[-LONG_LAG:]


def _flow(state: FeatureState, ticks: Ticks, moves: _Moves) -> _Flow:
    """Trades where the symbol has ever traded, else displayed sizes and the sign of the mid."""
    volume = _with_first(ticks.volume, state.pending_volume)
    trades = _with_first(ticks.trades, state.pending_trades)
    signs = _with_first(ticks.signs, state.pending_signs)
    if state.traded:
        return _Flow(volume, signs, trades, trades)
    traded = np.maximum.accumulate(trades > 0)
    state.traded = bool(traded[-1])
    sizes, moved = ticks.bid_size + ticks.ask_size, carried(np.sign(moves.change), state.last_sign)
    return _Flow(np.where(traded, volume, sizes), np.where(traded, signs, moved), np.where(traded, trades, 1.0), trades)


def _with_first(column: Floats, pending: float) -> Floats:
    """The column with what came before its first tick added to that."""
    if not pending:
        return column
    more = column.copy()
    more[0] += pending
    return more


def carried(sign: Floats, start: float) -> Floats:
    """Each zero takes the sign before it, the first ones that of `start`."""
    if sign.all():
        return sign
    last_move = np.maximum.accumulate(np.where(sign != 0, np.arange(len(sign)), -1))
    return np.where(last_move >= 0, sign[last_move], start)


def _put_inputs(ticks: Ticks, moves: _Moves, flow: _Flow, inputs: Floats) -> None:
    """One row for each of AVERAGES but the last."""
    r = moves.r
    inputs[_WEIGHT] = flow.weight
    inputs[_COUNTS] = flow.count
    inputs[_SIGNS] = flow.signs
    inputs[_IMBALANCES] = _imbalance(ticks)
    inputs[_LOGARITHMS] = moves.x
    np.maximum(r, 0.0, out=inputs[_GAIN])
    np.subtract(inputs[_GAIN], r, out=inputs[_LOSS])
    np.multiply(flow.weight, ticks.price, out=inputs[_WEIGHTED_PRICE])
    inputs[_TRADES] = flow.trades
    inputs[_RETURN] = r
    np.multiply(r, r, out=inputs[_SQUARES])


def _imbalance(ticks: Ticks) -> Floats:
    imbalance = ticks.bid_size - ticks.ask_size
    imbalance /= ticks.bid_size + ticks.ask_size + WEIGHT_FLOOR
    return imbalance


def _put_columns(ticks: Ticks, moves: _Moves, averages: Floats, columns: Floats) -> None:
    """The formulas of `FeatureState.features` as (F, N) columns; `averages` are used up.

    As many rows at once as can be, and in place: with a few thousand ticks, calls and memory are what takes the time.
    """
    x, history, price = moves.x, moves.history, ticks.price
    columns[0] = moves.r
    np.subtract(x, history[LONG_LAG - SHORT_LAG : -SHORT_LAG], out=columns[1])
    np.subtract(x, history[:-LONG_LAG], out=columns[2])
    np.subtract(x, averages[_LOGARITHMS], out=columns[3:5])
    roots = averages[_ROOTS]
    np.sqrt(roots, out=roots)
    columns[5] = averages[_MIDDLE_SQUARE]
    roots += MOVE_FLOOR
    np.divide(columns[3], averages[_DEVIATION], out=columns[6])
    np.subtract(ticks.ask, ticks.bid, out=columns[7])
    columns[7] *= BASIS_POINTS
    columns[7] /= price
    columns[8] = _imbalance(ticks)
    columns[9:11] = averages[_IMBALANCES]
    averages[_WEIGHTS] += WEIGHT_FLOOR
    np.divide(averages[_SIGNS], averages[_COUNTS], out=columns[11:13])
    columns[13] = averages[_TRADES]
    averages[_GAIN : _LOSS + 1] += MOVE_FLOOR
    averages[_LOSS] += averages[_GAIN]
    np.divide(averages[_GAIN], averages[_LOSS], out=columns[14])
    vwap = WEIGHT_FLOOR * price
    vwap += averages[_WEIGHTED_PRICE]
    vwap /= averages[_WEIGHT]
    np.divide(price, vwap, out=columns[15])
    columns[15] -= 1
    columns[15] *= BASIS_POINTS
    np.divide(averages[_RETURN], averages[_SLOW_SQUARE], out=columns[16])
    np.divide(averages[_FAST_SQUARE], averages[_SLOW_SQUARE], out=columns[17])


def _leave(state: FeatureState, ticks: Ticks, moves: _Moves, averages: Floats) -> None:
    """Put the state where `step` over every tick would have left it."""
    state.ticks += len(ticks)
    size, newest = len(state.ring), (state.ticks - 1) % len(state.ring)
    recent = moves.history[-size:].tolist()
    state.ring = recent[size - newest - 1 :] + recent[: size - newest - 1]
    state.averages = tuple(averages[:, -1].tolist())
    state.price, state.bid, state.ask = float(ticks.price[-1]), float(ticks.bid[-1]), float(ticks.ask[-1])
    state.bid_size, state.ask_size = float(ticks.bid_size[-1]), float(ticks.ask_size[-1])
    moved = moves.change[-1:] if moves.change[-1] else moves.change[moves.change != 0][-1:]
    if len(moved):
        state.last_sign = 1.0 if moved[0] > 0 else -1.0
    state.last_r = float(moves.r[-1])
    state.pending_volume = state.pending_trades = state.pending_signs = 0.0
