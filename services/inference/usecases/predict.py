"""Score rows on request, as ticks that follow the live features of their symbols, which stay as they are."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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

T = TypeVar("T")
Float32s = npt.NDArray[np.float32]


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
        scores.warm[piece.positions] = True
        scores.predictions[piece.positions], scores.confidence[piece.positions] = opinions(card, logits)
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
    """The warm rows of every series, at most PIECE at a time; each series' state goes on from piece to piece."""
    folding = Folding() if any(len(each.positions) > FEW for each in series) else None
    for positions, state, history in series:
        for start in range(0, len(positions), PIECE):
            part = positions[start : start + PIECE]
            cold = min(max(WARM_UP_TICKS - 1 - state.ticks, 0), len(part))
            features = np.empty((len(part), len(FEATURES)), np.float32)
            fold = folding.fold if folding and len(part) > FEW else step_through
            fold(state, following_ticks(state, rows, part), features)
            yield _piece(part[cold:], features[cold:], history, card)
            if card.window > 1:
                history = np.concatenate((history, features[cold:]))[1 - card.window :]


def _piece(positions: Positions, features: Float32s, history: Float32s, card: ModelCard) -> _Piece:
    if len(card.sample_shape) == 1:
        return _Piece(positions, picked(features, card.features))
    windows = windows_over(history, features, card.window)
    return _Piece(positions[len(positions) - len(windows) :], picked(windows, card.features))
