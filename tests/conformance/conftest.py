"""Official clients of the venues and of Triton: each in an environment of its own, run only when NT_CONFORMANCE=1."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
collect_ignore_glob = [] if os.environ.get("NT_CONFORMANCE") == "1" else ["*"]

ClientPython = Callable[[str], Path]


@pytest.fixture(scope="session")
def client_python(tmp_path_factory: pytest.TempPathFactory) -> ClientPython:
    """The interpreter of a client's environment, made from its pinned and hashed requirements."""
    made: dict[str, Path] = {}

    def python_of(client: str) -> Path:
        if client not in made:
            made[client] = _make(client, tmp_path_factory.mktemp(client))
        return made[client]

    return python_of


def _make(client: str, at: Path) -> Path:
    uv = Path(sys.executable).with_name("uv")
    python = at / "bin" / "python"
    requirements = HERE / "requirements" / f"{client}.txt"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, at, "--allow-existing"], check=True)
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--require-hashes", "--python", python, "-r", requirements], check=True
    )
    return python
