"""What we write, the `onnx` package reads."""

import numpy as np
import onnx
import pytest
from builders.model_files import ARCHITECTURES, a_model_file
from onnx import TensorProto, numpy_helper

from services.inference.adapters.onnx_encoder import FLOAT16, IR_VERSION, OPSET, GraphWriter
from services.inference.adapters.onnx_networks import network
from services.inference.adapters.onnx_weights import Stored
from services.inference.adapters.safetensors_file import FileLimits, mapped, read_model


def test_a_graph_is_read_as_it_was_written() -> None:
    graph = GraphWriter("test")
    x = graph.input("x", ["n", 4], FLOAT16)
    whole = graph.constant("whole", np.array([[-1, 2**40]], np.int64))
    named = graph.node(
        "LSTM", [x, "", whole], outputs=["", "last"], hidden_size=7, alpha=0.5, mode="wrap", pads=[300, -1]
    )
    graph.node("Identity", [named])
    graph.external("weight", np.dtype(np.float32), (3, 4), "m.safetensors", 640, 48)
    graph.output("last", ["n", 1])
    graph.output("t1")
    model = onnx.load_from_string(graph.model())
    assert (model.ir_version, model.opset_import[0].domain, model.opset_import[0].version) == (IR_VERSION, "", OPSET)
    first, second = model.graph.node
    assert (first.op_type, list(first.input), list(first.output)) == ("LSTM", ["x", "", "whole"], ["", "last"])
    assert (second.op_type, list(second.input), list(second.output)) == ("Identity", ["last"], ["t1"])
    told = {each.name: onnx.helper.get_attribute_value(each) for each in first.attribute}
    assert told == {"hidden_size": 7, "alpha": 0.5, "mode": b"wrap", "pads": [300, -1]}
    constant, external = model.graph.initializer
    assert numpy_helper.to_array(constant).tolist() == [[-1, 2**40]]
    assert (external.name, list(external.dims), external.data_type) == ("weight", [3, 4], TensorProto.FLOAT)
    assert external.data_location == TensorProto.EXTERNAL
    assert {entry.key: entry.value for entry in external.external_data} == {
        "location": "m.safetensors",
        "offset": "640",
        "length": "48",
    }
    (given,) = model.graph.input
    assert (given.name, given.type.tensor_type.elem_type) == ("x", TensorProto.FLOAT16)
    assert [size.dim_param or size.dim_value for size in given.type.tensor_type.shape.dim] == ["n", 4]
    assert [each.name for each in model.graph.output] == ["last", "t1"]


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.uint8, np.int8, np.int32, np.int64])
def test_a_scalar_of_any_kind_stays_a_scalar(dtype: type[np.generic]) -> None:
    graph = GraphWriter("test")
    graph.constant("c", np.array(3, dtype))
    found = numpy_helper.to_array(onnx.load_from_string(graph.model()).graph.initializer[0])
    assert (found.shape, found.dtype, found.item()) == ((), np.dtype(dtype), 3)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_every_network_is_valid_onnx(tmp_path, kind: str) -> None:
    path = tmp_path / "m.safetensors"
    a_model_file(path, kind)
    file = read_model(path, FileLimits())
    graph = tmp_path / "graph.onnx"
    graph.write_bytes(network(file.spec, Stored(file, mapped(path, 1 << 20), path.name)))
    onnx.checker.check_model(str(graph), full_check=True)
