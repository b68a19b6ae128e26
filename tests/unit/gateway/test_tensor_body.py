"""Bodies of the Open Inference Protocol are taken apart and put together, or refused by name."""

import gzip
import json
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference import grpc_service_pb2 as pb
from services.gateway.tensor_body import Malformed, deflated, infer_reply, infer_request, inflated, parsed
from trading.errors import InvalidArgument


def a_tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]} | changes


def a_body(*tensors: dict[str, Any], **fields: Any) -> bytes:
    return json.dumps({"inputs": tensors or [a_tensor()], **fields}).encode()


def request_of(body: bytes, behind: bytes = b"") -> pb.ModelInferRequest:
    return infer_request("m", "1", *parsed(body + behind, str(len(body)) if behind else None))


def array_of(request: pb.ModelInferRequest, dtype: Any = np.float32, at: int = 0) -> Any:
    return np.frombuffer(request.raw_input_contents[at], dtype).tolist()


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [1.0, 2.0, 3.0, 4.0], [[1, 2], [3, 4]]])
def test_numbers_flat_or_nested_become_bytes(data: Any) -> None:
    assert array_of(request_of(a_body(a_tensor(data=data)))) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("datatype", "dtype", "data"),
    [
        ("BOOL", "?", [True, False, True, True]),
        ("UINT8", "u1", [0, 255, 1, 2]),
        ("UINT64", "<u8", [0, 2**64 - 1, 1, 2]),
        ("INT8", "i1", [-128, 127, 1, 2]),
        ("INT64", "<i8", [-(2**63), 2**63 - 1, 1, 2]),
        ("FP16", "<f2", [0.5, -2, 1, 2]),
        ("FP64", "<f8", [1e300, 0.1, 1, 2]),
    ],
)
def test_every_datatype_keeps_its_values(datatype: str, dtype: str, data: list[Any]) -> None:
    assert array_of(request_of(a_body(a_tensor(datatype=datatype, data=data))), dtype) == data


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=40))
def test_single_precision_survives_json(numbers: list[float]) -> None:
    assert array_of(request_of(a_body(a_tensor(shape=[len(numbers)], data=numbers)))) == numbers


@pytest.mark.parametrize("spaces", [(",", ":"), (", ", ": ")])
def test_a_long_list_is_the_same_in_pieces(spaces: tuple[str, str]) -> None:
    numbers = np.random.default_rng(1).standard_normal(100_000).astype(np.float32)
    tensor = a_tensor(shape=[100_000], data=numbers.tolist())
    body = json.dumps({"inputs": [tensor]}, separators=spaces).encode()
    assert len(body) > 4 * 256 * 1024
    assert request_of(body).raw_input_contents[0] == numbers.tobytes()
    spoilt = body.replace(str(numbers.tolist()[70_000]).encode(), b'"x"')
    with pytest.raises(InvalidArgument, match="no FP32"):
        request_of(spoilt)


@pytest.mark.parametrize("odd", [[1, 2, 3], "a,b,c", {"a": 1, "b": 2}], ids=["list", "text", "object"])
def test_what_is_no_number_in_a_long_list_is_refused_wherever_it_is_cut(odd: Any) -> None:
    with pytest.raises(InvalidArgument, match="no FP32"):
        request_of(a_body(a_tensor(shape=[80_000], data=[0.125, *[odd] * 80_000])))


def test_binary_and_json_tensors_mix_in_any_order() -> None:
    first, last = np.arange(4, dtype=np.float32).tobytes(), np.arange(3, dtype=np.int64).tobytes()
    body = a_body(
        {"name": "a", "datatype": "FP32", "shape": [4], "parameters": {"binary_data_size": 16}},
        a_tensor(name="b"),
        {"name": "c", "datatype": "INT64", "shape": [3], "parameters": {"binary_data_size": 24}},
    )
    request = request_of(body, first + last)
    assert list(request.raw_input_contents) == [first, np.arange(1, 5, dtype=np.float32).tobytes(), last]
    assert [tensor.name for tensor in request.inputs] == ["a", "b", "c"]
    assert not any(tensor.parameters for tensor in request.inputs), "the binary extension ends at the gateway"


def test_names_versions_outputs_and_parameters_go_along() -> None:
    request = request_of(
        a_body(
            id="mine",
            outputs=[{"name": "y", "parameters": {"classification": 3, "binary_data": True}}],
            parameters={"flag": True, "count": -1, "ratio": 0.5, "text": "t", "binary_data_output": True},
        )
    )
    assert (request.model_name, request.model_version, request.id) == ("m", "1", "mine")
    assert {
        name: getattr(value, value.WhichOneof("parameter_choice")) for name, value in request.parameters.items()
    } == {
        "flag": True,
        "count": -1,
        "ratio": 0.5,
        "text": "t",
    }
    assert {name: value.int64_param for name, value in request.outputs[0].parameters.items()} == {"classification": 3}


@pytest.mark.parametrize(
    ("tensor", "reason", "says"),
    [
        (a_tensor(data=["1", "2"]), "TENSOR_VALUE", "no FP32"),
        (a_tensor(data=[[1, 2], [3]]), "TENSOR_VALUE", "no FP32"),
        (a_tensor(data=[[1, 2, 3, 4]]), "TENSOR_SHAPE", "[1, 4]"),
        (a_tensor(data=7), "TENSOR_VALUE", "no FP32"),
        (a_tensor(datatype="INT8", data=[300, 0, 0, 0]), "TENSOR_VALUE", "no INT8"),
        (a_tensor(datatype="INT32", data=[1.5, 0, 0, 0]), "TENSOR_VALUE", "no INT32"),
        (a_tensor(datatype="BOOL", data=[2, 0, 0, 0]), "TENSOR_VALUE", "no BOOL"),
        (a_tensor(datatype="BYTES", data=["a"]), "TENSOR_DATATYPE", "'BYTES'"),
        (a_tensor(data=[[[[[[[[[[1]]]]]]]]]]), "TENSOR_VALUE", "no FP32"),
        ({"name": "x", "datatype": "FP32", "shape": [1]}, "INVALID_ARGUMENT", "neither"),
        (a_tensor(parameters={"binary_data_size": 0}), "INVALID_ARGUMENT", "no data in it"),
        (a_tensor(shape=[-1]), "INVALID_ARGUMENT", "shape[0]"),
        (a_tensor(shape="2"), "INVALID_ARGUMENT", "shape"),
        (a_tensor(parameters={"a": {}}), "INVALID_ARGUMENT", "parameters"),
        (a_tensor(parameters={"a": 2**63}), "INVALID_ARGUMENT", "parameters"),
    ],
)
def test_a_tensor_that_is_none_is_refused(tensor: dict[str, Any], reason: str, says: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        request_of(a_body(tensor))
    assert refused.value.reason == reason
    assert says in refused.value.message


@pytest.mark.parametrize(("size", "behind"), [(16, 15), (16, 17), (-1, 16), ("16", 16), (True, 1), (2**40, 16)])
def test_bytes_that_are_not_as_announced_are_refused(size: Any, behind: int) -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": [4], "parameters": {"binary_data_size": size}}
    with pytest.raises(InvalidArgument, match="behind the JSON"):
        request_of(a_body(tensor), bytes(behind))


@pytest.mark.parametrize("length", ["", "0", "-1", "x", "1.5", "9999", "1" * 40, "٣"])
def test_a_length_that_cannot_be_is_refused(length: str) -> None:
    with pytest.raises(Malformed, match="Inference-Header-Content-Length"):
        parsed(a_body(), length)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"inputs": [}'])
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises((Malformed, InvalidArgument)):
        parsed(body, None)


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_bodies_come_back_whole(encoding: str, compress: Any) -> None:
    assert inflated(compress(b"body" * 1000), encoding.upper(), 4000) == b"body" * 1000
    assert inflated(deflated(b"body" * 1000, encoding), encoding, 4000) == b"body" * 1000
    with pytest.raises(OverflowError):
        inflated(compress(bytes(4001)), encoding, 4000)
    for spoilt in (compress(b"body")[:-1], compress(b"body") + b"more", b"body", b""):
        with pytest.raises(Malformed):
            inflated(spoilt, encoding, 4000)


def test_another_encoding_is_refused() -> None:
    with pytest.raises(Malformed, match="'br'"):
        inflated(b"", "br", 10)


def an_answer() -> pb.ModelInferResponse:
    kind = pb.ModelInferResponse.InferOutputTensor
    outputs = [kind(name="a", datatype="FP32", shape=[2, 1]), kind(name="b", datatype="FP64", shape=[1])]
    raw = [np.array([0.5, 1.5], np.float32).tobytes(), np.array([0.25]).tobytes()]
    return pb.ModelInferResponse(model_name="m", model_version="2", id="mine", outputs=outputs, raw_output_contents=raw)


def test_an_answer_is_json_unless_bytes_were_asked_for() -> None:
    body, _ = parsed(a_body(), None)
    content, length = infer_reply(body, an_answer())
    assert length is None
    assert json.loads(content) == {
        "model_name": "m",
        "model_version": "2",
        "id": "mine",
        "outputs": [
            {"name": "a", "datatype": "FP32", "shape": [2, 1], "data": [0.5, 1.5]},
            {"name": "b", "datatype": "FP64", "shape": [1], "data": [0.25]},
        ],
    }


@pytest.mark.parametrize(
    ("fields", "binary"),
    [
        ({"parameters": {"binary_data_output": True}}, ["a", "b"]),
        ({"outputs": [{"name": "a", "parameters": {"binary_data": True}}]}, ["a"]),
        (
            {
                "parameters": {"binary_data_output": True},
                "outputs": [{"name": "a", "parameters": {"binary_data": False}}, {"name": "b"}],
            },
            ["b"],
        ),
    ],
)
def test_outputs_asked_for_as_bytes_follow_the_json(fields: dict[str, Any], binary: list[str]) -> None:
    body, _ = parsed(a_body(**fields), None)
    answer = an_answer()
    content, length = infer_reply(body, answer)
    assert length is not None
    outputs = json.loads(content[:length])["outputs"]
    assert [out["name"] for out in outputs if "data" not in out] == binary
    sizes = [out["parameters"]["binary_data_size"] for out in outputs if "parameters" in out]
    raw = dict(zip(("a", "b"), answer.raw_output_contents, strict=True))
    assert content[length:] == b"".join(raw[name] for name in binary)
    assert sizes == [len(raw[name]) for name in binary]
