"""A version that another server runs: asked over gRPC in the Open Inference Protocol, with a deadline and a stand-in.

A server that does not answer rests for a while: until then the stand-in answers at once, or the request is refused,
so that ticks do not queue behind a deadline each. Everything is counted by its outcome.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fleet.metrics import Metrics
from inference import grpc_service_pb2 as pb
from inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from services.inference.domain.delegation import Delegation, Ends, Offered, ends_of, logits_in, recalibrated
from services.inference.domain.model import Floats, ModelCard, Running, TensorSpec
from services.inference.ports import LoadedModel
from trading.clock import SECOND_NS, Clock
from trading.errors import DeadlineExceeded, Kind, ResourceExhausted, TradingError, Unavailable

Samples = npt.NDArray[np.float32]
ANSWERED, FELL_BACK, FAILED = "answered", "fell_back", "failed"
_TIRING = frozenset({Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED, Kind.RESOURCE_EXHAUSTED})
"""Errors after which asking again at once would only make things worse."""
_HERE = "remote"


@dataclass(frozen=True, slots=True)
class DelegationRules:
    """Requests to one server at once, and the seconds that it rests after it has not answered."""

    calls_max: int
    rest_s: float


class OipModel:
    """The `LoadedModel` of a delegated version."""

    def __init__(
        self,
        card: ModelCard,
        told: Delegation,
        stub: GRPCInferenceServiceStub,
        stand_in: LoadedModel | None,
        rules: DelegationRules,
        metrics: Metrics,
        clock: Clock,
        log: Any,
    ) -> None:
        self.card = card
        self._told = told
        self._stub = stub
        self._stand_in = stand_in
        self._rules = rules
        self._clock = clock
        self._log = log
        self._outcome: Callable[[str], Any] = lambda outcome: metrics.delegated_total.labels(card.name, outcome)
        self._seconds = metrics.delegated_seconds.labels(card.name)
        self._ends: Ends | None = None
        self._under_way = 0
        self._rests_until_ns = 0
        self._is_remote = True
        self.inputs = (TensorSpec("features", "float32", (-1, *card.sample_shape)),)
        self.outputs = (TensorSpec("logit", "float32", (-1, 1)),)

    @property
    def running(self) -> Running:
        """Where the last answer came from."""
        note = f"Asked at {self._told.endpoint} in the Open Inference Protocol."
        if self._is_remote or self._stand_in is None:
            return Running(_HERE, 0.0, 0, inline=False, device_note=note)
        stand_in = self._stand_in.running
        note += f" It does not answer: version {self._told.fallback} stands in."
        return Running(stand_in.device, stand_in.load_ms, stand_in.run_ns, inline=False, device_note=note)

    async def logit(self, features: Sequence[float]) -> float:
        """The log odds of one row."""
        return float((await self.logits(np.array([features], np.float32)))[0])

    async def window_logit(self, window: Samples) -> float:
        """The log odds of one window of a sequence model."""
        return float((await self.logits(window[None]))[0])

    async def infer(
        self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str] = ()
    ) -> dict[str, npt.NDArray[Any]]:
        """The samples by the name of the tensor."""
        (samples,) = inputs.values()
        return {"logit": (await self.logits(samples)).astype(np.float32)[:, None]}

    async def logits(self, samples: npt.NDArray[np.floating[Any]]) -> Floats:
        """The log odds of the samples, from the server or from the stand-in; raises why neither could answer."""
        started_ns = self._clock.monotonic_ns()
        try:
            found = await self._asked(np.ascontiguousarray(samples, np.float32))
        except TradingError as error:
            return await self._instead(samples, error)
        self._seconds.observe((self._clock.monotonic_ns() - started_ns) / SECOND_NS)
        self._outcome(ANSWERED).inc()
        self._say(is_remote=True)
        return found

    def close(self) -> None:
        """Give the stand-in's memory back; the connection belongs to whoever opened it."""
        if self._stand_in is not None:
            self._stand_in.close()

    async def _instead(self, samples: npt.NDArray[np.floating[Any]], error: TradingError) -> Floats:
        if error.kind in _TIRING and error.reason != "DELEGATE_RESTS":
            self._rests_until_ns = self._clock.monotonic_ns() + round(self._rules.rest_s * SECOND_NS)
        self._say(is_remote=False, error=error)
        if self._stand_in is None:
            self._outcome(FAILED).inc()
            raise error
        found = await self._stand_in.logits(samples)
        self._outcome(FELL_BACK).inc()
        return recalibrated(found, self._stand_in.card.calibration, self.card.calibration)

    def _say(self, *, is_remote: bool, error: TradingError | None = None) -> None:
        """Log when the server falls silent and when it is back; not each request between."""
        if is_remote == self._is_remote:
            return
        self._is_remote = is_remote
        facts = {"model": self.card.name, "version": self.card.version, "endpoint": self._told.endpoint}
        if error is None:
            self._log.info("delegate.answers", **facts)
        else:
            self._log.warning("delegate.silent", reason=error.reason, error=error.message, **facts)

    async def _asked(self, samples: Samples) -> Floats:
        left_ns = self._rests_until_ns - self._clock.monotonic_ns()
        if left_ns > 0:
            raise Unavailable(
                f"{self._told.endpoint} did not answer and rests.",
                reason="DELEGATE_RESTS",
                retry_after_s=left_ns / SECOND_NS,
            )
        if self._under_way >= self._rules.calls_max:
            raise ResourceExhausted(f"{self._rules.calls_max} requests wait for {self._told.endpoint} already.")
        self._under_way += 1
        try:
            async with asyncio.timeout(self._told.deadline_ms / 1e3):
                return await self._in_parts(samples)
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"{self._told.endpoint} did not answer within {self._told.deadline_ms} ms."
            ) from error
        finally:
            self._under_way -= 1

    async def _in_parts(self, samples: Samples) -> Floats:
        ends = self._ends or await self._introduced()
        step = self._told.rows
        parts = [samples[start : start + step] for start in range(0, len(samples), step)]
        found = [await self._part(ends, part) for part in parts]
        return np.concatenate(found) if found else np.empty(0)

    async def _introduced(self) -> Ends:
        """Ask the server once what it calls its tensors."""
        request = pb.ModelMetadataRequest(name=self._told.model or self.card.name, version=self._told.version)
        found = await self._stub.ModelMetadata(request, timeout=self._told.deadline_ms / 1e3)
        offered = [
            [Offered(each.name, each.datatype, tuple(each.shape)) for each in ends]
            for ends in (found.inputs, found.outputs)
        ]
        self._ends = ends_of(self.card, *offered)
        return self._ends

    async def _part(self, ends: Ends, samples: Samples) -> Floats:
        request = pb.ModelInferRequest(
            model_name=self._told.model or self.card.name,
            model_version=self._told.version,
            inputs=[pb.ModelInferRequest.InferInputTensor(name=ends.samples, datatype="FP32", shape=samples.shape)],
            outputs=[pb.ModelInferRequest.InferRequestedOutputTensor(name=ends.logit)],
            raw_input_contents=[samples.tobytes()],
        )
        answer = await self._stub.ModelInfer(request, timeout=self._told.deadline_ms / 1e3)
        output = next((out for out in answer.outputs if out.name == ends.logit), None)
        raw = answer.raw_output_contents[0] if len(answer.raw_output_contents) == 1 else b""
        return logits_in(raw, output.datatype if output is not None else "", len(samples))
