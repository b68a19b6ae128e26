"""inference: the 100,000-point task, one tick, a block on NATS to its prediction, models loaded, asked and trained."""

from tests.bench.inference_models import coalescing, loading
from tests.bench.inference_oip import oip_infer
from tests.bench.inference_signals import signals_100k
from tests.bench.inference_ticks import block_to_prediction, tick_path
from tests.bench.inference_training import training

PARTS = {
    "inference.signals_100k": signals_100k,
    "inference.tick_path": tick_path,
    "inference.block_to_prediction": block_to_prediction,
    "inference.model": loading,
    "inference.coalescing": coalescing,
    "inference.oip_infer": oip_infer,
    "inference.training": training,
}
