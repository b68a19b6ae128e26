"""Drift on the wire."""

from neuraltrader.inference.v1 import inference_pb2 as pb
from services.inference.domain.watches import Drift


def drift_message(found: Drift) -> pb.Drift:
    """The wire form of drift; what is not known yet is absent."""
    judged = found.judged
    return pb.Drift(
        model=found.model,
        version=found.version,
        rows=found.rows,
        features=[
            pb.FeatureDrift(feature=each.feature, psi=each.psi, mean=each.mean, trained_mean=each.trained_mean)
            for each in found.features
        ],
        outcomes=judged.outcomes,
        rolling_brier=judged.brier,
        base_rate_brier=judged.base_rate_brier,
        hit_rate=judged.hit_rate,
    )
