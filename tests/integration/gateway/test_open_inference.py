"""The Open Inference Protocol over REST: a real gateway before the real servicer."""

import gzip
import json
import zlib
from typing import Any

import httpx
import numpy as np
import pytest
from fakes.open_inference import ROWS_MAX
from integration.gateway.conftest import KEY, Gateway, running

from services.inference.domain.features import FEATURES

pytestmark = pytest.mark.asyncio(loop_scope="module")
WIDTH = len(FEATURES)
MODEL = "/v2/models/momentum-v1"
INFER = f"{MODEL}/infer"
BOTH = pytest.mark.parametrize("path", [MODEL, f"{MODEL}/versions/3"])


def some_features(rows: int = 2) -> Any:
    return np.random.default_rng(1).standard_normal((rows, WIDTH)).astype(np.float32)


def a_question(array: Any, **fields: Any) -> dict[str, Any]:
    tensor = {"name": "features", "datatype": "FP32", "shape": list(array.shape), "data": array.tolist()}
    return {"inputs": [tensor], **fields}


def a_binary_question(array: Any, **fields: Any) -> tuple[bytes, dict[str, str]]:
    raw = array.tobytes()
    tensor = {"name": "features", "datatype": "FP32", "shape": list(array.shape)}
    tensor["parameters"] = {"binary_data_size": len(raw)}
    head = json.dumps({"inputs": [tensor], **fields}).encode()
    return head + raw, {"Inference-Header-Content-Length": str(len(head))}


def refusal(answer: httpx.Response, status: int) -> str:
    """Why a request was refused, checked for the protocol's own form."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    assert list(answer.json()) == ["error"]
    return str(answer.json()["error"])


def numbers(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return {out["name"]: out["data"] for out in answer.json()["outputs"]}


@BOTH
async def test_json_in_json_out(gateway: Gateway, path: str) -> None:
    rows = some_features()
    answer = await gateway.http.post(f"{path}/infer", json=a_question(rows, id="mine"))
    assert answer.headers["content-type"] == "application/json"
    assert [answer.json()[name] for name in ("model_name", "model_version", "id")] == ["momentum-v1", "3", "mine"]
    assert numbers(answer)["logit"] == [0.5, 0.5]
    (asked,) = gateway.fleet.open_inference.model.asked
    assert asked.tolist() == rows.tolist()


async def test_binary_in_binary_out(gateway: Gateway) -> None:
    rows = some_features()
    body, headers = a_binary_question(rows, parameters={"binary_data_output": True})
    answer = await gateway.http.post(INFER, content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers["inference-header-content-length"])
    outputs = json.loads(answer.content[:length])["outputs"]
    assert [out["parameters"]["binary_data_size"] for out in outputs] == [8, 16, 16]
    assert np.frombuffer(answer.content[length : length + 8], np.float32).tolist() == [0.5, 0.5]
    (asked,) = gateway.fleet.open_inference.model.asked
    assert asked.tolist() == rows.tolist()


async def test_binary_in_and_json_out_and_the_reverse(gateway: Gateway) -> None:
    body, headers = a_binary_question(some_features())
    assert numbers(await gateway.http.post(INFER, content=body, headers=headers))["logit"] == [0.5, 0.5]
    asked = [{"name": "confidence", "parameters": {"binary_data": True}}, {"name": "logit"}]
    answer = await gateway.http.post(INFER, json=a_question(some_features(), outputs=asked))
    length = int(answer.headers["inference-header-content-length"])
    confidence, logit = json.loads(answer.content[:length])["outputs"]
    assert (confidence["name"], logit["data"]) == ("confidence", [0.5, 0.5])
    assert len(np.frombuffer(answer.content[length:], np.float64)) == 2


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
@pytest.mark.parametrize("rows", [2, 1000])
async def test_compressed_bodies_go_both_ways(gateway: Gateway, encoding: str, compress: Any, rows: int) -> None:
    body, headers = a_binary_question(some_features(rows), parameters={"binary_data_output": True})
    headers |= {"content-encoding": encoding, "accept-encoding": encoding}
    answer = await gateway.http.post(INFER, content=compress(body), headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers.get("content-encoding") == (encoding if rows == 1000 else None)
    length = int(answer.headers["inference-header-content-length"])
    assert len(answer.content) == length + rows * 20, "httpx has decompressed it"


async def test_a_repeated_question_gets_the_same_answer_in_the_same_form(gateway: Gateway) -> None:
    body, headers = a_binary_question(some_features(1000), parameters={"binary_data_output": True})
    headers |= {"idempotency-key": "asked-twice", "accept-encoding": "gzip"}
    first, second = [await gateway.http.post(INFER, content=body, headers=headers) for _ in range(2)]
    assert second.headers["idempotency-replayed"] == "true"
    assert second.content == first.content
    name = "inference-header-content-length"
    assert second.headers[name] == first.headers[name]


async def test_a_body_that_grows_beyond_the_limit_is_refused(gateway: Gateway, nats_url: str) -> None:
    async with running(gateway.fleet, nats_url, bulk_body_bytes_max=10_000) as small:
        large = gzip.compress(bytes(10_001))
        answer = await small.http.post(INFER, content=large, headers={"content-encoding": "gzip"})
        assert "at most 10000 bytes" in refusal(answer, 413)
        answer = await small.http.post(INFER, content=bytes(10_001))
        assert "at most 10000 bytes" in refusal(answer, 413)


@pytest.mark.parametrize(
    ("content", "headers", "says"),
    [
        (b"", {}, "no JSON"),
        (b"{", {}, "no JSON"),
        (b"{}", {"content-encoding": "gzip"}, "Content-Encoding"),
        (b"{}", {"content-encoding": "br"}, "'br'"),
        (b"{}", {"inference-header-content-length": "3"}, "Inference-Header-Content-Length"),
    ],
)
async def test_what_cannot_be_taken_apart_is_a_bad_request(
    gateway: Gateway, content: bytes, headers: dict[str, str], says: str
) -> None:
    assert says in refusal(await gateway.http.post(INFER, content=content, headers=headers), 400)


async def test_what_does_not_fit_is_refused_by_name(gateway: Gateway) -> None:
    row = some_features(1)
    for question, says in (
        ({}, "inputs"),
        ({"inputs": []}, "Expected each input"),
        (a_question(row[:, 1:]), f"[-1, {WIDTH}]"),
        (a_question(row, outputs=[{"name": "odd"}]), "'odd'"),
        (a_question(row, outputs=[{"name": "logit", "parameters": {"classification": 1}}]), "'classification'"),
        (a_question(np.zeros((ROWS_MAX + 1, WIDTH))), f"at most {ROWS_MAX} rows"),
    ):
        assert says in refusal(await gateway.http.post(INFER, json=question), 422)
    body, headers = a_binary_question(row)
    assert "behind the JSON" in refusal(await gateway.http.post(INFER, content=body[:-1], headers=headers), 422)
    assert gateway.fleet.open_inference.model.asked == []


async def test_an_unknown_model_version_and_route_are_not_found(gateway: Gateway) -> None:
    question = a_question(some_features())
    for path in ("/v2/models/nobody/infer", f"{MODEL}/versions/9/infer"):
        assert "is" in refusal(await gateway.http.post(path, json=question), 404)
    for path in ("/v2/models/nobody", "/v2/models/nobody/ready", "/v2/models/nobody/config", "/v2/models/nobody/stats"):
        assert "'nobody'" in refusal(await gateway.http.get(path), 404)
    refusal(await gateway.http.get("/v2/nothing"), 404)
    refusal(await gateway.http.put("/v2"), 405)


async def test_keys_and_scopes_hold_here_too(gateway: Gateway) -> None:
    assert "key" in refusal(await gateway.http.get("/v2", headers={"authorization": "Bearer wrong"}), 401)


async def test_the_server_says_what_it_is(gateway: Gateway) -> None:
    server = (await gateway.http.get("/v2")).json()
    assert (server["name"], server["version"]) == ("neural-trader", "9.9")
    assert (await gateway.http.get("/v2/health/live")).json() == {"live": True}
    assert (await gateway.http.get("/v2/health/ready")).json() == {"ready": True}


@BOTH
async def test_a_model_says_what_it_is(gateway: Gateway, path: str) -> None:
    metadata = (await gateway.http.get(path)).json()
    assert metadata["inputs"] == [{"name": "features", "datatype": "FP32", "shape": [-1, WIDTH]}]
    assert [out["name"] for out in metadata["outputs"]] == ["logit", "prediction", "confidence"]
    assert metadata["versions"] == ["3"]
    assert (await gateway.http.get(f"{path}/ready")).json() == {"name": "momentum-v1", "ready": True}
    config = (await gateway.http.get(f"{path}/config")).json()
    assert config["input"] == [{"name": "features", "data_type": "TYPE_FP32", "dims": [WIDTH]}]
    assert (config["backend"], config["max_batch_size"]) == ("onnxruntime", ROWS_MAX)


async def test_what_is_asked_is_counted_in_numbers(gateway: Gateway) -> None:
    await gateway.http.post(INFER, json=a_question(some_features(3)))
    for path in ("/v2/models/stats", f"{MODEL}/stats", f"{MODEL}/versions/3/stats"):
        (found,) = (await gateway.http.get(path)).json()["model_stats"]
        assert (found["name"], found["version"]) == ("momentum-v1", "3")
        assert found["inference_count"] >= 3
        assert found["inference_stats"]["success"]["count"] >= 1


async def test_the_index_lists_versions(gateway: Gateway) -> None:
    expected = [{"name": name, "version": "3", "state": "READY", "reason": ""} for name in ("momentum-v1", "spare")]
    assert (await gateway.http.post("/v2/repository/index")).json() == expected
    assert (await gateway.http.post("/v2/repository/index", json={"ready": True})).json() == expected
    assert "ready" in refusal(await gateway.http.post("/v2/repository/index", json={"ready": "yes"}), 422)
    refusal(await gateway.http.post("/v2/repository/index", content=b"{"), 400)


async def test_a_model_is_unloaded_and_loaded(gateway: Gateway) -> None:
    async def ready() -> list[str]:
        listed = (await gateway.http.post("/v2/repository/index", json={"ready": True})).json()
        return [entry["name"] for entry in listed]

    unload = {"parameters": {"unload_dependents": False}}
    assert (await gateway.http.post("/v2/repository/models/spare/unload", json=unload)).json() == {}
    assert await ready() == ["momentum-v1"]
    assert "not in memory" in refusal(await gateway.http.get("/v2/models/spare/ready"), 503)
    (unloaded,) = [entry for entry in (await gateway.http.post("/v2/repository/index")).json() if entry["reason"]]
    assert (unloaded["name"], unloaded["state"]) == ("spare", "UNAVAILABLE")
    assert (await gateway.http.post("/v2/repository/models/spare/load")).json() == {}
    assert await ready() == ["momentum-v1", "spare"]
    refusal(await gateway.http.post("/v2/repository/models/nobody/load"), 404)
    refusal(await gateway.http.post("/v2/repository/models/nobody/unload"), 404)
    assert "follows the market" in refusal(await gateway.http.post("/v2/repository/models/momentum-v1/unload"), 409)


async def test_a_load_takes_no_files(gateway: Gateway) -> None:
    body = {"parameters": {"config": "{}", "file:1/model.onnx": "AA=="}}
    answer = await gateway.http.post("/v2/repository/models/momentum-v1/load", json=body)
    assert "file:1/model.onnx" in refusal(answer, 422)


async def test_when_inference_is_gone_the_error_names_no_address(gateway: Gateway) -> None:
    await gateway.fleet.stop("inference")
    try:
        for path in ("/v2", "/v2/health/live", "/v2/health/ready", MODEL):
            answer = await gateway.http.get(path)
            assert "127.0.0.1" not in refusal(answer, 503)
            assert answer.headers["retry-after"]
    finally:
        await gateway.fleet.start("inference", KEY)
