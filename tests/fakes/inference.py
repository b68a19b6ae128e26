"""The ports of inference in memory."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from services.inference.domain.feature_series import Floats
from services.inference.domain.model import ModelCard, Running, TensorSpec
from services.inference.domain.prediction import Prediction, Signal
from services.inference.domain.registry_status import ShadowCount
from trading.errors import TradingError, UnknownModel, UnknownSymbol

T = TypeVar("T")


class FakeModel:
    """Says the same logit of every row and remembers what it was asked."""

    def __init__(self, card: ModelCard, says: float = 0.0) -> None:
        self.card = card
        self.running = Running("cpu", 1.0, 1_000, inline=True)
        self.inputs = (TensorSpec("features", "float32", (-1, *card.sample_shape)),)
        self.outputs = (TensorSpec("logit", "float32", (-1, 1)),)
        self.says = says
        self.asked: list[Floats] = []
        self.closed = False
        self.refuses: TradingError | None = None

    async def logit(self, features: Sequence[float]) -> float:
        if self.refuses is not None:
            raise self.refuses
        self.asked.append(np.array([features]))
        return self.says

    async def logits(self, features: npt.NDArray[np.floating[Any]]) -> Floats:
        self.asked.append(features.astype(np.float64))
        return np.full(len(features), self.says)

    async def window_logit(self, window: np.ndarray) -> float:
        self.asked.append(window[None].astype(np.float64))
        return self.says

    async def infer(self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str] = ()) -> dict[str, np.ndarray]:
        (samples,) = inputs.values()
        return {"logit": (await self.logits(samples)).astype(np.float32)[:, None]}

    def close(self) -> None:
        self.closed = True


class FakeModels:
    """One model under its name."""

    def __init__(self, model: FakeModel) -> None:
        self._model = model
        self.shadow: FakeModel | None = None
        self.count = ShadowCount("2")

    @property
    def names(self) -> Sequence[str]:
        return [self._model.card.name]

    def get(self, name: str, version: str = "") -> FakeModel:
        if name not in ("", self._model.card.name) or version not in ("", self._model.card.version):
            raise UnknownModel(f"No model is called {name!r}.", model=name)
        return self._model

    def shadow_of(self, name: str) -> AbstractContextManager[FakeModel] | None:
        return nullcontext(self.shadow) if self.shadow else None

    def compared(self, name: str, version: str) -> ShadowCount:
        return self.count

    def following(self, name: str, symbol: str) -> AbstractContextManager[FakeModel]:
        return nullcontext(self._model)

    @asynccontextmanager
    async def hold(self, name: str, version: str = "") -> AsyncIterator[FakeModel]:
        yield self.get(name, version)

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


class FakeWorkshop:
    """Does everything at once, and counts it."""

    def __init__(self) -> None:
        self.done = 0

    async def do(self, work: Callable[[], T]) -> T:
        self.done += 1
        return work()
