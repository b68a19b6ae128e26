"""The life of models by REST: files go up, versions are promoted, tried, rolled back and removed."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from integration.gateway.conftest import Gateway, problem

from neuraltrader.inference.v1 import registry_service_pb2 as pb

pytestmark = pytest.mark.asyncio(loop_scope="module")
MODEL = "/v1/models/momentum-v1"
OCTETS = {"content-type": "application/octet-stream"}


async def test_a_file_goes_up_in_pieces_and_becomes_a_version(gateway: Gateway) -> None:
    file = bytes(range(256)) * 9_000
    answer = await gateway.http.post("/v1/models?name=mine", content=_in_parts(file), headers=OCTETS)
    assert (answer.status_code, answer.json()["name"], answer.json()["version"]) == (201, "mine", "1")
    assert gateway.fleet.registry.uploaded == file


async def _in_parts(file: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(file), 700_000):
        yield file[start : start + 700_000]


async def test_a_file_that_is_refused_says_why(gateway: Gateway) -> None:
    file = b"hostile" + b"\0" * 3_000_000
    body = problem(
        await gateway.http.post("/v1/models?name=mine", content=_in_parts(file), headers=OCTETS),
        422,
        "MODEL_NOT_FINITE",
    )
    assert body["tensor"] == "layers.0.weight"


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("?name=UPPER", OCTETS, 422),
        ("?name=../x", OCTETS, 422),
        ("", OCTETS, 422),
        ("?name=mine", {"content-type": "application/json"}, 415),
        ("?name=mine", {}, 415),
    ],
)
async def test_what_is_no_upload_reaches_nobody(
    gateway: Gateway, query: str, headers: dict[str, str], status: int
) -> None:
    answer = await gateway.http.post(f"/v1/models{query}", content=b"x", headers=headers)
    assert answer.status_code == status
    assert gateway.fleet.script.heard(pb.UploadModelRequest) == []


async def test_versions_say_which_one_is_refused_and_why(gateway: Gateway) -> None:
    newest, oldest = (await gateway.http.get(f"{MODEL}/versions")).json()["models"]
    assert (newest["version"], newest["state"], newest["refusal"]) == ("2", "REFUSED", "MODEL_DTYPE: Expected F32.")
    assert (oldest["version"], oldest["state"], oldest["refusal"]) == ("1", "LOADED", None)


async def test_a_promoted_version_answers_until_it_is_rolled_back(gateway: Gateway) -> None:
    promoted = (await gateway.http.post(f"{MODEL}/promote", json={"version": "2"})).json()
    assert (promoted["active_version"], promoted["previous_version"]) == ("2", "1")
    back = (await gateway.http.post(f"{MODEL}/rollback")).json()
    assert (back["active_version"], back["previous_version"]) == ("1", None)
    problem(await gateway.http.post(f"{MODEL}/rollback"), 409, "NO_PREVIOUS_VERSION")


async def test_a_canary_and_a_shadow_are_set_and_ended(gateway: Gateway) -> None:
    canary = (await gateway.http.put(f"{MODEL}/canary", json={"version": "2", "weight": 0.1})).json()
    assert canary["canary"] == {"version": "2", "weight": 0.1}
    assert (await gateway.http.put(f"{MODEL}/canary", json={"version": None})).json()["canary"] is None
    shadow = (await gateway.http.put(f"{MODEL}/shadow", json={"version": "2"})).json()
    assert shadow["shadow"] == {"version": "2", "samples": 200, "flips": 0.015, "mean_shift": 0.0025}
    assert (await gateway.http.put(f"{MODEL}/shadow", json={"version": None})).json()["shadow"] is None


async def test_loading_takes_the_words_of_a_model_config(gateway: Gateway) -> None:
    wish = {"version": "2", "precision": "fp16", "use_gpu": False, "batch_size": 32}
    assert (await gateway.http.post(f"{MODEL}/load", json=wish)).json()["state"] == "LOADED"
    (heard,) = gateway.fleet.script.heard(pb.LoadModelRequest)
    assert (heard.version, heard.precision, heard.use_gpu, heard.batch_size) == ("2", "fp16", False, 32)
    await gateway.http.post(f"{MODEL}/load", json={})
    assert not gateway.fleet.script.heard(pb.LoadModelRequest)[-1].HasField("use_gpu")
    assert (await gateway.http.post(f"{MODEL}/unload")).json()["state"] == "UNLOADED"


async def test_a_precision_that_says_too_different_things_is_refused_with_the_numbers(gateway: Gateway) -> None:
    body = problem(await gateway.http.post(f"{MODEL}/load", json={"precision": "int8"}), 409, "MODEL_PRECISION")
    assert float(body["flips"]) == 0.02


async def test_a_version_that_is_not_in_use_can_go(gateway: Gateway) -> None:
    assert (await gateway.http.delete(f"{MODEL}?version=2")).status_code == 204
    problem(await gateway.http.delete(MODEL), 409, "MODEL_IN_USE")


async def test_an_export_is_a_tar_file(gateway: Gateway) -> None:
    answer = await gateway.http.get(f"{MODEL}/export?version=2")
    assert (answer.headers["content-type"], answer.content) == ("application/x-tar", b"a tar file")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "versions", None),
        ("POST", "promote", {"version": "1"}),
        ("POST", "rollback", None),
        ("POST", "load", {}),
        ("POST", "unload", None),
        ("PUT", "canary", {"version": "1"}),
        ("PUT", "shadow", {"version": "1"}),
        ("GET", "export", None),
        ("DELETE", "", None),
    ],
)
async def test_an_unknown_model_is_404_whatever_is_asked(gateway: Gateway, method: str, path: str, body: Any) -> None:
    answer = await gateway.http.request(method, f"/v1/models/nobody/{path}".rstrip("/"), json=body)
    problem(answer, 404, "UNKNOWN_MODEL")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("promote", {}),
        ("promote", {"version": ""}),
        ("promote", {"version": "1", "now": True}),
        ("load", {"precision": "bf16"}),
        ("load", {"batch_size": 0}),
    ],
)
async def test_a_wish_that_cannot_be_is_422(gateway: Gateway, path: str, body: Any) -> None:
    problem(await gateway.http.post(f"{MODEL}/{path}", json=body), 422, "INVALID_ARGUMENT")
