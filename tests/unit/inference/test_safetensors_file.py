"""Files are written whole, read as they were written, and refused by name when anything is odd."""

from pathlib import Path

import numpy as np
import pytest
from builders.hostile_safetensors import HOSTILE_SAFETENSORS
from builders.model_files import (
    ARCHITECTURES,
    a_model_file,
    a_spec,
    some_inputs,
    some_weights,
)

from services.inference.adapters.safetensors_file import FileLimits, array_of, mapped, read_model, write_model
from services.inference.domain.errors import ModelRefused, Refusal
from services.inference.domain.model_spec import Golden

LIMITS = FileLimits(file_bytes=1_000_000, header_bytes=100_000, tensor_bytes=500_000, tensors=50)


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("half", [False, True], ids=["float32", "float16"])
def test_what_was_written_is_read(tmp_path: Path, kind: str, half: bool) -> None:
    spec = a_spec(kind)
    weights = {name: array.astype(np.float16) if half else array for name, array in some_weights(spec).items()}
    golden = Golden(some_inputs(spec, 7), np.arange(7, dtype=np.float32))
    path = tmp_path / "model.safetensors"
    sha256 = write_model(path, spec, weights, golden)
    found = read_model(path, LIMITS)
    assert (found.spec, found.sha256, found.half) == (spec, sha256, half)
    assert found.golden is not None
    assert found.golden.inputs.tobytes() == golden.inputs.tobytes()
    assert found.golden.logits.tobytes() == golden.logits.tobytes()
    content = mapped(path, LIMITS.file_bytes)
    assert {name: array_of(content, tensor).tobytes() for name, tensor in found.tensors.items()} == {
        name: array.tobytes() for name, array in weights.items()
    }


def test_weights_begin_at_a_multiple_of_64_bytes(tmp_path: Path) -> None:
    a_model_file(tmp_path / "m")
    assert min(tensor.offset for tensor in read_model(tmp_path / "m", LIMITS).tensors.values()) % 64 == 0


def test_an_equal_model_has_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        a_model_file(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_replaced_file_stays_what_it_was_for_whoever_has_it(tmp_path: Path) -> None:
    path = tmp_path / "m"
    a_model_file(path)
    before = mapped(path, LIMITS.file_bytes)
    was = bytes(before)
    a_model_file(path, "gru")
    assert bytes(before) == was
    assert path.read_bytes() != was


def test_what_would_be_refused_is_not_written(tmp_path: Path) -> None:
    spec = a_spec()
    a_model_file(tmp_path / "m")
    was = (tmp_path / "m").read_bytes()
    with pytest.raises(ModelRefused) as refused:
        write_model(tmp_path / "m", spec, some_weights(spec) | {"layers.0.bias": np.full(16, np.nan, np.float32)})
    assert refused.value.why is Refusal.NOT_FINITE
    assert (tmp_path / "m").read_bytes() == was
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_integers_are_no_weights(tmp_path: Path) -> None:
    spec = a_spec()
    with pytest.raises(ModelRefused) as refused:
        write_model(tmp_path / "m", spec, {name: array.astype(int) for name, array in some_weights(spec).items()})
    assert refused.value.why is Refusal.DTYPE


@pytest.mark.parametrize("name", HOSTILE_SAFETENSORS)
def test_a_hostile_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    write, why = HOSTILE_SAFETENSORS[name]
    path = tmp_path / "model.safetensors"
    write(path)
    with pytest.raises(ModelRefused) as refused:
        read_model(path, LIMITS)
    assert (refused.value.why, refused.value.reason) == (why, why.value)
    assert len(refused.value.message) < 1_000
