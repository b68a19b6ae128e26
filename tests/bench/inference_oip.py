"""inference.oip_infer: NVIDIA's tritonclient asks for 1, 1,024 and 100,000 rows of 18 features.

The client, the gateway and the inference service are processes of their own, on the same machine. Beside gRPC with raw
tensors: REST with binary tensors, REST with JSON, and the model alone in one process.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from services.inference.adapters.model_files import load_model
from services.inference.adapters.onnx_session import SessionRules
from services.inference.domain.features import FEATURES
from tests.bench.peers import Peer
from tests.bench.result import REPOSITORY, Result, of_samples

TRITON = Peer("tritonclient", ("tritonclient[grpc,http]==2.73.0", "numpy==2.4.6"))
CLIENT = Path(__file__).with_name("inference_oip_client.py")
MODEL = "momentum-v1"
WIDTH = len(FEATURES)
REQUESTS: Mapping[int, Mapping[str, int]] = {
    1: {"grpc": 300, "rest_binary": 300, "rest_json": 300},
    1_024: {"grpc": 100, "rest_binary": 100, "rest_json": 30},
    100_000: {"grpc": 15, "rest_binary": 15, "rest_json": 2},
}
_NAMES = {1: "inference.oip_infer_1", 1_024: "inference.oip_infer", 100_000: "inference.oip_infer_100k"}


def oip_infer() -> Iterator[Result]:
    """A result for each number of rows, the headline being gRPC."""
    with tempfile.TemporaryDirectory() as folder:
        asked = _asked(Path(folder))
        alone = asyncio.run(_alone(Path(folder)))
    for rows in REQUESTS:
        yield _result(rows, asked[str(rows)], alone[rows], asked["version"])


def _asked(folder: Path) -> dict[str, Any]:
    sys.path.insert(0, str(REPOSITORY / "tests"))
    from builders.inference import a_model_directory
    from builders.inference_process import ADMIN_KEY, running_gateway, running_inference
    from servers import nats_server

    a_model_directory(folder / "models", MODEL, "7")
    (folder / "nats").mkdir()
    with (
        nats_server(folder / "nats") as nats_url,
        running_inference(folder, nats_url) as inference,
        running_gateway(inference, nats_url, folder) as gateway,
    ):
        told = {"inference": inference, "gateway": gateway, "key": ADMIN_KEY, "model": MODEL, "width": WIDTH}
        return TRITON.measure(CLIENT, json.dumps({**told, "sizes": REQUESTS}))


async def _alone(folder: Path) -> dict[int, list[float]]:
    model = load_model(folder / "models" / MODEL / "7", SessionRules())
    found = {}
    for rows, counts in REQUESTS.items():
        samples = np.random.default_rng(1).standard_normal((rows, WIDTH)).astype(np.float32)
        found[rows] = [await _timed(model, samples) for _ in range(counts["grpc"])]
    model.close()
    return found


async def _timed(model: Any, samples: np.ndarray) -> float:
    started = time.perf_counter()
    await model.logits(samples)
    return (time.perf_counter() - started) * 1e3


def _result(rows: int, samples: Mapping[str, Sequence[float]], alone: Sequence[float], version: str) -> Result:
    floor = round(float(np.median(alone)), 4)
    medians = {way: round(float(np.median(found)), 3) for way, found in samples.items()}
    peers = [
        {"name": "REST, binary tensors", "version": f"tritonclient {version}", "value": medians["rest_binary"]},
        {"name": "REST, JSON tensors", "version": f"tritonclient {version}", "value": medians["rest_json"]},
        {"name": "the model alone", "version": "in process", "value": floor},
    ]
    extra = {
        "rows": rows,
        "features": WIDTH,
        "p99": {way: round(float(np.percentile(found, 99)), 3) for way, found in samples.items()},
        "requests": {way: len(found) for way, found in samples.items()},
    }
    ratio = round(medians["grpc"] / floor, 2) if floor else None
    return of_samples(_NAMES[rows], "ms", samples["grpc"], peers=peers, ratio=ratio, ratio_of="ours/floor", extra=extra)
