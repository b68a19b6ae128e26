"""Loading models, their memory, and requests that wait together."""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from services.inference.adapters.onnx_session import SessionRules
from services.inference.adapters.safetensors_file import FileLimits, write_model
from services.inference.adapters.safetensors_model import load_safetensors
from services.inference.domain.architectures import Architecture, Mlp, tensors
from services.inference.domain.model_spec import ModelSpec
from tests.bench.result import REPOSITORY, Result, beside, of_samples

WORKER = "tests.bench.inference_models_worker"
BIG, SMALL = Mlp(hidden=(3072, 3072, 3072)), Mlp(hidden=(64, 32))
BIG_FEATURES, SMALL_FEATURES = 64, 18
LOADS = 5
CLIENTS = (1, 8, 64)
SECONDS = 2.0
RUNTIME = metadata.version("onnxruntime")


def _file(folder: Path, name: str, architecture: Architecture, features: int) -> Path:
    """A model of random weights."""
    spec = ModelSpec(
        architecture=architecture,
        features=tuple(f"feature_{number}" for number in range(features)),
        window=1,
        horizon_ns=1_000_000_000,
    )
    random = np.random.default_rng(1)
    shapes = tensors(architecture, features, 1)
    weights = {
        name: (random.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32) for name, shape in shapes.items()
    }
    path = folder / f"{name}.safetensors"
    write_model(path, spec, weights)
    return path


def _loaded(how: str, path: Path, warm: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", WORKER, how, str(path), str(warm)]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def loading() -> Iterator[Result]:
    """A file of 76 MB and one of 14 KB: hashed, checked, run and measured; each in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        big, small = _file(Path(folder), "big", BIG, BIG_FEATURES), _file(Path(folder), "small", SMALL, SMALL_FEATURES)
        ours, copied = ([_loaded(how, big, small) for _ in range(LOADS)] for how in ("ours", "copied"))
        size = {"file_mb": round(big.stat().st_size / 1e6, 1)}
        result = of_samples("inference.model_load", "ms", [each["ms"] for each in ours], extra=size)
        yield beside(result, "weights copied into an ONNX file", RUNTIME, _median(copied, "ms"), ratio_of="peer/ours")
        little = [_loaded("ours", small, small) for _ in range(LOADS)]
        yield of_samples("inference.model_load_small", "ms", [each["ms"] for each in little])
        memory = of_samples("inference.model_memory", "MB", [each["mb"] for each in ours], extra=size)
        yield beside(memory, "weights copied into an ONNX file", RUNTIME, _median(copied, "mb"), ratio_of="peer/ours")


def _median(found: list[dict[str, Any]], name: str) -> float:
    return float(np.median([each[name] for each in found]))


def coalescing() -> Iterator[Result]:
    """Clients of one event loop that each ask for one row after another, with and without sharing runs."""
    with tempfile.TemporaryDirectory() as folder:
        path = _file(Path(folder), "small", SMALL, SMALL_FEATURES)
        model = load_safetensors(path, "small", "1", SessionRules(gpu="off"), FileLimits())
        row = np.zeros((1, SMALL_FEATURES), np.float32)

        async def together() -> None:
            await model.logits(row)

        async def alone() -> None:
            model.run(row)
            await asyncio.sleep(0)  # as fair to the others as a request that waits

        for clients in CLIENTS:
            shared, single = (
                asyncio.run(_rows_per_second(clients, together)),
                asyncio.run(_rows_per_second(clients, alone)),
            )
            result = Result(f"inference.coalescing_{clients}", "rows/s", round(shared), round(shared * SECONDS))
            yield beside(result, "no coalescing", "", single, ratio_of="ours/floor")
        model.close()


async def _rows_per_second(clients: int, ask: Callable[[], Awaitable[None]]) -> float:
    until = time.perf_counter() + SECONDS
    asked = await asyncio.gather(*(_client(until, ask) for _ in range(clients)))
    return sum(asked) / SECONDS


async def _client(until: float, ask: Callable[[], Awaitable[None]]) -> int:
    count = 0
    while time.perf_counter() < until:
        await ask()
        count += 1
    return count
