"""inference: models asked by foreign clients."""

from tests.bench.inference_oip import oip_infer

PARTS = {"inference.oip_infer": oip_infer}
