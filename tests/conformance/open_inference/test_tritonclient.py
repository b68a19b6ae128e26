"""NVIDIA's tritonclient works against the gateway and the inference service as it is."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.inference import a_model_directory, a_network
from builders.inference_process import ADMIN_KEY, running_gateway, running_inference
from conformance.venues import findings
from servers import nats_server

from services.inference.domain.features import FEATURES

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(600)]

SCRIPT = Path(__file__).with_name("tritonclient_client.py")
MODEL, SPARE, WIDTH = "momentum-v1", "spare", len(FEATURES)
HTTP_WAYS = {"binary", "json", "binary_to_json", "json_to_mixed", "version", "gzip", "deflate", "fp64", "async"}
GRPC_WAYS = {"raw", "version", "gzip", "fp16", "asked", "async", "stream"}


@pytest.fixture
def told(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A gateway and an inference service with a version of the test's own of the shipped model, and a spare."""
    a_model_directory(tmp_path / "models", MODEL, "7")
    a_model_directory(tmp_path / "models", SPARE, "1")
    (tmp_path / "nats").mkdir()
    with (
        nats_server(tmp_path / "nats") as nats_url,
        running_inference(tmp_path, nats_url) as inference,
        running_gateway(inference, nats_url, tmp_path) as gateway,
    ):
        yield {
            "gateway": gateway,
            "inference": inference,
            "key": ADMIN_KEY,
            "model": MODEL,
            "version": "7",
            "spare": SPARE,
            "width": WIDTH,
        }


def test_the_client_works_unmodified(client_python: Any, told: dict[str, Any]) -> None:
    found = findings(client_python("tritonclient"), SCRIPT, json.dumps(told))
    rows = np.random.default_rng(7).standard_normal((5, WIDTH)).astype(np.float32)
    expected = a_network().logits(rows)
    for transport, ways in (("http", HTTP_WAYS), ("grpc", GRPC_WAYS)):
        side = found[transport]
        assert side["answers"].keys() == ways
        for way, logits in side["answers"].items():
            assert logits == pytest.approx(expected, abs=1e-2 if way == "fp16" else 1e-5), way
        assert all(side[name] for name in ("live", "ready", "model_ready", "version_ready", "binary", "counted"))
        assert (side["server"], side["backend"], side["id"]) == ("neural-trader", "onnxruntime", "mine")
        assert side["inputs"] == [["features", "FP32", [-1, WIDTH]]]
        assert side["outputs"] == [["logit", "FP32"], ["prediction", "FP64"], ["confidence", "FP64"]]
        assert side["dims"] == [[WIDTH]]
        assert side["versions"][0] == "7"
        repository = side["repository"]
        assert {MODEL, SPARE} <= set(repository["before"])
        assert repository["after"] == repository["before"]
        assert repository["unloaded"] == [[name for name in repository["before"] if name != SPARE], False]
        status = {name: status for name, (status, _) in side["refusals"].items()}
        messages = {name: message for name, (_, message) in side["refusals"].items()}
        assert "nobody" in messages["nobody"]
        assert f"[-1, {WIDTH}]" in messages["shape"]
        if transport == "http":
            assert status == {"nobody": "404", "shape": "422", "key": "401"}
        else:
            codes = {"nobody": "NOT_FOUND", "shape": "INVALID_ARGUMENT", "key": "UNAUTHENTICATED"}
            assert status == {name: f"StatusCode.{code}" for name, code in codes.items()}
    assert found["grpc"]["stream_errors"] == [False, True, False]
    assert found["asyncio"]["http"] == pytest.approx(expected, abs=1e-5)
    assert found["asyncio"]["grpc"] == pytest.approx(expected, abs=1e-5)
