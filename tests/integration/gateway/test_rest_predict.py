"""Predictions by REST: rows, columns and Arrow, small and big, and how the models do."""

import asyncio
import json
from typing import Any

import pyarrow as pa
import pytest
from integration.gateway.conftest import Gateway, problem

from fleet.rpc import MAX_MESSAGE_BYTES
from neuraltrader.inference.v1 import inference_service_pb2 as inference

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROW: dict[str, Any] = {"symbol": "AAPL", "price": 190.0, "volume": 1, "timestamp_ns": "5", "bid": 189, "ask": 191}
PATH = "/v1/models/momentum-v1/predict"
ARROW = {"Content-Type": "application/vnd.apache.arrow.stream"}


def as_columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows as columns."""
    return {name: [row[name] for row in rows] for name in rows[0]}


async def test_rows_and_columns_are_the_same_question(gateway: Gateway) -> None:
    rows = [ROW, ROW | {"symbol": "BTC/USD", "timestamp_ns": 6}]
    by_row = await gateway.http.post(PATH, json={"market_data": rows})
    by_column = await gateway.http.post(PATH, json=as_columns(rows))
    assert by_row.json() == by_column.json()
    assert by_row.json()["predictions"] == [0.5, 0.5]
    first, second = gateway.fleet.script.heard(inference.PredictRequest)
    assert first == second
    asked = first.columns
    assert [asked.symbol[index] for index in asked.symbol_index] == ["AAPL", "BTC/USD"]
    assert (list(asked.timestamp_ns), list(asked.bid), list(asked.spread)) == ([5, 6], [189.0, 189.0], [])


async def test_a_spread_that_some_rows_have_is_absent_in_the_others(gateway: Gateway) -> None:
    await gateway.http.post(PATH, json={"market_data": [ROW, ROW | {"spread": 2}]})
    (asked,) = gateway.fleet.script.heard(inference.PredictRequest)
    assert [str(value) for value in asked.columns.spread] == ["nan", "2.0"]


async def test_an_arrow_body_goes_on_as_it_is_and_a_version_may_be_named(gateway: Gateway) -> None:
    sink = pa.BufferOutputStream()
    table = pa.table(as_columns([ROW]))
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    stream = bytes(sink.getvalue().to_pybytes())
    answer = await gateway.http.post(PATH, content=stream, headers=ARROW, params={"version": "7"})
    assert (answer.status_code, answer.json()["version"]) == (200, "7")
    (asked,) = gateway.fleet.script.heard(inference.PredictRequest)
    assert (asked.arrow_ipc, asked.version, asked.model) == (stream, "7", "momentum-v1")


async def test_an_arrow_body_of_nothing_or_of_more_than_a_message_is_refused_by_name(gateway: Gateway) -> None:
    problem(await gateway.http.post(PATH, content=b"", headers=ARROW), 422, "INVALID_ARGUMENT")
    refused = problem(
        await gateway.http.post(PATH, content=bytes(MAX_MESSAGE_BYTES), headers=ARROW), 413, "BODY_TOO_LARGE"
    )
    assert "in several requests" in refused["detail"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"market_data": [ROW, ROW | {"price": 0}]}, "#/market_data/1/price"),
        ({"market_data": [ROW, ROW | {"ask": 1}]}, "#/market_data/1/ask"),
        ({"market_data": [ROW | {"timestamp_ns": "soon"}]}, "#/market_data/0/timestamp_ns"),
        ({"market_data": [ROW | {"surprise": 1}]}, "#/market_data/0"),
        ({"market_data": [], "surprise": 1}, "#/market_data"),
        ({"market_data": [ROW], "surprise": 1}, "#"),
        (as_columns([ROW, ROW | {"price": -1}]), "#/price/1"),
        (as_columns([ROW, ROW | {"ask": 1}]), "#/ask/1"),
        (as_columns([ROW]) | {"bid": [1, 2]}, "#"),
        ({"symbol": ["AAPL"]}, "#"),
        ([], "#"),
    ],
)
async def test_what_is_wrong_is_pointed_at(gateway: Gateway, body: Any, pointer: str) -> None:
    refused = problem(await gateway.http.post(PATH, json=body), 422, "INVALID_ARGUMENT")
    assert [error["pointer"] for error in refused["errors"]] == [pointer]


@pytest.mark.parametrize("body", [b"", b"[1", b'{"market_data":[1,}', b'{"price":[0],}', b'{"symbol":[' * 3, b"\xff"])
async def test_what_is_no_json_is_400(gateway: Gateway, body: bytes) -> None:
    answer = await gateway.http.post(PATH, content=body, headers={"Content-Type": "application/json"})
    problem(answer, 400, "MALFORMED_BODY")


async def test_another_media_type_is_415(gateway: Gateway) -> None:
    answer = await gateway.http.post(PATH, content=b"a,b", headers={"Content-Type": "text/csv"})
    problem(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


async def test_an_unknown_model_is_404(gateway: Gateway) -> None:
    answer = await gateway.http.post("/v1/models/none/predict", json={"market_data": [ROW]})
    problem(answer, 404, "UNKNOWN_MODEL")


async def test_a_big_body_is_read_and_answered_while_others_are_served(gateway: Gateway) -> None:
    """Reads of the version go on while 50,000 rows are parsed and written, each in far less than that takes."""
    rows = [ROW | {"timestamp_ns": str(number)} for number in range(50_000)]
    body = json.dumps({"market_data": rows}).encode()
    await gateway.http.post(PATH, content=body)  # the process starts
    asking = asyncio.create_task(gateway.http.post(PATH, content=body))
    served = 0
    while not asking.done():
        await gateway.http.get("/v1/version")
        served += 1
    answer = (await asking).json()
    assert len(answer["predictions"]) == len(answer["confidence"]) == len(answer["warm"]) == 50_000
    assert served > 3
    heard = gateway.fleet.script.heard(inference.PredictRequest)[-1]
    assert list(heard.columns.timestamp_ns[-2:]) == [49_998, 49_999]


async def test_a_wrong_value_in_a_big_body_is_pointed_at(gateway: Gateway) -> None:
    rows = [ROW] * 9_999 + [ROW | {"volume": -1}]
    refused = problem(await gateway.http.post(PATH, json={"market_data": rows}), 422, "INVALID_ARGUMENT")
    assert [error["pointer"] for error in refused["errors"]] == ["#/market_data/9999/volume"]


async def test_drift_says_what_is_known(gateway: Gateway) -> None:
    drift = (await gateway.http.get("/v1/models/momentum-v1/drift")).json()
    assert drift == {
        "model": "momentum-v1",
        "version": "3",
        "rows": 7,
        "features": [{"feature": "spread", "psi": 0.5, "mean": 2.0, "trained_mean": 1.0}],
        "outcomes": 2,
        "rolling_brier": None,
        "base_rate_brier": None,
        "hit_rate": 0.5,
    }
    problem(await gateway.http.get("/v1/models/none/drift"), 404, "UNKNOWN_MODEL")
