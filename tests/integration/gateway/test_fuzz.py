"""Whatever comes in, only what the contract documents goes out, and never a fault."""

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from contracts.contract_shapes import built
from fakes.backends import fake_fleet
from hypothesis import given, settings
from hypothesis import strategies as st
from integration.gateway.conftest import KEY, Gateway, running

from services.gateway.app import served_contract

pytestmark = pytest.mark.asyncio(loop_scope="module")
SERVED = served_contract("0")
OPERATIONS = built(SERVED)
WITH_BODY = sorted(key for key, found in OPERATIONS.items() if "requestBody" in found)
WITH_QUERY = sorted(key for key, found in OPERATIONS.items() if key[0] == "get" and found["parameters"])
TEXT = st.text(max_size=20) | st.sampled_from(["AAPL", "BUY", "MARKET", "main", "1", "-1", "1e9", "NaN", "\x00"])
VALUE = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
ANYTHING = st.recursive(
    VALUE, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(nats_url: str) -> AsyncIterator[Gateway]:
    """One gateway for everything that comes."""
    async with (
        fake_fleet(KEY) as fleet,
        running(fleet, nats_url, rate_burst=10**9, request_timeout_seconds=60.0) as started,
    ):
        yield started


def fields_of(key: tuple[str, str]) -> list[str]:
    """Names that the body of an operation knows."""
    text = json.dumps(OPERATIONS[key]["requestBody"])
    names = [name.rpartition("/")[2] for name in text.split('"') if name.startswith("#/components/schemas/")]
    return [field for name in names for field in SERVED["components"]["schemas"][name]["properties"]]


def check(answer: Any, key: tuple[str, str]) -> None:
    """The answer is one that the contract names, and no fault."""
    assert answer.status_code < 500, answer.text
    assert str(answer.status_code) in OPERATIONS[key]["responses"], answer.text
    if answer.status_code >= 400:
        theirs = key[1].startswith("/v2")
        assert answer.headers["content-type"] == ("application/json" if theirs else "application/problem+json")


@pytest.mark.parametrize("key", WITH_BODY, ids=lambda key: " ".join(key))
@settings(max_examples=settings.default.max_examples * 2 // 5)
@given(data=st.data())
async def test_no_body_makes_a_fault(gateway: Gateway, key: tuple[str, str], data: st.DataObject) -> None:
    names = st.sampled_from(fields_of(key) or ["log_level", "websocketUrl", "symbols"])
    body = data.draw(ANYTHING | st.dictionaries(names, ANYTHING, max_size=6))
    method, path = key
    check(await gateway.http.request(method, path.replace("{name}", "momentum-v1"), json=body), key)


@pytest.mark.parametrize("key", WITH_QUERY, ids=lambda key: " ".join(key))
@settings(max_examples=settings.default.max_examples * 2 // 5)
@given(data=st.data())
async def test_no_parameter_makes_a_fault(gateway: Gateway, key: tuple[str, str], data: st.DataObject) -> None:
    method, path = key
    query: dict[str, Any] = {}
    for parameter in OPERATIONS[key]["parameters"]:
        value = data.draw(TEXT, label=parameter["name"])
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(value or "x", safe=""))
        elif parameter["in"] == "query" and data.draw(st.booleans()):
            query[parameter["name"]] = value
    check(await gateway.http.request(method, path, params=query), key)
