"""Safetensors files that a service must refuse, each with the reason that it must give."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from builders.model_files import a_model_file, a_spec, entries, metadata, raw_file, some_inputs, some_weights

from services.inference.domain.architectures import Lstm, Mlp, Nhits, PatchTst
from services.inference.domain.errors import Refusal
from services.inference.domain.model_spec import Platt, Provenance, Scaler


def _with(change: Callable[[dict[str, Any]], None], dtype: str = "F32") -> Callable[[Path], None]:
    """A sound file whose header is changed."""

    def write(path: Path) -> None:
        header, data = entries(some_weights(a_spec()), dtype)
        header = {"__metadata__": metadata(), **header}
        change(header)
        raw_file(path, header, data)

    return write


def _weights(change: Callable[[dict[str, np.ndarray]], object]) -> Callable[[Path], None]:
    """A file of a sound spec whose weights are changed before they are laid out."""

    def write(path: Path) -> None:
        weights = some_weights(a_spec())
        change(weights)
        header, data = entries(weights)
        raw_file(path, {"__metadata__": metadata(), **header}, data)

    return write


def _spec(**changes: Any) -> Callable[[Path], None]:
    """A file of sound weights whose spec is changed."""

    def write(path: Path) -> None:
        header, data = entries(some_weights(a_spec()))
        raw_file(path, {"__metadata__": metadata(a_spec(**changes)), **header}, data)

    return write


def _golden(change: Callable[[dict[str, np.ndarray]], object]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        weights = some_weights(a_spec())
        weights["golden.inputs"] = some_inputs(a_spec(), 3)
        weights["golden.logits"] = np.zeros(3, np.float32)
        change(weights)
        header, data = entries(weights)
        raw_file(path, {"__metadata__": metadata(), **header}, data)

    return write


def _link(path: Path) -> None:
    a_model_file(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def _half_and_whole(path: Path) -> None:
    weights = some_weights(a_spec())
    first = next(iter(weights))
    header, data = entries({name: array for name, array in weights.items() if name != first})
    half, more = entries({first: weights[first].astype(np.float16)}, "F16")
    half[first]["data_offsets"] = [offset + len(data) for offset in half[first]["data_offsets"]]
    raw_file(path, {"__metadata__": metadata(), **header, **half}, data + more)


def _many(weights: dict[str, np.ndarray]) -> None:
    weights.update({f"t{number}": np.zeros(1, np.float32) for number in range(60)})


FIRST = "layers.0.weight"
HOSTILE_SAFETENSORS: dict[str, tuple[Callable[[Path], object], Refusal]] = {
    "an empty file": (lambda path: path.write_bytes(b""), Refusal.UNREADABLE),
    "eight bytes": (lambda path: path.write_bytes(b"\0" * 8), Refusal.UNREADABLE),
    "garbage": (lambda path: path.write_bytes(b"\x10" + b"\0" * 7 + b"\xff" * 400), Refusal.UNREADABLE),
    "a header longer than the file": (lambda path: raw_file(path, "{}", length=500), Refusal.UNREADABLE),
    "a header of 2⁶³ bytes": (lambda path: raw_file(path, "{}", length=2**63), Refusal.TOO_BIG),
    "a header above the limit": (lambda path: raw_file(path, "{" + " " * 200_000 + "}"), Refusal.TOO_BIG),
    "a header that is a list": (lambda path: raw_file(path, "[]"), Refusal.UNREADABLE),
    "a header nested without end": (lambda path: raw_file(path, "[" * 90_000), Refusal.UNREADABLE),
    "a file above the limit": (lambda path: raw_file(path, "{}", b"\0" * 1_100_000), Refusal.TOO_BIG),
    "a directory": (lambda path: path.mkdir(), Refusal.NOT_A_FILE),
    "a pipe": (os.mkfifo, Refusal.NOT_A_FILE),
    "nothing": (lambda path: None, Refusal.NOT_A_FILE),
    "a link": (_link, Refusal.PATH),
    "a tensor twice": (lambda path: raw_file(path, '{"a": {}, "a": {}}'), Refusal.DUPLICATE_KEY),
    "metadata twice": (lambda path: raw_file(path, '{"__metadata__": {}, "__metadata__": {}}'), Refusal.DUPLICATE_KEY),
    "a key of the spec twice": (
        _with(lambda header: header["__metadata__"].update(neural_trader='{"window": 1, "window": 2}')),
        Refusal.DUPLICATE_KEY,
    ),
    "no metadata": (_with(lambda header: header.pop("__metadata__")), Refusal.ARCHITECTURE),
    "metadata that is no text": (
        _with(lambda header: header.update(__metadata__={"neural_trader": 1})),
        Refusal.ARCHITECTURE,
    ),
    "metadata that is no JSON": (
        _with(lambda header: header.update(__metadata__={"neural_trader": "{"})),
        Refusal.UNREADABLE,
    ),
    "metadata that says too little": (
        _with(lambda header: header.update(__metadata__={"neural_trader": "{}"})),
        Refusal.ARCHITECTURE,
    ),
    "an unknown architecture": (
        _with(
            lambda header: header["__metadata__"].update(neural_trader=metadata()["neural_trader"].replace("mlp", "rm"))
        ),
        Refusal.ARCHITECTURE,
    ),
    "an unknown field of the spec": (
        _with(
            lambda header: header["__metadata__"].update(
                neural_trader=metadata()["neural_trader"][:-1] + ',"pickle":"x"}'
            )
        ),
        Refusal.ARCHITECTURE,
    ),
    "a window for an MLP": (_spec(window=5), Refusal.ARCHITECTURE),
    "no features": (_spec(features=()), Refusal.ARCHITECTURE),
    "a feature twice": (_spec(features=("x", "x")), Refusal.ARCHITECTURE),
    "a format of the future": (_spec(format=2), Refusal.ARCHITECTURE),
    "a horizon of nothing": (_spec(horizon_ns=0), Refusal.ARCHITECTURE),
    "a scaler of another width": (_spec(scaler=Scaler((0.0,), (1.0,))), Refusal.ARCHITECTURE),
    "a deviation of zero": (_spec(scaler=Scaler((0.0,) * 18, (0.0,) * 18)), Refusal.ARCHITECTURE),
    "a clip below zero": (_spec(scaler=Scaler((0.0,) * 18, (1.0,) * 18, clip=-1.0)), Refusal.ARCHITECTURE),
    "a calibration without numbers": (_spec(calibration=Platt(float("nan"), 0.0)), Refusal.ARCHITECTURE),
    "metrics without numbers": (_spec(provenance=Provenance(metrics={"x": float("inf")})), Refusal.ARCHITECTURE),
    "patches that do not fill the window": (
        _spec(architecture=PatchTst(patch=5, width=8, heads=2, layers=1, feed=8), window=12),
        Refusal.ARCHITECTURE,
    ),
    "heads that do not share the width": (
        _spec(architecture=PatchTst(patch=4, width=8, heads=3, layers=1, feed=8), window=12),
        Refusal.ARCHITECTURE,
    ),
    "pools above the window": (_spec(architecture=Nhits(pools=(20,), hidden=(4,)), window=12), Refusal.ARCHITECTURE),
    "a window too long": (_spec(architecture=Lstm(hidden=4), window=5_000), Refusal.ARCHITECTURE),
    "a layer above the limit": (_spec(architecture=Mlp(hidden=(1_000_000,))), Refusal.ARCHITECTURE),
    "an odd name": (_weights(lambda weights: weights.update({"../x": np.zeros(1, np.float32)})), Refusal.ODD_NAME),
    "an endless name": (
        _weights(lambda weights: weights.update({"x" * 500: np.zeros(1, np.float32)})),
        Refusal.ODD_NAME,
    ),
    "a dimension of zero": (
        _with(lambda header: header.update(empty={"dtype": "F32", "shape": [0, 4], "data_offsets": [0, 0]})),
        Refusal.ZERO_SIZE,
    ),
    "no dimensions": (_with(lambda header: header[FIRST].update(shape=[])), Refusal.UNREADABLE),
    "a dimension below zero": (_with(lambda header: header[FIRST].update(shape=[-16, -18])), Refusal.UNREADABLE),
    "a shape of words": (_with(lambda header: header[FIRST].update(shape=["x"])), Refusal.UNREADABLE),
    "a tensor that is a list": (_with(lambda header: header.update({FIRST: []})), Refusal.UNREADABLE),
    "BF16": (_with(lambda header: header[FIRST].update(dtype="BF16")), Refusal.DTYPE),
    "I64": (_with(lambda header: header[FIRST].update(dtype="I64")), Refusal.DTYPE),
    "half precision for some": (_half_and_whole, Refusal.DTYPE),
    "too many tensors": (_weights(_many), Refusal.TOO_MANY_TENSORS),
    "a tensor above the limit": (_with(lambda header: header[FIRST].update(shape=[1_000, 1_000])), Refusal.TOO_BIG),
    "a shape whose product overflows": (
        _with(lambda header: header[FIRST].update(shape=[2**62, 2**62])),
        Refusal.TOO_BIG,
    ),
    "offsets of another length": (_with(lambda header: header[FIRST].update(data_offsets=[0, 4])), Refusal.OFFSETS),
    "offsets below zero": (_with(lambda header: header[FIRST].update(data_offsets=[-1152, 0])), Refusal.OFFSETS),
    "tensors that overlap": (
        _with(lambda header: header["layers.1.bias"].update(data_offsets=[0, 32])),
        Refusal.OFFSETS,
    ),
    "bytes that belong to no tensor": (
        _with(lambda header: header.pop("layers.2.bias")),
        Refusal.OFFSETS,
    ),
    "NaN": (_weights(lambda weights: weights["layers.1.weight"].fill(np.nan)), Refusal.NOT_FINITE),
    "one infinity": (_weights(lambda weights: weights["layers.1.weight"].put(7, -np.inf)), Refusal.NOT_FINITE),
    "a missing tensor": (_weights(lambda weights: weights.pop("layers.0.bias")), Refusal.TENSORS),
    "a strange tensor": (_weights(lambda weights: weights.update(x=np.zeros(1, np.float32))), Refusal.TENSORS),
    "a transposed tensor": (
        _weights(lambda weights: weights.update({FIRST: weights[FIRST].T.copy()})),
        Refusal.TENSORS,
    ),
    "golden inputs without answers": (_golden(lambda weights: weights.pop("golden.logits")), Refusal.TENSORS),
    "golden inputs of another width": (
        _golden(lambda weights: weights.update({"golden.inputs": np.zeros((3, 5), np.float32)})),
        Refusal.TENSORS,
    ),
    "golden answers of another number": (
        _golden(lambda weights: weights.update({"golden.logits": np.zeros(2, np.float32)})),
        Refusal.TENSORS,
    ),
    "golden answers that are no numbers": (
        _golden(lambda weights: weights["golden.logits"].fill(np.nan)),
        Refusal.NOT_FINITE,
    ),
}


NO_FILES = frozenset({"a directory", "a pipe", "nothing", "a link"})
"""Cases of a directory on disk, which cannot be sent."""
