"""Our model files: safetensors whose metadata says what the network is. Written whole, read with distrust.

The layout is 8 bytes of little-endian header length, a JSON header, then the tensors without holes. The metadata has
one key, `neural_trader`: a ModelSpec as JSON. `golden.inputs` and `golden.logits` may stand beside the weights.
Nothing is executed and no weight is copied: a reader gets offsets, and views of the mapped file.
"""

import hashlib
import json
import math
import mmap
import os
import re
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from services.inference.domain import architectures
from services.inference.domain.errors import ModelRefused, Refusal
from services.inference.domain.model_spec import MOST_GOLDEN_SAMPLES, Golden, ModelSpec, faults

METADATA_KEY = "neural_trader"
GOLDEN_INPUTS, GOLDEN_LOGITS = "golden.inputs", "golden.logits"
_ALIGNMENT = 64
_LENGTH_BYTES = 8
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.]{0,127}")
_DTYPES: dict[str, type[np.floating[Any]]] = {"F32": np.float32, "F16": np.float16}
_CHECKED_AT_ONCE = 1 << 20
_MOST_DIMENSIONS = 4

Weights = Mapping[str, npt.NDArray[np.floating[Any]]]


@dataclass(frozen=True, slots=True)
class FileLimits:
    """The most that a safetensors file may have; bytes."""

    file_bytes: int = 256 * 1024 * 1024
    header_bytes: int = 1024 * 1024
    tensor_bytes: int = 128 * 1024 * 1024
    tensors: int = 512


class Tensor(NamedTuple):
    """Where a tensor lies: its NumPy kind, shape, and bytes from the start of the file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int
    length: int


class SafetensorsFile(NamedTuple):
    """A file that was found sound; `tensors` are the weights alone."""

    spec: ModelSpec
    tensors: dict[str, Tensor]
    golden: Golden | None
    sha256: str

    @property
    def half(self) -> bool:
        """The weights are stored in float16."""
        return all(tensor.dtype == np.float16 for tensor in self.tensors.values())


def write_model(path: Path, spec: ModelSpec, tensors: Weights, golden: Golden | None = None) -> str:
    """Write a model file whole or not at all; gives its SHA-256.

    `tensors` are exactly those of `architectures.tensors`, float32 or all float16. Raises ModelRefused for whatever
    a reader would refuse. An existing file is replaced by rename, so that whoever has it mapped keeps the old one.
    """
    arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    if golden is not None:
        arrays[GOLDEN_INPUTS] = np.ascontiguousarray(golden.inputs, np.float32)
        arrays[GOLDEN_LOGITS] = np.ascontiguousarray(golden.logits, np.float32)
    header = _header(spec, arrays)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        written = Path(file.name)
        try:
            file.write(len(header).to_bytes(_LENGTH_BYTES, "little") + header)
            for array in arrays.values():
                file.write(array.data)
            file.flush()
            os.fsync(file.fileno())
            sha256 = read_model(written, FileLimits()).sha256
            written.chmod(0o644)
            written.replace(path)
        except BaseException:  # whatever went wrong, half a file is left for nobody
            written.unlink(missing_ok=True)
            raise
    return sha256


def _header(spec: ModelSpec, arrays: Weights) -> bytes:
    entries: dict[str, Any] = {"__metadata__": {METADATA_KEY: msgspec.json.encode(spec).decode()}}
    names = {np.dtype(kind): name for name, kind in _DTYPES.items()}
    position = 0
    for name, array in arrays.items():
        if array.dtype not in names:
            raise ModelRefused(
                Refusal.DTYPE, f"Expected float32 or float16 in {name!r}, was {array.dtype}.", tensor=name
            )
        offsets = [position, position + array.nbytes]
        entries[name] = {"dtype": names[array.dtype], "shape": array.shape, "data_offsets": offsets}
        position += array.nbytes
    header = msgspec.json.encode(entries)
    return header + b" " * (-(len(header) + _LENGTH_BYTES) % _ALIGNMENT)


def read_model(path: Path, limits: FileLimits) -> SafetensorsFile:
    """Check everything about a file; raises ModelRefused with the first thing that is wrong."""
    content = mapped(path, limits.file_bytes)
    tensors, metadata = _entries(content, limits)
    spec = _spec(metadata)
    golden_entries = {name: tensors.pop(name) for name in (GOLDEN_INPUTS, GOLDEN_LOGITS) if name in tensors}
    _check_set(spec, tensors)
    for name, tensor in (tensors | golden_entries).items():
        _check_finite(name, array_of(content, tensor))
    golden = _golden(spec, golden_entries, content)
    return SafetensorsFile(spec, tensors, golden, hashlib.sha256(content).hexdigest())


def mapped(path: Path, most_bytes: int) -> memoryview:
    """The bytes of a regular file, mapped for reading, never through a link; unmapped when nobody refers to them."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        why = Refusal.PATH if path.is_symlink() else Refusal.NOT_A_FILE
        raise ModelRefused(why, f"{path.name} cannot be opened: {error.strerror}.", file=path.name) from error
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise ModelRefused(Refusal.NOT_A_FILE, f"{path.name} is no regular file.", file=path.name)
        if found.st_size > most_bytes:
            was = f"Expected {path.name} of at most {most_bytes} bytes, was {found.st_size}."
            raise ModelRefused(Refusal.TOO_BIG, was, file=path.name)
        if not found.st_size:
            raise ModelRefused(Refusal.UNREADABLE, f"{path.name} is empty.", file=path.name)
        return memoryview(mmap.mmap(file, 0, access=mmap.ACCESS_READ))
    finally:
        os.close(file)


def array_of(content: memoryview, tensor: Tensor) -> npt.NDArray[np.floating[Any]]:
    """A tensor as a view of the file's bytes."""
    return np.frombuffer(content, tensor.dtype, tensor.length // tensor.dtype.itemsize, tensor.offset).reshape(
        tensor.shape
    )


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; raises ModelRefused when a key comes twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = sorted({key for key, _ in pairs if sum(key == other for other, _ in pairs) > 1})
        raise ModelRefused(Refusal.DUPLICATE_KEY, f"Keys that come twice: {', '.join(map(repr, twice[:5]))}.")
    return found


def parsed(text: bytes | str, what: str) -> Any:
    """JSON whose objects have every key once; raises ModelRefused."""
    try:
        return json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise ModelRefused(Refusal.UNREADABLE, f"The {what} is no JSON: {error}.") from error


def _entries(content: memoryview, limits: FileLimits) -> tuple[dict[str, Tensor], Any]:
    size = int.from_bytes(content[:_LENGTH_BYTES], "little")
    if size > limits.header_bytes:
        raise ModelRefused(Refusal.TOO_BIG, f"Expected a header of at most {limits.header_bytes} bytes, was {size}.")
    start = _LENGTH_BYTES + size
    if start > len(content) or not size:
        raise ModelRefused(Refusal.UNREADABLE, f"The header of {size} bytes reaches beyond the file.")
    header = parsed(bytes(content[_LENGTH_BYTES:start]), "header")
    if not isinstance(header, dict):
        raise ModelRefused(Refusal.UNREADABLE, "The header is no JSON object.")
    metadata = header.pop("__metadata__", None)
    if len(header) > limits.tensors:
        was = f"Expected at most {limits.tensors} tensors, was {len(header)}."
        raise ModelRefused(Refusal.TOO_MANY_TENSORS, was)
    tensors = {name: _tensor(name, entry, start, limits) for name, entry in header.items()}
    _check_layout(tensors, start, len(content))
    return tensors, metadata


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


def _tensor(name: str, entry: Any, start: int, limits: FileLimits) -> Tensor:
    if not _NAME.fullmatch(name):
        raise ModelRefused(Refusal.ODD_NAME, f"Expected a name of letters, digits, _ and ., was {name[:80]!r}.")
    try:
        found = msgspec.convert(entry, _Entry)
    except msgspec.ValidationError as error:
        raise ModelRefused(
            Refusal.UNREADABLE, f"The entry of {name!r} cannot be read: {error}.", tensor=name
        ) from error
    if found.dtype not in _DTYPES:
        known = " or ".join(_DTYPES)
        raise ModelRefused(Refusal.DTYPE, f"Expected {known} in {name!r}, was {found.dtype[:20]!r}.", tensor=name)
    if not found.shape or len(found.shape) > _MOST_DIMENSIONS or min(found.shape) < 0:
        raise ModelRefused(Refusal.UNREADABLE, f"The shape of {name!r} is no shape of a weight.", tensor=name)
    if 0 in found.shape:
        raise ModelRefused(Refusal.ZERO_SIZE, f"{name!r} has a dimension of 0.", tensor=name)
    dtype = np.dtype(_DTYPES[found.dtype])
    length = math.prod(found.shape) * dtype.itemsize
    if length > limits.tensor_bytes:
        was = f"Expected {name!r} of at most {limits.tensor_bytes} bytes, was {length}."
        raise ModelRefused(Refusal.TOO_BIG, was, tensor=name)
    begin, end = found.data_offsets
    if begin < 0 or end - begin != length:
        was = f"Expected {length} bytes for {name!r}, was {begin} to {end}."
        raise ModelRefused(Refusal.OFFSETS, was, tensor=name)
    return Tensor(dtype, found.shape, start + begin, length)


def _check_layout(tensors: Mapping[str, Tensor], start: int, size: int) -> None:
    position = start
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1].offset):
        if tensor.offset != position:
            was = f"{name!r} begins at {tensor.offset}, expected {position}: tensors overlap or leave a hole."
            raise ModelRefused(Refusal.OFFSETS, was, tensor=name)
        position += tensor.length
    if position != size:
        raise ModelRefused(Refusal.OFFSETS, f"Expected tensors up to byte {size}, the end, was {position}.")


def _spec(metadata: Any) -> ModelSpec:
    text = metadata.get(METADATA_KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise ModelRefused(Refusal.ARCHITECTURE, f"Expected the metadata to say {METADATA_KEY!r}, it does not.")
    try:
        spec = msgspec.convert(parsed(text, "metadata"), ModelSpec)
    except msgspec.ValidationError as error:
        raise ModelRefused(Refusal.ARCHITECTURE, f"The metadata cannot be read: {error}.") from error
    wrong = faults(spec)
    if wrong:
        raise ModelRefused(Refusal.ARCHITECTURE, " ".join(wrong))
    return spec


def _check_set(spec: ModelSpec, tensors: Mapping[str, Tensor]) -> None:
    expected = architectures.tensors(spec.architecture, len(spec.features), spec.window)
    if expected.keys() != tensors.keys():
        missing, strange = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
        was = f"Tensors missing: {missing[:5] or 'none'}; not of this architecture: {strange[:5] or 'none'}."
        raise ModelRefused(Refusal.TENSORS, was)
    for name, shape in expected.items():
        if tensors[name].shape != shape:
            was = f"Expected {name!r} of shape {list(shape)}, was {list(tensors[name].shape)}."
            raise ModelRefused(Refusal.TENSORS, was, tensor=name)
    if len({tensor.dtype for tensor in tensors.values()}) > 1:
        raise ModelRefused(Refusal.DTYPE, "Expected all weights in F32 or all in F16, was a mixture.")


def _check_finite(name: str, array: npt.NDArray[np.floating[Any]]) -> None:
    """Extremes instead of a mask: NaN passes through both, and nothing as large as the weights is made."""
    flat = array.reshape(-1)
    for start in range(0, len(flat), _CHECKED_AT_ONCE):
        part = flat[start : start + _CHECKED_AT_ONCE]
        if not (np.isfinite(part.min()) and np.isfinite(part.max())):
            raise ModelRefused(Refusal.NOT_FINITE, f"{name!r} has a weight that is no finite number.", tensor=name)


def _golden(spec: ModelSpec, entries: Mapping[str, Tensor], content: memoryview) -> Golden | None:
    if not entries:
        return None
    if len(entries) != len((GOLDEN_INPUTS, GOLDEN_LOGITS)):
        raise ModelRefused(Refusal.TENSORS, f"Expected {GOLDEN_INPUTS!r} and {GOLDEN_LOGITS!r}, one is missing.")
    inputs, logits = entries[GOLDEN_INPUTS], entries[GOLDEN_LOGITS]
    sample = spec.sample_shape
    fits = logits.shape == inputs.shape[:1] and inputs.shape[1:] == sample
    if not fits or logits.shape[0] > MOST_GOLDEN_SAMPLES:
        was = f"Expected golden inputs of at most {MOST_GOLDEN_SAMPLES} times {list(sample)}, and their logits."
        raise ModelRefused(Refusal.TENSORS, f"{was} Was {list(inputs.shape)} and {list(logits.shape)}.")
    if not inputs.dtype == logits.dtype == np.float32:
        raise ModelRefused(Refusal.DTYPE, "Expected golden samples in F32.")
    return Golden(array_of(content, inputs).astype(np.float32), array_of(content, logits).astype(np.float32))
