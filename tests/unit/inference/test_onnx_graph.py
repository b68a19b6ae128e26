"""What is read from a model file before a runtime touches it."""

import numpy as np
import onnx
import pytest
from builders.inference import a_network
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from services.inference.adapters.onnx_graph import contents
from services.inference.domain.errors import ModelRefused
from services.inference.starter.graph import onnx_bytes


def a_model(nodes: list[onnx.NodeProto], **parts: list[onnx.TensorProto]) -> onnx.ModelProto:
    return helper.make_model(helper.make_graph(nodes, "graph", [], [], **parts))


def an_external_tensor() -> onnx.TensorProto:
    tensor = numpy_helper.from_array(np.ones(3, np.float32), "weights")
    onnx.external_data_helper.set_external_data(tensor, "elsewhere.bin")
    return tensor


def test_the_operators_of_a_network_are_found() -> None:
    found = contents(onnx_bytes(a_network(), "test"))
    assert found.operators == {"Max", "Min", "Gemm", "Relu"}
    assert not found.has_external_data
    assert not found.has_functions


def test_operators_in_subgraphs_are_found() -> None:
    inner = helper.make_graph(
        [helper.make_node("Loop", [], [], body=helper.make_graph([], "body", [], []))], "i", [], []
    )
    model = a_model([helper.make_node("If", ["c"], [], then_branch=inner, else_branch=inner)])
    assert contents(model.SerializeToString()).operators == {"If", "Loop"}


def test_an_operator_of_another_domain_carries_its_domain() -> None:
    model = a_model([helper.make_node("Relu", [], [], domain="com.microsoft"), helper.make_node("Relu", [], [])])
    assert contents(model.SerializeToString()).operators == {"com.microsoft.Relu", "Relu"}


def test_weights_in_another_file_are_seen() -> None:
    assert contents(a_model([], initializer=[an_external_tensor()]).SerializeToString()).has_external_data
    constant = helper.make_node("Constant", [], ["c"], value=an_external_tensor())
    assert contents(a_model([constant]).SerializeToString()).has_external_data


def test_functions_of_the_model_are_seen() -> None:
    model = a_model([])
    model.functions.append(helper.make_function("own", "f", [], [], [], [helper.make_opsetid("", 17)]))
    assert contents(model.SerializeToString()).has_functions


def test_a_graph_nested_too_deep_is_refused() -> None:
    graph = helper.make_graph([], "leaf", [], [])
    for level in range(12):
        graph = helper.make_graph([helper.make_node("If", ["c"], [], then_branch=graph)], f"g{level}", [], [])
    with pytest.raises(ModelRefused):
        contents(helper.make_model(graph).SerializeToString())


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"not a model", id="text"),
        pytest.param(b"\x3a\xff\xff\xff\x0f", id="truncated"),
        pytest.param(b"\x38\x01", id="a number where the graph should be"),
        pytest.param(b"\x3a\x0b" + b"\x80" * 11, id="an endless number"),
        pytest.param(b"\x3b", id="an unknown wire type"),
    ],
)
def test_what_is_no_model_is_refused(payload: bytes) -> None:
    with pytest.raises(ModelRefused, match="no ONNX model"):
        contents(payload)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    try:
        found = contents(payload)
    except ModelRefused:
        return
    assert isinstance(found.operators, frozenset)


@given(st.data())
def test_a_cut_or_changed_model_is_read_or_refused(data: st.DataObject) -> None:
    payload = bytearray(onnx_bytes(a_network(), "test"))
    position = data.draw(st.integers(0, len(payload) - 1))
    payload[position] = data.draw(st.integers(0, 255))
    try:
        found = contents(bytes(payload[: data.draw(st.integers(1, len(payload)))]))
    except ModelRefused:
        return
    assert isinstance(found.operators, frozenset)


def test_fixed_width_fields_are_skipped() -> None:
    node = helper.make_node("Clip", [], [], alpha=0.5)
    model = a_model([node], initializer=[helper.make_tensor("d", TensorProto.DOUBLE, [1], [1.0])])
    assert contents(model.SerializeToString() + b"\xf9\x01" + b"\0" * 8).operators == {"Clip"}
