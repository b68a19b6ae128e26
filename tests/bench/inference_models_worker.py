"""Loads one model in a process of its own and prints, as JSON, how long it took and what memory it added."""

import gc
import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort
import psutil

from services.inference.adapters.onnx_encoder import GraphWriter
from services.inference.adapters.onnx_networks import INPUT, network
from services.inference.adapters.onnx_session import SessionRules
from services.inference.adapters.onnx_weights import Stored
from services.inference.adapters.safetensors_file import FileLimits, array_of, mapped, read_model
from services.inference.adapters.safetensors_model import load_safetensors

LIMITS = FileLimits()


class Copied(Stored):
    """The usual way for comparison: every weight is copied into the model's bytes."""

    def exact(self, graph: GraphWriter, name: str) -> str:
        return graph.constant(name, array_of(self.content, self.file.tensors[name]))


def ours(path: Path) -> object:
    """As the service loads."""
    return load_safetensors(path, path.stem, "1", SessionRules(gpu="off"), LIMITS)


def copied(path: Path) -> object:
    """The same checks, then one model file with the weights inside, as a file exported to ONNX has them."""
    file = read_model(path, LIMITS)
    payload = network(file.spec, Copied(file, mapped(path, LIMITS.file_bytes), path.name))
    session = ort.InferenceSession(payload, providers=["CPUExecutionProvider"])
    session.run(None, {INPUT: np.zeros((1, *file.spec.sample_shape), np.float32)})
    return session


def main() -> None:
    """`worker.py ours|copied FILE WARM_FILE`"""
    load = {"ours": ours, "copied": copied}[sys.argv[1]]
    load(Path(sys.argv[3]))  # the runtime's own start is nobody's
    gc.collect()
    process = psutil.Process()
    before = process.memory_info().rss
    started = time.perf_counter()
    model = load(Path(sys.argv[2]))
    took = time.perf_counter() - started
    gc.collect()
    added = process.memory_info().rss - before
    print(json.dumps({"ms": took * 1e3, "mb": added / 1e6, "kind": type(model).__name__}))


if __name__ == "__main__":
    main()
