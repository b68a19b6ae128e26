"""Shapes of models and predictions."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from neuraltrader.inference.v1 import inference_pb2 as pb
from neuraltrader.inference.v1 import inference_service_pb2 as rpc
from services.gateway.schemas.scalars import Nanoseconds

_STATES: dict[int, Literal["LOADED", "UNLOADED", "REFUSED"]] = {
    pb.MODEL_STATE_LOADED: "LOADED",
    pb.MODEL_STATE_UNLOADED: "UNLOADED",
    pb.MODEL_STATE_REFUSED: "REFUSED",
}


class Model(TypedDict):
    """A model that can be asked."""

    name: str
    version: str
    versions: list[str]
    features: list[str]
    horizon_ns: Nanoseconds
    calibrated: bool
    device: Annotated[str, Field(description="cpu or cuda: the provider that really runs it; remote: another server.")]
    sha256: str
    training_data: str
    metrics: dict[str, float]
    load_ms: float
    state: Literal["LOADED", "UNLOADED", "REFUSED"]
    refusal: Annotated[str | None, Field(description="Why it is refused, its reason's name in front.")]
    architecture: Annotated[str, Field(description="mlp, lstm, gru, tcn, patchtst, nhits, or onnx.")]
    sequence_length: Annotated[int, Field(description="Feature rows that one prediction sees.")]
    precision: Annotated[str, Field(description="fp32, fp16 or int8.")]
    device_note: Annotated[str | None, Field(description="Why it does not run on the device that was asked for.")]
    weight_bytes: int
    active_version: Annotated[str, Field(description="The version in use, whichever one this is about.")]
    previous_version: Annotated[str | None, Field(description="The version that a rollback returns to.")]
    canary: "Canary | None"
    shadow: "Shadow | None"
    trainable: bool


class Canary(TypedDict):
    """A version that gets a share of the predictions."""

    version: str
    weight: float


class Shadow(TypedDict):
    """A version that is compared with the one in use."""

    version: str
    samples: int
    flips: Annotated[float, Field(description="Share of the samples whose sign it says otherwise.")]
    mean_shift: Annotated[float, Field(description="Mean distance of its probability from the one that was told.")]


class ModelList(TypedDict):
    """Every model in the registry, by name."""

    models: list[Model]


class Predictions(TypedDict):
    """One prediction for each row, in order."""

    predictions: Annotated[list[float], Field(description="2p − 1 of each row.")]
    confidence: Annotated[list[float], Field(description="max(p, 1 − p) of each row.")]
    calibrated: bool
    warm: list[bool]
    model: str
    version: str
    device: str
    latency_ms: float


def model_view(model: pb.Model) -> Model:
    """A model as JSON."""
    return {
        "name": model.name,
        "version": model.version,
        "versions": list(model.versions),
        "features": list(model.features),
        "horizon_ns": str(model.horizon_ns),
        "calibrated": model.calibrated,
        "device": model.device,
        "sha256": model.sha256,
        "training_data": model.training_data,
        "metrics": dict(model.metrics),
        "load_ms": model.load_ms,
        "state": _STATES.get(model.state, "UNLOADED"),
        "refusal": model.refusal or None,
        "architecture": model.architecture,
        "sequence_length": model.sequence_length,
        "precision": model.precision,
        "device_note": model.device_note or None,
        "weight_bytes": model.weight_bytes,
        "active_version": model.active_version,
        "previous_version": model.previous_version or None,
        "canary": {"version": model.canary_version, "weight": model.canary_weight} if model.canary_version else None,
        "shadow": _shadow(model) if model.shadow_version else None,
        "trainable": model.trainable,
    }


def _shadow(model: pb.Model) -> Shadow:
    return {
        "version": model.shadow_version,
        "samples": model.shadow_samples,
        "flips": model.shadow_flips,
        "mean_shift": model.shadow_mean_shift,
    }


def predictions_view(answer: rpc.PredictResponse) -> Predictions:
    """Predictions as JSON."""
    return {
        "predictions": list(answer.predictions),
        "confidence": list(answer.confidence),
        "calibrated": answer.calibrated,
        "warm": list(answer.warm),
        "model": answer.model,
        "version": answer.version,
        "device": answer.device,
        "latency_ms": answer.latency_ms,
    }
