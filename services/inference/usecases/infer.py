"""Run a model on the caller's own tensors: no market, no features of ours."""

from collections.abc import Callable

from services.inference.domain.infer_counts import InferCount, InferCounts
from services.inference.domain.model_tensors import (
    check_asked,
    inputs_by_name,
    named,
    opinions_of,
    outputs_of,
    rows_in,
    samples_of,
)
from services.inference.domain.questions import Answer, Question
from services.inference.domain.tensors import Tensor
from services.inference.ports import Model, Models
from trading.clock import Clock
from trading.errors import InvalidArgument, TradingError

_MS_NS = 1_000_000


class Infer:
    """Answers questions in tensors and counts them."""

    def __init__(self, models: Models, counts: InferCounts, clock: Clock, rows_max: int) -> None:
        self._models = models
        self._counts = counts
        self._clock = clock
        self._rows_max = rows_max

    async def __call__(self, question: Question) -> Answer:
        """Run the model; raises UnknownModel, ModelRefused, TensorRefused, InvalidArgument or ModelFault."""
        async with self._models.hold(expect_name(question.name), question.version) as model:
            return await self._counted(model, question)

    async def tried(self, read: Callable[[], Question]) -> Answer | TradingError:
        """The same, reading included, where a refusal is one answer among others and must end nothing."""
        try:
            return await self(read())
        except TradingError as error:
            return error

    async def _counted(self, model: Model, question: Question) -> Answer:
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

    async def _run(self, model: Model, question: Question, count: InferCount) -> Answer:
        asked = check_asked(question.outputs, outputs_of(model.card, model.outputs))
        inputs = inputs_by_name(model.card, question.inputs, model.inputs)
        run = self._run_features if model.card.features else self._run_tensors
        return Answer(model.card, await run(model, inputs, asked, count))

    async def _run_features(
        self, model: Model, inputs: dict[str, Tensor], asked: tuple[str, ...], count: InferCount
    ) -> list[Tensor]:
        (spec,) = model.inputs
        samples = samples_of(inputs[spec.name], spec, self._rows_max)
        started_ns = self._clock.monotonic_ns()
        logits = await model.logits(samples)
        count.model_ns += self._clock.monotonic_ns() - started_ns
        count.rows += len(samples)
        return opinions_of(model.card, logits, model.outputs[0], asked)

    async def _run_tensors(
        self, model: Model, inputs: dict[str, Tensor], asked: tuple[str, ...], count: InferCount
    ) -> list[Tensor]:
        arrays = {name: tensor.array for name, tensor in inputs.items()}
        started_ns = self._clock.monotonic_ns()
        found = await model.infer(arrays, asked)
        count.model_ns += self._clock.monotonic_ns() - started_ns
        count.rows += rows_in(arrays)
        return [named(name, found[name]) for name in asked]


def expect_name(name: str) -> str:
    """The name, which this protocol has no default for; raises InvalidArgument when there is none."""
    if not name:
        raise InvalidArgument("Expected the name of a model, was none.", field="model_name")
    return name
