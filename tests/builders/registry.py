"""A registry on disk whose versions say different things, so that a test can tell which one answered."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from builders.model_files import a_spec

from services.inference.adapters.onnx_session import SessionRules
from services.inference.adapters.probe import TrialRules
from services.inference.adapters.registry_files import RegistryFiles
from services.inference.adapters.registry_loader import RegistryLoader
from services.inference.adapters.safetensors_file import FileLimits, write_model
from services.inference.domain.architectures import tensors
from services.inference.domain.features import FEATURES
from services.inference.usecases.receive_model import ReceiveModel
from services.inference.usecases.serve_models import ServeModels

DEFAULT = "test-model"


def saying(says: float, kind: str = "mlp", **changes: Any) -> tuple[Any, dict[str, np.ndarray]]:
    """The spec and weights of a model that says the same logit of everything."""
    spec = a_spec(kind, **changes)
    shapes = tensors(spec.architecture, len(FEATURES), spec.window)
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    last = "head.bias" if "head.bias" in weights else list(weights)[-1]
    weights[last][:] = says
    return spec, weights


def a_version(root: Path, version: str, says: float, name: str = DEFAULT, **changes: Any) -> Path:
    """A version on disk that says the same logit of everything."""
    directory = root / name / version
    directory.mkdir(parents=True)
    write_model(directory / "model.safetensors", *saying(says, **changes))
    return directory


class Registry:
    """A registry as the service wires it, over `shipped` and `own`."""

    def __init__(self, root: Path, *, most_loaded: int = 8, draw: Any = None, limits: FileLimits | None = None) -> None:
        self.shipped, self.own = root / "shipped", root / "own"
        self.files = RegistryFiles(self.shipped, self.own)
        self.loader = RegistryLoader(
            self.files, SessionRules(), limits or FileLimits(), TrialRules(), structlog.get_logger()
        )
        more = {} if draw is None else {"draw": draw}
        self.models = ServeModels(self.files, self.loader, DEFAULT, most_loaded, structlog.get_logger(), **more)
        self.receive = ReceiveModel(self.models, self.loader, 1_000_000)

    def close(self) -> None:
        self.models.close()
        self.loader.close()

    async def says(self, name: str = DEFAULT, version: str = "") -> float:
        """What the version that answers says, rounded."""
        async with self.models.hold(name, version) as model:
            return round(float((await model.logits(np.zeros((1, *model.card.sample_shape), np.float32)))[0]), 3)


@asynccontextmanager
async def a_registry(root: Path, **options: Any) -> AsyncIterator[Registry]:
    """A started registry, closed at the end."""
    registry = Registry(root, **options)
    try:
        await registry.models.start()
        yield registry
    finally:
        registry.close()
