"""What a model took it gives back: ten times loaded and unloaded, the process is as large as after the first time."""

import ctypes
import gc
from pathlib import Path

import numpy as np
import psutil
from builders.registry import a_registry, a_version

from services.inference.adapters.safetensors_file import write_model
from services.inference.domain.architectures import Mlp, tensors
from services.inference.domain.features import FEATURES
from services.inference.domain.model_spec import ModelSpec
from services.inference.domain.registry import LoadOptions

_MB = 1024 * 1024
CYCLES = 10


def a_large_model(directory: Path) -> None:
    """23 MB of weights."""
    architecture = Mlp(hidden=(2400, 2400))
    spec = ModelSpec(architecture=architecture, features=FEATURES, window=1, horizon_ns=1)
    shapes = tensors(architecture, len(FEATURES), 1)
    directory.mkdir(parents=True)
    write_model(directory / "model.safetensors", spec, {n: np.full(s, 0.01, np.float32) for n, s in shapes.items()})


async def test_memory_comes_back_after_every_unload(tmp_path: Path) -> None:
    a_version(tmp_path / "shipped", "1", 1.0)
    a_large_model(tmp_path / "own" / "large" / "1")
    process, sizes = psutil.Process(), []
    async with a_registry(tmp_path) as registry:
        for precision in [None, *["fp32", "fp32"] * (CYCLES // 2)]:
            await registry.models.load("large", "", LoadOptions(precision=precision, batch_rows=64))
            async with registry.models.hold("large") as model:
                assert len(await model.logits(np.zeros((500, len(FEATURES)), np.float32))) == 500
            await registry.models.unload("large")
            gc.collect()
            ctypes.CDLL(None).malloc_trim(0)
            sizes.append(process.memory_info().rss / _MB)
    assert max(sizes[2:]) - sizes[1] < 8, [round(size, 1) for size in sizes]
