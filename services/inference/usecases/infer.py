"""Run a model on the caller's own tensors: no market, no features of ours."""

from collections.abc import Callable
from typing import cast

from services.inference.domain.infer_counts import InferCount, InferCounts
from services.inference.domain.model import Floats
from services.inference.domain.model_tensors import check_asked, outputs_of, samples_of
from services.inference.domain.questions import Answer, Question
from services.inference.ports import Model, Models
from trading.clock import Clock
from trading.errors import InvalidArgument, TradingError, UnknownModel

_MS_NS = 1_000_000


class Infer:
    """Answers questions in tensors and counts them."""

    def __init__(self, models: Models, counts: InferCounts, clock: Clock, rows_max: int) -> None:
        self._models = models
        self._counts = counts
        self._clock = clock
        self._rows_max = rows_max

    async def __call__(self, question: Question) -> Answer:
        """Run the model; raises UnknownModel, TensorRefused, InvalidArgument or ModelFault."""
        model = model_asked(self._models, question.name, question.version)
        count = self._counts.of(model.card.name, model.card.version)
        started_ns = self._clock.monotonic_ns()
        try:
            answer = await self._run(model, question, count)
        except TradingError:
            count.failed += 1
            count.failed_ns += self._clock.monotonic_ns() - started_ns
            raise
        count.answered += 1
        count.answered_ns += self._clock.monotonic_ns() - started_ns
        count.last_ms = self._clock.now_ns() // _MS_NS
        return answer

    async def tried(self, read: Callable[[], Question]) -> Answer | TradingError:
        """The same, reading included, where a refusal is one answer among others and must end nothing."""
        try:
            return await self(read())
        except TradingError as error:
            return error

    async def _run(self, model: Model, question: Question, count: InferCount) -> Answer:
        card = model.card
        asked = check_asked(question.outputs)
        samples = samples_of(card, question.inputs, self._rows_max)
        started_ns = self._clock.monotonic_ns()
        logits = await model.logits(cast("Floats", samples))  # a model computes in float32
        count.model_ns += self._clock.monotonic_ns() - started_ns
        tensors = outputs_of(card, logits, asked)
        count.rows += len(samples)
        return Answer(card, tensors)


def model_asked(models: Models, name: str, version: str) -> Model:
    """A version of a model, "" meaning the one in use; raises InvalidArgument without a name, or UnknownModel."""
    if not name:
        raise InvalidArgument("Expected the name of a model, was none.", field="model_name")
    model = models.get(name)
    if version not in ("", model.card.version):
        raise UnknownModel(f"No version {version!r} of model {name!r} is in use.", model=name, version=version)
    return model
