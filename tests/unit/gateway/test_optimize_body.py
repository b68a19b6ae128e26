"""An optimisation problem is the same message, however it was written; refusals cross to another process."""

import json
import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from builders.arrow import a_problem_stream, a_stream
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from services.gateway import optimize_body
from services.gateway.optimize_body import Invalid, Malformed, read_arrow, read_json
from services.gateway.schemas.portfolio import FrontierRequest, OptimizeRequest
from trading.errors import InvalidArgument

NAMES = ["AAPL", "BRK.B", "BTC/USD"]
COVARIANCE = np.array([[0.04, 0.01, 0.0], [0.01, 0.09, 0.02], [0.0, 0.02, 0.16]])
EXPECTED = [0.1, 0.12, 0.2]
WORDS: dict[str, Any] = {
    "objective": "max_utility",
    "risk_aversion": 3,
    "constraints": {"max_position_size": 0.6, "sectors": {"AAPL": "Tech"}, "sector_caps": {"Tech": 0.5}},
    "views": [{"weights": {"AAPL": 1, "BRK.B": -1}, "value": 0.02, "confidence": 0.5}],
    "current_positions": {"BTC/USD": 0.5, "AAPL": 0.5},
}


def as_json(**body: Any) -> bytes:
    return json.dumps(body).encode()


def with_request(text: str | bytes) -> bytes:
    columns = [pa.array(column) for column in COVARIANCE.T]
    return a_stream(columns, NAMES, {"matrix": "covariance", "request": text})


@pytest.mark.parametrize("words", [WORDS, {}])
def test_a_covariance_is_the_same_message_by_json_and_by_arrow(words: dict[str, Any]) -> None:
    beside = words | {"expected_returns": EXPECTED}
    by_json = read_json(OptimizeRequest, as_json(symbols=NAMES, covariance=COVARIANCE.tolist(), **beside))
    assert read_arrow(OptimizeRequest, a_problem_stream(COVARIANCE, NAMES, batch=2, **beside)) == by_json
    assert by_json.message().covariance_f64le == COVARIANCE.tobytes()


@given(
    returns=st.tuples(st.integers(0, 9), st.just(3)).flatmap(
        lambda shape: arrays(np.float64, shape, elements=st.floats(allow_nan=False, allow_infinity=False))
    ),
    batch=st.integers(1, 4),
    points=st.integers(2, 200),
)
def test_returns_are_the_same_frontier_by_json_and_by_arrow(returns: Any, batch: int, points: int) -> None:
    by_json = read_json(FrontierRequest, as_json(symbols=NAMES, returns=returns.tolist(), points=points))
    by_arrow = read_arrow(FrontierRequest, a_problem_stream(returns, NAMES, "returns", batch, points=points))
    assert by_arrow == by_json
    assert by_arrow.points == points


@pytest.mark.parametrize(
    ("request_text", "field", "said"),
    [
        ("", "request", "no JSON"),
        ("{", "request", "no JSON"),
        (b"\xff", "request", "no JSON"),
        ("[" * 100_000, "request", "nested too deeply"),
        ("[]", "request", "to be an object"),
        ('{"symbols": ["A"]}', "symbols", "columns only"),
        ('{"covariance": [[1]]}', "covariance", "columns only"),
        ('{"returns": null}', "returns", "columns only"),
        ('{"window_days": 5}', "window_days", "exactly one of"),
        ('{"exposures": [[1],[1],[1]]}', "exposures", "exactly one of"),
        ('{"expected_returns": [0.1]}', "expected_returns", "Expected 3 values, was 1"),
    ],
)
def test_what_is_wrong_beside_the_matrix_is_refused_by_name(request_text: Any, field: str, said: str) -> None:
    with pytest.raises(InvalidArgument, match=said) as refusal:
        read_arrow(OptimizeRequest, with_request(request_text))
    assert refusal.value.metadata["field"] == field


@pytest.mark.parametrize("rows", [0, 2, 4])
def test_a_covariance_of_another_number_of_rows_is_of_wrong_shape(rows: int) -> None:
    stream = a_problem_stream(np.ones((rows, 3)), NAMES, expected_returns=EXPECTED)
    with pytest.raises(InvalidArgument, match=f"Expected 3 values, was {rows}") as refusal:
        read_arrow(OptimizeRequest, stream)
    assert (refusal.value.reason, refusal.value.metadata["field"]) == ("SHAPE_MISMATCH", "covariance")


@pytest.mark.parametrize(
    ("stream", "place"),
    [
        (with_request('{"objective": "most"}'), ("objective",)),
        (with_request('{"constraints": {"sector_caps": {"Tech": "x"}}}'), ("constraints", "sector_caps", "Tech")),
        (with_request('{"points": 5}'), ("points",)),
        (a_problem_stream(np.ones((1, 1)), ["A" * 33], "returns"), ("symbols", 0)),
        (a_problem_stream(np.ones((1, 1)), [""], "returns"), ("symbols", 0)),
        (a_stream([], [], {"matrix": "returns", "request": "{}"}), ("symbols",)),
    ],
)
def test_a_field_that_breaks_the_schema_is_pointed_at(stream: bytes, place: tuple[str | int, ...]) -> None:
    with pytest.raises(Invalid) as refusal:
        read_arrow(OptimizeRequest, stream)
    assert [detail["loc"] for detail in refusal.value.details] == [("body", *place)]


@pytest.mark.parametrize(("body", "said"), [(b"", "was an empty one"), (b"{", "no JSON"), (b"[" * 100_000, "deeply")])
def test_what_is_no_json_is_malformed(body: bytes, said: str) -> None:
    with pytest.raises(Malformed, match=said):
        read_json(OptimizeRequest, body)


def test_what_is_no_arrow_is_malformed() -> None:
    with pytest.raises(Malformed, match="no Arrow stream"):
        read_arrow(OptimizeRequest, as_json(symbols=NAMES))


@pytest.mark.parametrize(
    "error", [Malformed("It is none."), Invalid([{"loc": ("body", 1), "msg": "No.", "type": "x"}])]
)
def test_a_refusal_survives_the_way_from_the_process(error: Exception) -> None:
    found = pickle.loads(pickle.dumps(error))
    assert (type(found), found.args) == (type(error), error.args)
    assert getattr(found, "details", None) == getattr(error, "details", None)


def test_the_bodies_are_documented() -> None:
    assert {"OptimizeRequest", "FrontierRequest", "Constraints", "View"} <= set(optimize_body.shapes())
