"""Every model case of the `onnx` package whose operators are on the list says what its authors say it says.

Files older than operator set 7 are brought up by the package's version converter, as a user would.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, version_converter

from services.inference.adapters.onnx_graph import check_graph
from services.inference.adapters.onnx_session import OnnxModel, SessionRules
from services.inference.domain.errors import ModelRefused, Refusal
from services.inference.domain.registry_status import unknown_card

DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"
OLDEST_SERVED = 7


def _cases() -> list[Path]:
    found = []
    for path in sorted(DATA.glob("*/*/model.onnx")):
        try:
            check_graph(path.read_bytes())
        except ModelRefused:
            continue
        if any(path.parent.glob("test_data_set_*")):
            found.append(path)
    return found


CASES = _cases()


def test_there_are_many_cases_and_some_are_refused_by_name() -> None:
    assert len(CASES) > 90
    refused = {}
    for path in DATA.glob("*/*/model.onnx"):
        try:
            check_graph(path.read_bytes())
        except ModelRefused as refusal:
            refused[path.parent.name] = refusal
    assert {refusal.why for refusal in refused.values()} == {Refusal.OPERATOR}
    assert any("SequenceConstruct" in refusal.message for refusal in refused.values())


def _served(path: Path) -> bytes:
    model = onnx.load(path)
    version = max(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
    if version >= OLDEST_SERVED:
        return path.read_bytes()
    converted = version_converter.convert_version(model, 8)
    _reshape_slopes(converted)
    return bytes(converted.SerializeToString())


def _reshape_slopes(model: onnx.ModelProto) -> None:
    """The converter leaves a PRelu's slope (C), which now has to be (C, 1, …) to lie along the channels."""
    dims = len(model.graph.input[0].type.tensor_type.shape.dim)
    slopes = {node.input[1] for node in model.graph.node if node.op_type == "PRelu"}
    for tensor in model.graph.initializer:
        if tensor.name in slopes and len(tensor.dims) == 1:
            tensor.dims.extend([1] * (dims - 2))
    for given in list(model.graph.input):  # an old file lists its weights among its inputs, with the shape they had
        if given.name in slopes:
            model.graph.input.remove(given)


def _tensors(directory: Path, kind: str) -> list[np.ndarray[Any, Any]]:
    paths = sorted(directory.glob(f"{kind}_*.pb"), key=lambda path: int(path.stem.rpartition("_")[2]))
    return [numpy_helper.to_array(onnx.load_tensor(str(path))) for path in paths]


def _named(model: OnnxModel, arrays: Sequence[np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    return {spec.name: array for spec, array in zip(model.inputs, arrays, strict=False)}


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.parent.name)
async def test_a_case_says_what_it_should(path: Path) -> None:
    payload = _served(path)
    check_graph(payload)
    model = OnnxModel(unknown_card(path.parent.name.lower(), "1"), payload, SessionRules(deadline_s=60))
    try:
        for data in path.parent.glob("test_data_set_*"):
            expected = _tensors(data, "output")
            found = await model.infer(_named(model, _tensors(data, "input")))
            for spec, array in zip(model.outputs, expected, strict=True):
                np.testing.assert_allclose(found[spec.name], array, rtol=1e-3, atol=1e-5)
    finally:
        model.close()
