"""Shapes of drift."""

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from neuraltrader.inference.v1 import inference_pb2 as pb


class FeatureDrift(TypedDict):
    """How one feature of one model moved."""

    feature: str
    psi: Annotated[float, Field(description="Population stability index; above 0.25 is a large shift.")]
    mean: float
    trained_mean: float


class Drift(TypedDict):
    """How a model does on what it sees now."""

    model: str
    version: str
    rows: Annotated[int, Field(description="Feature rows behind the indices.")]
    features: list[FeatureDrift]
    outcomes: Annotated[int, Field(description="Predictions whose horizon has passed, in the rolling window.")]
    rolling_brier: Annotated[float | None, Field(description="Mean squared error; null without calibration.")]
    base_rate_brier: float | None
    hit_rate: Annotated[float | None, Field(description="Share with the right sign.")]


def drift_view(drift: pb.Drift) -> Drift:
    """Drift as JSON; what is not known is null."""
    return {
        "model": drift.model,
        "version": drift.version,
        "rows": drift.rows,
        "features": [
            {"feature": each.feature, "psi": each.psi, "mean": each.mean, "trained_mean": each.trained_mean}
            for each in drift.features
        ],
        "outcomes": drift.outcomes,
        "rolling_brier": drift.rolling_brier if drift.HasField("rolling_brier") else None,
        "base_rate_brier": drift.base_rate_brier if drift.HasField("base_rate_brier") else None,
        "hit_rate": drift.hit_rate if drift.HasField("hit_rate") else None,
    }
