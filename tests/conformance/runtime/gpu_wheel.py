"""Run by an interpreter that has the GPU wheel alone: what it claims, and what our selection makes of it."""

import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from services.inference.adapters import cuda
from services.inference.adapters.onnx_runtime import check_installation
from services.inference.adapters.onnx_session import SessionRules
from services.inference.adapters.safetensors_file import FileLimits, write_model
from services.inference.adapters.safetensors_model import load_safetensors
from services.inference.domain.architectures import Mlp, tensors
from services.inference.domain.errors import ModelRefused
from services.inference.domain.model_spec import Golden, ModelSpec

FEATURES = ("spread", "return_1")


def main() -> None:
    """Print one JSON line."""
    check_installation()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        _write(path)
        found = {policy: _loaded(path, policy) for policy in ("auto", "prefer", "off", "require")}
    claimed = onnxruntime.get_available_providers()
    print(json.dumps({"version": onnxruntime.__version__, "claimed": claimed, "why_none": cuda.why_none(), **found}))


def _write(path: Path) -> None:
    spec = ModelSpec(architecture=Mlp(hidden=(4,)), features=FEATURES, window=1, horizon_ns=1)
    shapes = tensors(spec.architecture, len(FEATURES), 1)
    weights = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    inputs = np.ones((3, len(FEATURES)), np.float32)
    write_model(path, spec, weights, Golden(inputs, np.full(3, 13.0, np.float32)))


def _loaded(path: Path, policy: Any) -> dict[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = load_safetensors(path, "model", "1", SessionRules(gpu=policy), FileLimits())
    except ModelRefused as refusal:
        return {"refused": refusal.reason, "message": refusal.message}
    logits = model.run(np.ones((2, len(FEATURES)), np.float32)).tolist()
    model.close()
    return {"device": model.running.device, "note": model.running.device_note, "logits": logits}


if __name__ == "__main__":
    sys.exit(main())
