"""Score rows on request, as ticks that follow the live features of their symbols, which stay as they are."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from services.inference.domain.feature_series import FEW, PIECE, Floats, Folding, step_through
from services.inference.domain.features import FEATURES, WARM_UP_TICKS, FeatureState
from services.inference.domain.markets import Markets
from services.inference.domain.model import UNDECIDED, ModelCard, expect_features, opinions
from services.inference.domain.model_inputs import Table, picked, windows_over
from services.inference.domain.rows import Positions, Rows, by_symbol, check, following_ticks, spellings
from services.inference.ports import Instruments, Model, Models, Workshop
from services.inference.usecases.compare_shadows import CompareShadows
from trading.errors import ResourceExhausted

ROOM = 2 * PIECE
"""Rows that a model gets at once: enough to be worth two hops between threads."""
T = TypeVar("T")
Float32s = npt.NDArray[np.float32]
_Feel = Callable[[FeatureState, Positions, Float32s], None]


@dataclass(frozen=True, slots=True)
class PredictRules:
    """`inline_rows`: most rows whose features the event loop computes itself; `waiting`: most bigger requests."""

    inline_rows: int = 256
    waiting: int = 8


@dataclass(frozen=True, slots=True)
class Asked:
    """Rows to score: about how many, and how to read them; of a model, "" the default one, and a version of it."""

    model: str
    version: str
    size: int
    read: Callable[[], Rows]


@dataclass(frozen=True, slots=True)
class Scores:
    """One prediction, confidence and warmth per row, and the model that spoke."""

    predictions: Floats
    confidence: Floats
    warm: npt.NDArray[np.bool_]
    model: Model


class _Do(Protocol):
    """Does something now, or elsewhere and later."""

    async def __call__(self, work: Callable[[], T]) -> T: ...


class _Series(NamedTuple):
    """The rows of one symbol in the order of time, copies of its live state that they continue, and of its rows."""

    positions: Positions
    state: FeatureState
    history: Float32s


class _Piece(NamedTuple):
    """Warm rows of a series with what the model sees of each: its features (N, F), or its window (N, T, F)."""

    positions: Positions
    samples: Table


class Predict:
    """Answers requests; reads live state, never writes it."""

    def __init__(
        self,
        models: Models,
        markets: Markets,
        instruments: Instruments,
        workshop: Workshop,
        rules: PredictRules,
        shadows: CompareShadows | None = None,
    ) -> None:
        self._models = models
        self._markets = markets
        self._instruments = instruments
        self._workshop = workshop
        self._shadows = shadows
        self._rules = rules
        self._big = 0

    async def __call__(self, asked: Asked) -> Scores:
        """Score every row; raises UnknownModel, UnknownSymbol, InvalidArgument, ModelFault or ResourceExhausted."""
        async with self._models.hold(asked.model, asked.version) as model:
            expect_features(model.card)
            return await self._score_by(model, asked)

    async def _score_by(self, model: Model, asked: Asked) -> Scores:
        if asked.size <= self._rules.inline_rows:
            return await self._score(model, asked, _at_once)
        if self._big >= self._rules.waiting:
            raise ResourceExhausted(f"{self._big} big requests are being scored already.", retry_after_s=1)
        self._big += 1
        try:
            return await self._score(model, asked, self._workshop.do)
        finally:
            self._big -= 1

    async def _score(self, model: Model, asked: Asked, do: "_Do") -> Scores:
        rows = await do(lambda: _read(asked))
        canonical = [None if each is None else self._instruments.canonical(each) for each in spellings(rows)]
        grouped = await do(lambda: list(by_symbol(rows, canonical)))
        before = model.card.window - 1
        self._markets.remember(model.card.window)
        series = [
            _Series(positions, self._state(symbol), self._markets.recent_of_newest(symbol, before).copy())
            for symbol, positions in grouped
        ]
        scores = _undecided(len(rows), model)
        pieces = _pieces(rows, series, model.card)
        piece = await do(lambda: next(pieces, None))
        while piece is not None:
            coming = asyncio.create_task(do(lambda: next(pieces, None)))  # while the model has this piece
            try:
                await self._say(scores, piece)
            finally:
                piece = await coming
        return scores

    async def _say(self, scores: Scores, piece: _Piece) -> None:
        if not len(piece.positions):
            return
        card = scores.model.card
        logits = await scores.model.logits(piece.samples)
        at = piece.positions.astype(np.intp)
        scores.warm[at] = True
        scores.predictions[at], scores.confidence[at] = opinions(card, logits)
        if self._shadows is not None:
            self._shadows.offer(card, logits, lambda other: piece.samples if _sees_the_same(card, other) else None)

    def _state(self, symbol: str) -> FeatureState:
        live = self._markets.newest(symbol)
        return live.copy() if live is not None else FeatureState()


def _sees_the_same(card: ModelCard, other: ModelCard) -> bool:
    return (card.features, card.sample_shape) == (other.features, other.sample_shape)


async def _at_once(work: Callable[[], T]) -> T:
    return work()


def _read(asked: Asked) -> Rows:
    rows = asked.read()
    check(rows)
    return rows


def _undecided(count: int, model: Model) -> Scores:
    return Scores(
        np.full(count, UNDECIDED.prediction), np.full(count, UNDECIDED.confidence), np.zeros(count, np.bool_), model
    )


def _pieces(rows: Rows, series: Sequence[_Series], card: ModelCard) -> Iterator[_Piece]:
    """The warm rows of every series; whoever asks for the next but one is done with this one."""
    feel = _feeling(rows, series)
    return _tables(rows, series, card, feel) if len(card.sample_shape) == 1 else _windows(series, card, feel)


def _feeling(rows: Rows, series: Sequence[_Series]) -> _Feel:
    """What puts the features of a part into a table, in the way that is fastest for so many rows."""
    folding = Folding() if any(len(each.positions) > FEW for each in series) else None

    def feel(state: FeatureState, part: Positions, features: Float32s) -> None:
        fold = folding.fold if folding and len(part) > FEW else step_through
        fold(state, following_ticks(state, rows, part), features)

    return feel


def _tables(rows: Rows, series: Sequence[_Series], card: ModelCard, feel: _Feel) -> Iterator[_Piece]:
    """Rows of several series in one table, up to ROOM of them; two tables in turn, because fresh memory is slow."""
    tables = cycle([np.empty((min(ROOM, len(rows)), len(FEATURES)), np.float32) for _ in range(2)])
    table, filled, at = next(tables), list[Positions](), 0
    for state, part in _parts(series):
        if at + len(part) > len(table):
            yield _Piece(np.concatenate(filled), picked(table[:at], card.features))
            table, filled, at = next(tables), [], 0
        cold = _cold(state, part)
        features = table[at : at + len(part)]
        feel(state, part, features)
        if cold:
            features[:-cold] = features[cold:]
        filled.append(part[cold:])
        at += len(part) - cold
    if at:
        yield _Piece(np.concatenate(filled), picked(table[:at], card.features))


def _windows(series: Sequence[_Series], card: ModelCard, feel: _Feel) -> Iterator[_Piece]:
    """The windows that end in the rows of one part of one series at a time."""
    histories = {id(each.state): each.history for each in series}
    for state, part in _parts(series):
        cold, features = _cold(state, part), np.empty((len(part), len(FEATURES)), np.float32)
        feel(state, part, features)
        history = histories[id(state)]
        windows = windows_over(history, features[cold:], card.window)
        yield _Piece(part[len(part) - len(windows) :], picked(windows, card.features))
        if card.window > 1:
            histories[id(state)] = np.concatenate((history, features[cold:]))[1 - card.window :]


def _parts(series: Sequence[_Series]) -> Iterator[tuple[FeatureState, Positions]]:
    """At most PIECE rows of a series at a time, each series' state going on from part to part."""
    for positions, state, _ in series:
        for start in range(0, len(positions), PIECE):
            yield state, positions[start : start + PIECE]


def _cold(state: FeatureState, part: Positions) -> int:
    """How many of the next rows come before the symbol is warm."""
    return min(max(WARM_UP_TICKS - 1 - state.ticks, 0), len(part))
