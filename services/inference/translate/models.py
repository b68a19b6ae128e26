"""Models on the wire."""

from collections.abc import Sequence

from neuraltrader.inference.v1 import inference_pb2 as pb
from services.inference.ports import Model


def model_message(model: Model, versions: Sequence[str]) -> pb.Model:
    """The wire form of a model."""
    card, running = model.card, model.running
    return pb.Model(
        name=card.name,
        version=card.version,
        versions=versions,
        features=card.features,
        horizon_ns=card.horizon_ns,
        calibrated=card.calibration is not None,
        device=running.device,
        sha256=card.sha256,
        training_data=card.training_data,
        metrics=dict(card.metrics),
        load_ms=running.load_ms,
    )
