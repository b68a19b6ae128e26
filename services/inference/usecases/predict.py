"""Score rows on request, each against the live features of its symbol, which stay as they are."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.inference.domain.feature_series import Floats, preview
from services.inference.domain.features import FEATURES
from services.inference.domain.markets import Markets
from services.inference.domain.model import UNDECIDED, opinions
from services.inference.domain.rows import Rows, check, next_ticks
from services.inference.ports import Instruments, Model, Models


@dataclass(frozen=True, slots=True)
class Scores:
    """One prediction, confidence and warmth per row, and the model that spoke."""

    predictions: Floats
    confidence: Floats
    warm: npt.NDArray[np.bool_]
    model: Model


class Predict:
    """Answers requests; reads live state, never writes it."""

    def __init__(self, models: Models, markets: Markets, instruments: Instruments) -> None:
        self._models = models
        self._markets = markets
        self._instruments = instruments

    async def __call__(self, name: str, rows: Rows) -> Scores:
        """Score every row; raises UnknownModel, UnknownSymbol, InvalidArgument or ModelFault."""
        model = self._models.get(name)
        check(rows)
        features, warm = self._features(rows)
        scores = Scores(np.full(len(rows), UNDECIDED.prediction), np.full(len(rows), UNDECIDED.confidence), warm, model)
        if warm.any():
            logits = await model.logits(features[warm])
            scores.predictions[warm], scores.confidence[warm] = opinions(model.card, logits)
        return scores

    def _features(self, rows: Rows) -> tuple[Floats, npt.NDArray[np.bool_]]:
        features, warm = np.zeros((len(rows), len(FEATURES))), np.zeros(len(rows), np.bool_)
        for symbol, positions in self._by_symbol(rows).items():
            state = self._markets.newest(symbol)
            if state is not None and state.warm:
                chosen = np.array(positions)
                features[chosen] = preview(state, next_ticks(state, rows, chosen))
                warm[chosen] = True
        return features, warm

    def _by_symbol(self, rows: Rows) -> dict[str, list[int]]:
        by_spelling: dict[str, list[int]] = {}
        for position, spelling in enumerate(rows.symbol):
            by_spelling.setdefault(spelling, []).append(position)
        by_symbol: dict[str, list[int]] = {}
        for spelling, positions in by_spelling.items():
            by_symbol.setdefault(self._instruments.canonical(spelling), []).extend(positions)
        return by_symbol
