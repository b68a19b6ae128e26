"""The ports of inference in memory."""

from collections.abc import Sequence

import numpy as np

from services.inference.domain.feature_series import Floats
from services.inference.domain.model import ModelCard, Running
from services.inference.domain.prediction import Prediction, Signal
from trading.errors import UnknownModel, UnknownSymbol


class FakeModel:
    """Says the same logit of every row and remembers what it was asked."""

    def __init__(self, card: ModelCard, says: float = 0.0) -> None:
        self.card = card
        self.running = Running("cpu", 1.0, 1_000, inline=True)
        self.says = says
        self.asked: list[Floats] = []

    async def logit(self, features: Sequence[float]) -> float:
        self.asked.append(np.array([features]))
        return self.says

    async def logits(self, features: Floats) -> Floats:
        self.asked.append(features)
        return np.full(len(features), self.says)


class FakeModels:
    """One model under its name."""

    def __init__(self, model: FakeModel) -> None:
        self._model = model

    @property
    def names(self) -> Sequence[str]:
        return [self._model.card.name]

    def get(self, name: str) -> FakeModel:
        if name not in ("", self._model.card.name):
            raise UnknownModel(f"No model is called {name!r}.", model=name)
        return self._model

    def versions(self, name: str) -> Sequence[str]:
        return [self.get(name).card.version]


class FakeOpinions:
    """Keeps what was published."""

    def __init__(self) -> None:
        self.predictions: list[Prediction] = []
        self.signals: list[Signal] = []

    async def predicted(self, prediction: Prediction) -> None:
        self.predictions.append(prediction)

    async def signalled(self, signal: Signal) -> None:
        self.signals.append(signal)


class FakeInstruments:
    """Knows AAPL, and BTC-USDT by two spellings."""

    def canonical(self, spelling: str) -> str:
        known = {"AAPL": "AAPL", "BTC-USDT": "BTC-USDT", "BTC/USD": "BTC-USDT"}
        if spelling not in known:
            raise UnknownSymbol(f"No instrument is called {spelling!r}.", symbol=spelling)
        return known[spelling]
