"""Nouns of training for tests: models that can be trained, rows to learn from, jobs, and a service that trains."""

import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

import numpy as np
from servers import free_port, process, wait_until

from services.inference.adapters.safetensors_file import write_model
from services.inference.domain.architectures import Architecture, Mlp
from services.inference.domain.learning import NumpyLearning, scaler_spec
from services.inference.domain.model_spec import ModelSpec
from services.inference.domain.trainer import Recipe
from services.inference.domain.training import TrainingJob, TrainingPlan, TrainingSet

TOKEN = "a-token-of-the-tests"
FEATURES = ("return_1", "spread", "z_score_32")
A_SMALL_MLP = Mlp((8,))


def a_spec(architecture: Architecture = A_SMALL_MLP, **changes: Any) -> ModelSpec:
    """What a small trainable model is."""
    given: dict[str, Any] = {
        "architecture": architecture,
        "features": FEATURES,
        "window": 1,
        "horizon_ns": 10**9,
    }
    return ModelSpec(**(given | changes))


def a_plan(architecture: Architecture = A_SMALL_MLP, **changes: Any) -> TrainingPlan:
    """A short training of a small model."""
    given: dict[str, Any] = {
        "architecture": architecture,
        "features": FEATURES,
        "window": 1,
        "horizon_ns": 10**9,
        "epochs": 3,
        "learning_rate": 1e-2,
        "seed": 1,
    }
    return TrainingPlan(**(given | changes))


def a_job(**changes: Any) -> TrainingJob:
    """A queued job."""
    given: dict[str, Any] = {"id": "job-1", "model": "small", "plan": a_plan(), "rows": 400, "created_ns": 1}
    return TrainingJob(**(given | changes))


def some_rows(rows: int = 400, columns: int = len(FEATURES), seed: int = 1, *, edge: bool = True) -> TrainingSet:
    """Rows whose first column tells the label four times in five, or never."""
    random = np.random.default_rng(seed)
    features = random.standard_normal((rows, columns))
    told = random.random(rows) < 0.8
    labels = np.where(told, features[:, 0] > 0, features[:, 0] <= 0) if edge else random.random(rows) < 0.5
    return TrainingSet(features, labels.astype(np.float64))


def a_trainable_model(root: Path, name: str = "small", version: str = "1", spec: ModelSpec | None = None) -> Path:
    """A version on disk whose file says what its network is."""
    found = spec or a_spec()
    assert isinstance(found.architecture, Mlp), "other networks are made by training one of another kind"
    rows = some_rows(columns=len(found.features))
    learning = NumpyLearning(
        found.architecture, rows.features, rows.labels.astype(np.float32), Recipe(found.architecture.hidden)
    )
    directory = root / name / version
    directory.mkdir(parents=True)
    made = ModelSpec(found.architecture, found.features, found.window, found.horizon_ns, scaler_spec(learning.scaler))
    write_model(directory / "model.safetensors", made, learning.tensors())
    return directory


@dataclass(frozen=True)
class Inference:
    """Where a service is, and its process."""

    child: "Popen[bytes]"
    grpc_port: int


@contextmanager
def inference(nats_url: str, data_dir: Path, **settings: str) -> Iterator[Inference]:
    """The service, from its start until it is ready and to its end; no market_data is needed to train."""
    grpc_port, metrics_port = free_port(), free_port()
    env = {
        "NATS_URL": nats_url,
        "NT_MARKET_DATA_ADDRESS": f"127.0.0.1:{free_port()}",
        "NT_DATA_DIR": str(data_dir),
        "NT_GRPC_PORT": str(grpc_port),
        "NT_METRICS_PORT": str(metrics_port),
        "NT_INTERNAL_TOKEN": TOKEN,
        "NT_TRAINING_CHECKPOINT_S": "0.1",
        **settings,
    }
    log = data_dir / "inference.log"
    with process([sys.executable, "-m", "services.inference"], env=env, log=log) as child:
        wait_until(lambda: child.poll() is not None or _is_ready(metrics_port), "inference")
        assert child.poll() is None, log.read_text()
        yield Inference(child, grpc_port)


def _is_ready(metrics_port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/readyz", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
