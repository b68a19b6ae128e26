"""NVIDIA's tritonclient, unmodified, against a gateway (HTTP) and an inference service (gRPC).

Run by the client's own interpreter with the addresses, keys and names as JSON.
"""

import asyncio
import json
import queue
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import tritonclient.grpc as grpc_client
import tritonclient.grpc.aio as grpc_aio_client
import tritonclient.http as http_client
import tritonclient.http.aio as http_aio_client
from tritonclient.utils import InferenceServerException

TOLD = json.loads(sys.argv[1])
MODEL, SPARE = TOLD["model"], TOLD["spare"]
ROWS = np.random.default_rng(7).standard_normal((5, TOLD["width"])).astype(np.float32)


def key() -> dict[str, str]:
    """The headers of a call: new ones each time, because the HTTP client writes its own into what it is given."""
    return {"authorization": f"Bearer {TOLD['key']}"}


def an_input(module: Any, array: Any = ROWS, datatype: str = "FP32", **how: bool) -> Any:
    """The features as the client's own tensor."""
    tensor = module.InferInput("features", list(array.shape), datatype)
    tensor.set_data_from_numpy(array, **how)
    return tensor


def refused(attempt: Callable[[], Any]) -> list[str]:
    """What the client makes of an error."""
    try:
        attempt()
    except InferenceServerException as error:
        return [str(error.status()), str(error.message())]
    return ["", "no error"]


def what_it_is(client: Any, **json_too: bool) -> dict[str, Any]:
    """Health, metadata and configuration, the same over both transports."""
    told = {"headers": key(), **json_too}
    server, model = client.get_server_metadata(**told), client.get_model_metadata(MODEL, **told)
    config = client.get_model_config(MODEL, **told)
    config = config.get("config", config)
    return {
        "live": client.is_server_live(headers=key()),
        "ready": client.is_server_ready(headers=key()),
        "model_ready": client.is_model_ready(MODEL, headers=key()),
        "version_ready": client.is_model_ready(MODEL, TOLD["version"], headers=key()),
        "server": server["name"],
        "binary": "binary_tensor_data" in server["extensions"],
        "inputs": [[each["name"], each["datatype"], [int(size) for size in each["shape"]]] for each in model["inputs"]],
        "outputs": [[each["name"], each["datatype"]] for each in model["outputs"]],
        "versions": model["versions"],
        "backend": config["backend"],
        "dims": [[int(size) for size in each["dims"]] for each in config["input"]],
    }


def repository(client: Any, **json_too: bool) -> dict[str, Any]:
    """List, unload, load."""

    def ready() -> list[str]:
        index = client.get_model_repository_index(headers=key(), **json_too)
        entries = index.get("models", []) if isinstance(index, dict) else index
        return sorted(entry["name"] for entry in entries if entry.get("state") == "READY")

    before = ready()
    client.unload_model(SPARE, headers=key())
    unloaded = [ready(), client.is_model_ready(SPARE, headers=key())]
    client.load_model(SPARE, headers=key())
    return {"before": before, "unloaded": unloaded, "after": ready()}


def over_http() -> dict[str, Any]:
    """Everything that a user of the HTTP client would do."""
    client = http_client.InferenceServerClient(TOLD["gateway"], concurrency=3, network_timeout=60)
    asked = http_client.InferRequestedOutput
    answers: dict[str, Any] = {}

    def infer(name: str, tensor: Any, outputs: Any = None, **options: Any) -> None:
        result = client.infer(MODEL, [tensor], outputs=outputs, headers=key(), **options)
        answers[name] = result.as_numpy("logit").ravel().tolist()

    infer("binary", an_input(http_client, binary_data=True))
    infer("json", an_input(http_client, binary_data=False), [asked("logit", binary_data=False)])
    infer("binary_to_json", an_input(http_client, binary_data=True), [asked("logit", binary_data=False)])
    mixed = [asked("confidence", binary_data=True), asked("logit", binary_data=False)]
    infer("json_to_mixed", an_input(http_client, binary_data=False), mixed)
    infer("version", an_input(http_client), model_version=TOLD["version"])
    for encoding in ("gzip", "deflate"):
        compressed = {"request_compression_algorithm": encoding, "response_compression_algorithm": encoding}
        infer(encoding, an_input(http_client), **compressed)
    infer("fp64", an_input(http_client, ROWS.astype(np.float64), "FP64"))
    pending = [client.async_infer(MODEL, [an_input(http_client)], headers=key()) for _ in range(3)]
    answers["async"] = [each.get_result().as_numpy("logit").ravel().tolist() for each in pending][-1]
    named = client.infer(MODEL, [an_input(http_client)], request_id="mine", headers=key())
    stats = client.get_inference_statistics(MODEL, headers=key())["model_stats"][0]
    return {
        **what_it_is(client),
        "repository": repository(client),
        "answers": answers,
        "id": named.get_response()["id"],
        "counted": stats["inference_stats"]["success"]["count"] >= len(answers),
        "refusals": {
            "nobody": refused(lambda: client.infer("nobody", [an_input(http_client)], headers=key())),
            "shape": refused(lambda: client.infer(MODEL, [an_input(http_client, ROWS[:, 1:])], headers=key())),
            "key": refused(lambda: client.get_server_metadata()),
        },
    }


def over_grpc() -> dict[str, Any]:
    """Everything that a user of the gRPC client would do."""
    client = grpc_client.InferenceServerClient(TOLD["inference"])
    answers: dict[str, Any] = {}

    def infer(name: str, tensor: Any, **options: Any) -> Any:
        result = client.infer(MODEL, [tensor], headers=key(), **options)
        answers[name] = result.as_numpy("logit").ravel().tolist()
        return result

    named = infer("raw", an_input(grpc_client), request_id="mine")
    infer("version", an_input(grpc_client), model_version=TOLD["version"])
    infer("gzip", an_input(grpc_client), compression_algorithm="gzip")
    infer("fp16", an_input(grpc_client, ROWS.astype(np.float16), "FP16"))
    infer("asked", an_input(grpc_client), outputs=[grpc_client.InferRequestedOutput("logit")])
    heard: queue.Queue[Any] = queue.Queue()
    client.async_infer(MODEL, [an_input(grpc_client)], lambda result, error: heard.put((result, error)), headers=key())
    answers["async"] = heard.get(timeout=30)[0].as_numpy("logit").ravel().tolist()
    client.start_stream(lambda result, error: heard.put((result, error)), headers=key())
    for model in (MODEL, "nobody", MODEL):
        client.async_stream_infer(model, [an_input(grpc_client)], request_id=model, enable_empty_final_response=True)
    stream = [heard.get(timeout=30) for _ in range(3)]
    client.stop_stream()
    answers["stream"] = stream[2][0].as_numpy("logit").ravel().tolist()
    stats = client.get_inference_statistics(MODEL, headers=key(), as_json=True)["model_stats"][0]
    return {
        **what_it_is(client, as_json=True),
        "repository": repository(client, as_json=True),
        "answers": answers,
        "id": named.get_response().id,
        "stream_errors": [error is not None for _, error in stream],
        "counted": int(stats["inference_stats"]["success"]["count"]) >= len(answers),
        "refusals": {
            "nobody": refused(lambda: client.infer("nobody", [an_input(grpc_client)], headers=key())),
            "shape": refused(lambda: client.infer(MODEL, [an_input(grpc_client, ROWS[:, 1:])], headers=key())),
            "key": refused(lambda: client.get_server_metadata()),
        },
    }


async def with_asyncio() -> dict[str, Any]:
    """Both asyncio clients."""
    async with http_aio_client.InferenceServerClient(TOLD["gateway"]) as client:
        over = await client.infer(MODEL, [an_input(http_client)], headers=key())
        http = over.as_numpy("logit").ravel().tolist()
    async with grpc_aio_client.InferenceServerClient(TOLD["inference"]) as client:
        over = await client.infer(MODEL, [an_input(grpc_client)], headers=key())
        return {"http": http, "grpc": over.as_numpy("logit").ravel().tolist()}


print(json.dumps({"http": over_http(), "grpc": over_grpc(), "asyncio": asyncio.run(with_asyncio())}))
