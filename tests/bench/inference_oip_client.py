"""tritonclient times one model over gRPC, REST with binary tensors and REST with JSON tensors; prints JSON.

Run by the client's own interpreter with the addresses, the key, the model and the rows as JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
import tritonclient.grpc as grpc_client
import tritonclient.http as http_client

TOLD = json.loads(sys.argv[1])
WARM_UP = 3


def key() -> dict[str, str]:
    """New ones each time: the HTTP client writes into them."""
    return {"authorization": f"Bearer {TOLD['key']}"}


def timed(ask: Callable[[], Any], count: int) -> list[float]:
    """Milliseconds of each request, from tensor to array."""
    found = []
    warm_up = min(WARM_UP, count)
    for turn in range(warm_up + count):
        started = time.perf_counter()
        ask()
        if turn >= warm_up:
            found.append((time.perf_counter() - started) * 1e3)
    return found


def asking(module: Any, client: Any, rows: Any, how: dict[str, bool]) -> Callable[[], Any]:
    """One request with all its work: the tensor made, sent, and the answer read."""

    def ask() -> Any:
        tensor = module.InferInput("features", list(rows.shape), "FP32")
        tensor.set_data_from_numpy(rows, **how)
        logit = module.InferRequestedOutput("logit", **how)
        return client.infer(TOLD["model"], [tensor], outputs=[logit], headers=key()).as_numpy("logit")

    return ask


def main() -> dict[str, Any]:
    """Samples by rows and transport."""
    over_grpc = grpc_client.InferenceServerClient(TOLD["inference"])
    over_http = http_client.InferenceServerClient(TOLD["gateway"], network_timeout=120)
    ways = {
        "grpc": (grpc_client, over_grpc, {}),
        "rest_binary": (http_client, over_http, {"binary_data": True}),
        "rest_json": (http_client, over_http, {"binary_data": False}),
    }
    found: dict[str, Any] = {"version": version("tritonclient")}
    for size, counts in TOLD["sizes"].items():
        rows = np.random.default_rng(1).standard_normal((int(size), TOLD["width"])).astype(np.float32)
        found[size] = {way: timed(asking(*ways[way][:2], rows, ways[way][2]), count) for way, count in counts.items()}
    return found


print(json.dumps(main()))
