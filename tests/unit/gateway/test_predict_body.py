"""Bodies of predictions: read into columns, refused with a place, answered as JSON."""

import json
from typing import Any

import pytest

from neuraltrader.inference.v1 import inference_pb2 as pb
from neuraltrader.inference.v1 import inference_service_pb2 as rpc
from services.gateway import predict_body
from trading.errors import InvalidArgument

ROW: dict[str, Any] = {"symbol": "AAPL", "price": 1.5, "volume": 2, "timestamp_ns": "5", "bid": 1, "ask": 2}


def columns_of(document: Any) -> pb.MarketDataColumns:
    found = predict_body.read(json.dumps(document).encode())
    assert not found.wrong
    return pb.MarketDataColumns.FromString(found.columns)


def test_symbols_are_written_once_and_times_are_read_from_text_or_number() -> None:
    columns = columns_of({"market_data": [ROW, ROW | {"timestamp_ns": 6}, ROW | {"symbol": "TSLA"}]})
    assert (list(columns.symbol), list(columns.symbol_index)) == (["AAPL", "TSLA"], [0, 0, 1])
    assert list(columns.timestamp_ns) == [5, 6, 5]


def test_columns_may_have_a_spread() -> None:
    columns = columns_of({name: [value] for name, value in ROW.items()} | {"spread": [1]})
    assert list(columns.spread) == [1.0]


@pytest.mark.parametrize(
    "body", [b'{"market_data":[{"symbol":"A"}],', b'{"price":[0],', b'{"a":' + b"[" * 100_000, b"\xff\xfe"]
)
def test_what_is_no_json_is_malformed_whatever_is_wrong_before(body: bytes) -> None:
    assert predict_body.read(body).malformed


@pytest.mark.parametrize(
    ("field", "as_rows", "expected"),
    [
        ("ask[3]", True, "market_data.3.ask"),
        ("ask[3]", False, "ask.3"),
        ("market_data", True, "market_data"),
        ("", True, ""),
    ],
)
def test_a_place_in_a_column_is_one_in_the_body(field: str, as_rows: bool, expected: str) -> None:
    error = InvalidArgument(f"Expected more in {field}.", field=field)
    found = predict_body.pointed(error, as_rows=as_rows)
    assert found.metadata["field"] == expected
    assert ("market_data[3].ask" in found.message) == (expected == "market_data.3.ask")


def test_an_answer_is_written_whole() -> None:
    answer = rpc.PredictResponse(
        predictions=[0.5], confidence=[0.75], calibrated=True, warm=[True], model="m", version="1", device="cpu"
    )
    assert json.loads(predict_body.reply(answer.SerializeToString())) == {
        "predictions": [0.5],
        "confidence": [0.75],
        "calibrated": True,
        "warm": [True],
        "model": "m",
        "version": "1",
        "device": "cpu",
        "latency_ms": 0.0,
    }


def test_a_time_that_no_int64_holds_is_refused_at_its_place() -> None:
    late = "9999999999999999999"
    rows = predict_body.read(json.dumps({"market_data": [ROW, ROW | {"timestamp_ns": late}]}).encode())
    assert (rows.field, "before 2262" in rows.wrong) == ("market_data.1.timestamp_ns", True)
    columns = {name: [value, value] for name, value in ROW.items()} | {"timestamp_ns": [5, late]}
    assert predict_body.read(json.dumps(columns).encode()).field == "timestamp_ns.1"
