"""ONNX files that a service must refuse, each with the reason that it must give."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime.datasets
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from services.inference.adapters.safetensors_file import METADATA_KEY
from services.inference.domain.errors import Refusal
from services.inference.domain.features import FEATURES

WIDTH = len(FEATURES)
FEATURE_SPEC: dict[str, Any] = {"features": FEATURES, "horizon_ns": 500_000_000}
"""Metadata that makes a file one of features: it is run on rows of them."""
node = helper.make_node
tensor_info = helper.make_tensor_value_info


def a_model(
    nodes: Sequence[NodeProto],
    tensors: Sequence[TensorProto] = (),
    *,
    inputs: Any = None,
    outputs: Any = None,
    spec: Any = None,
    opset: int = 17,
) -> ModelProto:
    """A graph from `features` (n, F) to `logit` (n, 1)."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        inputs or [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", WIDTH])],
        outputs or [helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["n", 1])],
        list(tensors),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    told = FEATURE_SPEC if spec is None else spec
    helper.set_model_props(model, {METADATA_KEY: told if isinstance(told, str) else json.dumps(told)})
    return model


def tensor(name: str, values: Any, kind: Any = np.float32) -> TensorProto:
    """A constant."""
    return numpy_helper.from_array(np.asarray(values, kind), name)


def a_sound_model(says: float = 0.5, **options: Any) -> ModelProto:
    """A model that says the same of everything."""
    weights = tensor("w", np.zeros((WIDTH, 1))), tensor("b", [says])
    return a_model([node("Gemm", ["features", "w", "b"], ["logit"])], weights, **options)


def _loop() -> ModelProto:
    body = helper.make_graph(
        [node("Identity", ["go_on"], ["still"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("still", TensorProto.BOOL, [])],
    )
    for_ever = tensor("times", 2**62, np.int64), tensor("yes", True, np.bool_)
    return a_model([node("Loop", ["times", "yes"], [], body=body), *a_sound_model().graph.node], for_ever)


def _external(where: str) -> ModelProto:
    model = a_sound_model()
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", where
    return model


def _external_constant() -> ModelProto:
    hidden = tensor("hidden", np.zeros((WIDTH, 1)))
    hidden.data_location = TensorProto.EXTERNAL
    return a_model([node("Constant", [], ["w"], value=hidden), node("MatMul", ["features", "w"], ["logit"])])


def _functions() -> ModelProto:
    model = a_sound_model()
    model.functions.append(helper.make_function("own", "f", [], [], [], [helper.make_opsetid("", 17)]))
    return model


def _doubling(times: int) -> ModelProto:
    names = ["features", *(f"x{number}" for number in range(times))]
    nodes = [node("Concat", [names[at], names[at]], [names[at + 1]], axis=1) for at in range(times)]
    return a_model([*nodes, node("ReduceMean", [names[-1]], ["logit"], axes=[1], keepdims=1)])


def _made_big(operator: str, sizes: Sequence[int]) -> ModelProto:
    nodes = [
        node("ReduceMean", ["features"], ["mean"], axes=[1], keepdims=1),
        node(operator, ["mean", "sizes"], ["big"]),
        node("ReduceMean", ["big"], ["logit"], axes=[1], keepdims=1),
    ]
    return a_model(nodes, [tensor("sizes", sizes, np.int64)])


def _slow() -> ModelProto:
    """Products of 1024×1024 numbers that nothing can be folded of, a thousand of them."""
    nodes = [
        node("ReduceMean", ["features"], ["mean"], axes=[0, 1], keepdims=1),
        node("Expand", ["mean", "sizes"], ["x0"]),
    ]
    nodes += [node("MatMul", [f"x{at}", f"x{at}"], [f"x{at + 1}"]) for at in range(1_000)]
    nodes += [
        node("ReduceMean", ["x1000"], ["one"], axes=[0, 1], keepdims=1),
        node("Mul", ["zero", "one"], ["nothing"]),
    ]
    nodes += [node("Gemm", ["features", "w"], ["said"]), node("Add", ["said", "nothing"], ["logit"])]
    tensors = [tensor("sizes", [1024, 1024], np.int64), tensor("zero", 0.0), tensor("w", np.zeros((WIDTH, 1)))]
    return a_model(nodes, tensors)


def _divided_by_zero() -> ModelProto:
    nodes = [
        node("ReduceMean", ["features"], ["mean"], axes=[1], keepdims=1),
        node("Cast", ["mean"], ["whole"], to=TensorProto.INT32),
        node("Div", ["one", "whole"], ["broken"]),
        node("Cast", ["broken"], ["logit"], to=TensorProto.FLOAT),
    ]
    return a_model(nodes, [tensor("one", 1, np.int32)])


def _with(value: float) -> ModelProto:
    model = a_sound_model()
    model.graph.initializer[0].CopyFrom(tensor("w", np.full((WIDTH, 1), value)))
    return model


def _written_out(value: float) -> ModelProto:
    """A weight in the other way of writing numbers."""
    model = a_sound_model()
    model.graph.initializer[0].CopyFrom(helper.make_tensor("w", TensorProto.FLOAT, [WIDTH, 1], [value] * WIDTH))
    return model


def _makes_nan() -> ModelProto:
    nodes = [
        node("ReduceSum", ["features", "axes"], ["sum"], keepdims=1),
        node("Div", ["sum", "sum"], ["logit"]),
    ]
    return a_model(nodes, [tensor("axes", [1], np.int64)])


def _ends(**ends: Any) -> ModelProto:
    return a_sound_model(**ends)


def _info(name: str, kind: int, shape: Sequence[Any]) -> list[Any]:
    return [helper.make_tensor_value_info(name, kind, shape)]


def _gather_beyond() -> ModelProto:
    nodes = [node("Gather", ["features", "far"], ["column"], axis=1), node("Identity", ["column"], ["logit"])]
    return a_model(nodes, [tensor("far", [10_000], np.int64)])


def _shape_that_lies() -> ModelProto:
    model = a_sound_model()
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend([2**31, 2**31])
    return model


def _deep() -> ModelProto:
    graph = a_sound_model().graph
    for _ in range(12):
        graph = helper.make_graph([node("If", ["c"], ["y"], then_branch=graph, else_branch=graph)], "g", [], [])
    return helper.make_model(graph)


def _sequence_in() -> ModelProto:
    given = helper.make_tensor_sequence_value_info("features", TensorProto.FLOAT, None)
    told = helper.make_tensor_sequence_value_info("logit", TensorProto.FLOAT, None)
    return a_model([node("Identity", ["features"], ["logit"])], inputs=[given], outputs=[told], spec={})


def _text_out() -> ModelProto:
    told = _info("logit", TensorProto.STRING, ["n", WIDTH])
    return a_model([node("Cast", ["features"], ["logit"], to=TensorProto.STRING)], outputs=told, spec={})


def _one(operator: str, domain: str = "") -> ModelProto:
    return a_model([node(operator, ["features"], ["x"], domain=domain), *a_sound_model().graph.node])


def _iris() -> bytes:
    return Path(onnxruntime.datasets.get_example("logreg_iris.onnx")).read_bytes()


def _endless_varint() -> bytes:
    return b"\x3a" + b"\xff" * 60


def _half() -> bytes:
    whole = a_sound_model().SerializeToString()
    return bytes(whole[: len(whole) // 2])


HOSTILE_ONNX: dict[str, tuple[Callable[[], ModelProto | bytes], Refusal]] = {
    "a loop without end": (_loop, Refusal.OPERATOR),
    "a scan": (lambda: _one("Scan"), Refusal.OPERATOR),
    "random numbers": (lambda: _one("RandomNormalLike"), Refusal.OPERATOR),
    "a shape from a value": (lambda: _one("ConstantOfShape"), Refusal.OPERATOR),
    "an operator of another domain": (lambda: _one("Relu", "com.example"), Refusal.OPERATOR),
    "a classifier that answers maps": (_iris, Refusal.OPERATOR),
    "branches in branches": (_deep, Refusal.UNREADABLE),
    "weights in another file": (lambda: _external("weights.bin"), Refusal.EXTERNAL_DATA),
    "weights outside of the registry": (lambda: _external("../../../../etc/passwd"), Refusal.EXTERNAL_DATA),
    "a constant in another file": (_external_constant, Refusal.EXTERNAL_DATA),
    "functions of its own": (_functions, Refusal.FUNCTIONS),
    "NaN": (lambda: _with(float("nan")), Refusal.NOT_FINITE),
    "infinity": (lambda: _with(float("inf")), Refusal.NOT_FINITE),
    "NaN written out": (lambda: _written_out(float("nan")), Refusal.NOT_FINITE),
    "NaN that is made on the way": (_makes_nan, Refusal.NOT_FINITE),
    "forty doublings": (lambda: _doubling(40), Refusal.MEMORY),
    "an expansion to 10¹²": (lambda: _made_big("Expand", [1, 10**12]), Refusal.MEMORY),
    "a tiling to 10¹²": (lambda: _made_big("Tile", [1, 10**12]), Refusal.MEMORY),
    "a padding to 10¹²": (lambda: _made_big("Pad", [0, 0, 0, 10**12]), Refusal.MEMORY),
    "a thousand large products": (_slow, Refusal.TIME),
    "a division of whole numbers by zero": (_divided_by_zero, Refusal.RUNTIME),
    "an index beyond the end": (_gather_beyond, Refusal.RUNTIME),
    "a shape that lies": (_shape_that_lies, Refusal.RUNTIME),
    "operators of the future": (lambda: a_sound_model(opset=999), Refusal.RUNTIME),
    "rows of another number": (
        lambda: _ends(inputs=_info("features", TensorProto.FLOAT, [1, WIDTH])),
        Refusal.SHAPE,
    ),
    "double precision": (
        lambda: a_model(
            [node("MatMul", ["features", "w"], ["logit"])],
            [tensor("w", np.zeros((WIDTH, 1)), np.float64)],
            inputs=_info("features", TensorProto.DOUBLE, ["n", WIDTH]),
            outputs=_info("logit", TensorProto.DOUBLE, ["n", 1]),
        ),
        Refusal.SHAPE,
    ),
    "two outputs a row": (
        lambda: a_model(
            [node("MatMul", ["features", "w"], ["logit"])],
            [tensor("w", np.zeros((WIDTH, 2)))],
            outputs=_info("logit", TensorProto.FLOAT, ["n", 2]),
        ),
        Refusal.SHAPE,
    ),
    "a sequence": (_sequence_in, Refusal.SHAPE),
    "text": (_text_out, Refusal.SHAPE),
    "features that nobody computes": (
        lambda: a_sound_model(spec=FEATURE_SPEC | {"features": ["tomorrows_price"]}),
        Refusal.FEATURES,
    ),
    "a feature twice": (
        lambda: a_sound_model(spec=FEATURE_SPEC | {"features": ["spread", "spread"]}),
        Refusal.FEATURES,
    ),
    "no horizon": (lambda: a_sound_model(spec={"features": FEATURES}), Refusal.MANIFEST),
    "a key of its metadata twice": (lambda: a_sound_model(spec='{"window": 1, "window": 2}'), Refusal.DUPLICATE_KEY),
    "an unknown key in its metadata": (lambda: a_sound_model(spec={"pickle": "x"}), Refusal.MANIFEST),
    "metadata that is no JSON": (lambda: a_sound_model(spec="{"), Refusal.UNREADABLE),
    "half a file": (_half, Refusal.UNREADABLE),
    "noise": (lambda: np.random.default_rng(1).bytes(5_000), Refusal.UNREADABLE),
    "a number without end": (_endless_varint, Refusal.UNREADABLE),
    "no graph": (lambda: b"\x08\x08", Refusal.UNREADABLE),
}


def hostile_bytes(name: str) -> bytes:
    """The file of a case."""
    made = HOSTILE_ONNX[name][0]()
    return made if isinstance(made, bytes) else bytes(made.SerializeToString())
