"""A version as a directory of Triton's model repository, in a tar file: its ONNX graph, its weights and a config.

Weights of a safetensors model stay in their file, which lies beside the graph as its external data.
"""

import asyncio
import tarfile
import tempfile
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import IO

from services.inference.adapters.onnx_networks import network
from services.inference.adapters.onnx_session import OnnxModel
from services.inference.adapters.onnx_weights import Stored
from services.inference.adapters.registry_files import RegistryFiles, file_of
from services.inference.adapters.safetensors_file import FileLimits, mapped, read_model
from services.inference.domain.model import TensorSpec
from services.inference.ports import LoadedModel
from trading.errors import FailedPrecondition

_PIECE_BYTES = 256 * 1024
_KINDS = {
    "bool": "TYPE_BOOL",
    "float16": "TYPE_FP16",
    "float32": "TYPE_FP32",
    "float64": "TYPE_FP64",
    **{f"{sign}int{bits}": f"TYPE_{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


class RegistryExport:
    """Writes versions for other servers."""

    def __init__(self, files: RegistryFiles, limits: FileLimits) -> None:
        self._files = files
        self._limits = limits

    async def pieces(self, model: LoadedModel) -> AsyncIterator[bytes]:
        """The tar file of a loaded version, in order."""
        if not isinstance(model, OnnxModel):
            raise FailedPrecondition(f"{model.card.name!r} runs on another server.", reason="MODEL_DELEGATED")
        with tempfile.TemporaryFile() as file:
            await asyncio.to_thread(self._write, model, file)
            file.seek(0)
            while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
                yield piece

    def _write(self, model: OnnxModel, target: IO[bytes]) -> None:
        card = model.card
        path = file_of(self._files.directory(card.name, card.version))
        place = f"{card.name}/{card.version if card.version.isdecimal() else 1}"
        with tarfile.open(fileobj=target, mode="w") as tar:
            _add(tar, f"{card.name}/config.pbtxt", config(model).encode())
            _add(tar, f"{place}/model.onnx", self._graph(path))
            if path.suffix == ".safetensors":
                tar.add(path, f"{place}/{path.name}")

    def _graph(self, path: Path) -> bytes:
        if path.suffix == ".onnx":
            return path.read_bytes()
        file = read_model(path, self._limits)
        return network(file.spec, Stored(file, mapped(path, self._limits.file_bytes), path.name))


def config(model: OnnxModel) -> str:
    """Triton's config of a model."""
    lines = [f'name: "{model.card.name}"', 'backend: "onnxruntime"', "max_batch_size: 0"]
    lines += [_tensors("input", model.inputs), _tensors("output", model.outputs)]
    return "\n".join(lines) + "\n"


def _tensors(kind: str, specs: tuple[TensorSpec, ...]) -> str:
    entries = (
        f'  {{ name: "{spec.name}" data_type: {_KINDS[spec.dtype]} dims: [ {", ".join(map(str, spec.shape))} ] }}'
        for spec in specs
    )
    return f"{kind} [\n" + ",\n".join(entries) + "\n]"


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, BytesIO(content))
