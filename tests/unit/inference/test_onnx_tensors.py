"""Models of any tensors: asked by name, within their memory and their time."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from builders.hostile_onnx import a_model, node, tensor
from onnx import TensorProto, helper

from services.inference.adapters.onnx_runtime import bound_memory
from services.inference.adapters.onnx_session import OnnxModel, SessionRules
from services.inference.domain.registry_status import unknown_card
from trading.errors import DeadlineExceeded, InvalidArgument, ResourceExhausted

_MB = 1024 * 1024
info = helper.make_tensor_value_info


def a_tensor_model(nodes: list[Any], inputs: list[Any], outputs: list[Any], *more: Any, **rules: Any) -> OnnxModel:
    payload = a_model(nodes, more, inputs=inputs, outputs=outputs, spec={}).SerializeToString()
    return OnnxModel(unknown_card("tensors", "1"), payload, SessionRules(**rules))


@pytest.fixture
def adding() -> Iterator[OnnxModel]:
    """Two inputs, two outputs."""
    pair = [info(name, TensorProto.FLOAT, ["n", 3]) for name in "ab"]
    out = [info("sum", TensorProto.FLOAT, ["n", 3]), info("product", TensorProto.FLOAT, ["n", 3])]
    model = a_tensor_model([node("Add", ["a", "b"], ["sum"]), node("Mul", ["a", "b"], ["product"])], pair, out)
    yield model
    model.close()


async def test_outputs_come_by_name(adding: OnnxModel) -> None:
    given = {"a": np.full((2, 3), 2, np.float32), "b": np.full((2, 3), 5, np.float32)}
    both = await adding.infer(given)
    assert {name: array.tolist() for name, array in both.items()} == {
        "sum": [[7.0] * 3] * 2,
        "product": [[10.0] * 3] * 2,
    }
    assert list(await adding.infer(given, ["product"])) == ["product"]
    assert [(spec.name, spec.dtype, spec.shape) for spec in adding.inputs] == [
        ("a", "float32", (-1, 3)),
        ("b", "float32", (-1, 3)),
    ]


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ({"a": np.zeros((1, 3), np.float32)}, []),
        ({"a": np.zeros((1, 3), np.float32), "c": np.zeros((1, 3), np.float32)}, []),
        ({"a": np.zeros((1, 4), np.float32), "b": np.zeros((1, 3), np.float32)}, []),
        ({"a": np.zeros(3, np.float32), "b": np.zeros((1, 3), np.float32)}, []),
        ({"a": np.zeros((1, 3)), "b": np.zeros((1, 3), np.float32)}, []),
        ({"a": np.zeros((1, 3), np.float32), "b": np.zeros((1, 3), np.float32)}, ["difference"]),
    ],
    ids=["missing", "strange", "width", "dimensions", "kind", "output"],
)
async def test_what_does_not_fit_is_refused(adding: OnnxModel, inputs: Any, outputs: Any) -> None:
    with pytest.raises(InvalidArgument):
        await adding.infer(inputs, outputs)


async def test_what_the_runtime_cannot_add_is_refused(adding: OnnxModel) -> None:
    with pytest.raises(InvalidArgument, match="refuses the input") as refused:
        await adding.infer({"a": np.zeros((2, 3), np.float32), "b": np.zeros((5, 3), np.float32)})
    assert refused.value.reason == "MODEL_INPUT"


async def test_it_is_asked_in_tensors_alone(adding: OnnxModel) -> None:
    with pytest.raises(InvalidArgument, match="Open Inference Protocol"):
        await adding.logits(np.zeros((1, 3), np.float32))


async def test_sizes_that_a_caller_chooses_are_bounded_and_the_next_one_is_served() -> None:
    bound_memory(64 * _MB)
    inputs = [info("x", TensorProto.FLOAT, ["n", 1]), info("sizes", TensorProto.INT64, [2])]
    model = a_tensor_model([node("Expand", ["x", "sizes"], ["y"])], inputs, [info("y", TensorProto.FLOAT, ["a", "b"])])
    one = np.ones((1, 1), np.float32)
    with pytest.raises(ResourceExhausted, match="more memory") as refused:
        await model.infer({"x": one, "sizes": np.array([1, 10**9])})
    assert refused.value.reason == "MODEL_MEMORY"
    assert (await model.infer({"x": one, "sizes": np.array([1, 3])}))["y"].tolist() == [[1.0, 1.0, 1.0]]
    model.close()


def a_slow_model(**rules: Any) -> OnnxModel:
    """A thousand products of 700×700 numbers."""
    nodes = [node("MatMul", ["x" if not at else f"x{at}", "w"], [f"x{at + 1}"]) for at in range(1_000)]
    inputs, outputs = [info("x", TensorProto.FLOAT, ["n", 700])], [info("x1000", TensorProto.FLOAT, ["n", 700])]
    return a_tensor_model(nodes, inputs, outputs, tensor("w", np.zeros((700, 700))), **rules)


async def test_a_run_is_stopped_at_its_deadline() -> None:
    model = a_slow_model(deadline_s=0.05)
    with pytest.raises(DeadlineExceeded, match="stopped"):
        await model.infer({"x": np.zeros((700, 700), np.float32)})
    model.close()


async def test_who_goes_away_stops_the_run() -> None:
    """Unstopped it would compute for minutes, and closing the model waits for it."""
    model, worked_s = a_slow_model(deadline_s=600.0), time.process_time()
    asked = asyncio.create_task(model.infer({"x": np.zeros((7_000, 700), np.float32)}))
    while time.process_time() - worked_s < 0.1:  # noqa: ASYNC110 - that it computes has no event
        await asyncio.sleep(0.01)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    async with asyncio.timeout(60):
        await asyncio.to_thread(model.close)
