"""What every REST route does with bodies and queries, and the models behind them."""

import re
from typing import Any

import pytest
from architecture.sources import REPOSITORY
from integration.gateway.conftest import Gateway, problem

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    "body",
    [
        b'{"symbol": "AA',
        b"",
        b"not json",
        b"\xff\xfe\x00",
        b'{"symbol": "\xc3\x28"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"quantity": NaN}',
        b"1e999",
        b'"\\ud800"',
        b"{} trailing",
    ],
)
async def test_a_body_that_cannot_be_parsed_is_400(gateway: Gateway, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    problem(await gateway.http.post("/v1/orders", content=body, headers=headers), 400, "MALFORMED_BODY")


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"text"', b"[1,2]"])
async def test_a_parsed_body_of_the_wrong_kind_is_422(gateway: Gateway, body: bytes) -> None:
    answer = await gateway.http.post("/v1/orders", content=body, headers={"Content-Type": "application/json"})
    problem(answer, 422, "INVALID_ARGUMENT")


async def test_another_media_type_is_415(gateway: Gateway) -> None:
    answer = await gateway.http.post("/v1/orders", content=b"a=1", headers={"Content-Type": "text/plain"})
    problem(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


async def test_a_body_without_a_media_type_is_read_as_json(gateway: Gateway) -> None:
    request = gateway.http.build_request("POST", "/v1/orders", content=b'{"symbol":"AAPL"}')
    request.headers.pop("content-type", None)
    problem(await gateway.http.send(request), 422, "INVALID_ARGUMENT")


async def test_a_body_too_large_is_413_whether_declared_or_streamed(gateway: Gateway) -> None:
    async def pieces() -> Any:
        for _ in range(40):
            yield b" " * 65_536

    headers = {"Content-Type": "application/json"}
    problem(await gateway.http.post("/v1/orders", content=b" " * 2_000_000, headers=headers), 413, "BODY_TOO_LARGE")
    problem(await gateway.http.post("/v1/orders", content=pieces(), headers=headers), 413, "BODY_TOO_LARGE")
    assert (await gateway.http.get("/healthz")).status_code == 200


async def test_a_query_that_breaks_the_contract_is_422_by_parameter(gateway: Gateway) -> None:
    body = problem(await gateway.http.get("/v1/orders?limit=0"), 422, "INVALID_ARGUMENT")
    assert [error["parameter"] for error in body["errors"]] == ["limit"]


@pytest.mark.parametrize("path", ["/v1/instruments", "/v1/models"])
async def test_a_slow_list_has_an_etag(gateway: Gateway, path: str) -> None:
    first = await gateway.http.get(path)
    again = await gateway.http.get(path, headers={"If-None-Match": f'"other", W/{first.headers["etag"]}'})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert (await gateway.http.get(path, headers={"If-None-Match": '"other"'})).status_code == 200


async def test_models_and_one_model(gateway: Gateway) -> None:
    (model,) = (await gateway.http.get("/v1/models")).json()["models"]
    assert model == (await gateway.http.get("/v1/models/momentum-v1")).json()
    assert (model["horizon_ns"], model["metrics"]) == ("500000000", {"brier_skill": 0.25})
    problem(await gateway.http.get("/v1/models/none"), 404, "UNKNOWN_MODEL")


async def test_the_seeds_configurations_are_recognised(gateway: Gateway) -> None:
    good = [
        {"websocketUrl": "wss://x.example", "apiKey": "k", "bufferSize": 10},
        {"modelPath": "./models/m.safetensors", "batchSize": 32, "useGpu": False, "precision": "fp16"},
        {"riskFreeRate": 0.02, "constraints": {"maxPositionSize": 0.3, "sectors": {"Tech": 0.4}}},
        {"symbols": ["AAPL"], "dataSource": "alpaca", "apiKey": "k"},
        {"NT_LOG_LEVEL": "INFO", "gateway_port": 8080, "NATS_URL": "nats://x:4222", "NT_VENUE": "paper"},
    ]
    for config in good:
        answer = await gateway.http.post("/v1/config/validate", json=config)
        assert answer.json() == {"valid": True, "errors": []}, config


async def test_a_wrong_configuration_is_told_where(gateway: Gateway) -> None:
    config = {"riskFreeRate": "high", "constraints": {"maxPositionSize": 2, "sektors": {}}}
    verdict = (await gateway.http.post("/v1/config/validate", json=config)).json()
    assert not verdict["valid"]
    paths = {error["path"] for error in verdict["errors"]}
    assert paths == {"riskFreeRate", "constraints.maxPositionSize", "constraints.sektors"}


async def test_what_env_example_offers_is_a_configuration(gateway: Gateway) -> None:
    """Whoever fills it in may ask whether it is right."""
    offered = re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (REPOSITORY / ".env.example").read_text(), re.MULTILINE)
    answer = await gateway.http.post("/v1/config/validate", json={name: {} for name in offered})
    complaints = {error["path"]: error["message"] for error in answer.json()["errors"]}
    assert set(complaints) == set(offered)
    assert [path for path, message in complaints.items() if "not permitted" in message] == []
