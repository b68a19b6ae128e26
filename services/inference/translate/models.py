"""Models on the wire."""

from typing import cast

from neuraltrader.inference.v1 import inference_pb2 as pb
from neuraltrader.inference.v1 import registry_service_pb2 as rpc
from services.inference.domain.model_spec import PRECISIONS, Precision
from services.inference.domain.registry import LoadOptions
from services.inference.domain.registry_status import ModelStatus, Residence
from trading.errors import InvalidArgument

_STATES = {
    Residence.LOADED: pb.MODEL_STATE_LOADED,
    Residence.UNLOADED: pb.MODEL_STATE_UNLOADED,
    Residence.REFUSED: pb.MODEL_STATE_REFUSED,
}


def status_message(status: ModelStatus) -> pb.Model:
    """The wire form of a version of a model."""
    card, running, deployment = status.card, status.running, status.deployment
    message = pb.Model(
        name=card.name,
        version=card.version,
        versions=status.versions,
        features=card.features,
        horizon_ns=card.horizon_ns,
        calibrated=card.calibration is not None,
        device=running.device if running else "",
        sha256=card.sha256,
        training_data=card.training_data,
        metrics=dict(card.metrics),
        load_ms=running.load_ms if running else 0.0,
        state=_STATES[status.residence],
        architecture=card.architecture,
        sequence_length=card.window,
        precision=card.precision,
        device_note=running.device_note if running else "",
        weight_bytes=card.weight_bytes,
        canary_version=deployment.canary,
        canary_weight=deployment.canary_weight,
        shadow_version=deployment.shadow,
        previous_version=deployment.previous,
        trainable=status.trainable,
        active_version=deployment.active,
        refusal=status.refusal,
    )
    shadow = status.shadow
    if shadow is not None and shadow.samples:
        message.shadow_samples = shadow.samples
        message.shadow_flips = shadow.flips / shadow.samples
        message.shadow_mean_shift = shadow.shift / shadow.samples
    return message


def options_of(request: rpc.LoadModelRequest) -> LoadOptions:
    """How a version is to be loaded; raises InvalidArgument."""
    if request.precision not in ("", *PRECISIONS):
        raise InvalidArgument(f"Expected {', '.join(PRECISIONS)}, was {request.precision[:20]!r}.", field="precision")
    if request.batch_size < 0:
        raise InvalidArgument(f"Expected a batch size above 0, was {request.batch_size}.", field="batch_size")
    return LoadOptions(
        precision=cast("Precision", request.precision) if request.precision else None,
        use_gpu=request.use_gpu if request.HasField("use_gpu") else None,
        batch_rows=request.batch_size or None,
    )
