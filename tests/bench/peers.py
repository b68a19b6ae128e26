"""Peers to measure beside: each in an environment of its own under build/peers, because their pins clash with ours."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.result import REPOSITORY

FOLDER = REPOSITORY / "build" / "peers"
INSTALL_TIMEOUT_S = 600
RUN_TIMEOUT_S = 300
_READY = ".ready"


class PeerMissing(Exception):
    """A peer that cannot be installed or run here; the message says why, and the bench goes on without it."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A library to compare with: its name, and the pinned packages of its environment."""

    name: str
    packages: tuple[str, ...]

    def measure(self, script: Path, *arguments: str) -> dict[str, Any]:
        """Run a script of the peer's, which prints one JSON object; raises PeerMissing with the reason."""
        run = _run([str(self._python()), str(script), *arguments], RUN_TIMEOUT_S)
        found: dict[str, Any] = json.loads(run.splitlines()[-1])
        return found

    def _python(self) -> Path:
        """The Python of the peer's environment, made when it is asked for the first time."""
        folder = FOLDER / self.name
        python = folder / "bin" / "python"
        note = folder / _READY
        if not note.exists() or note.read_text().split() != list(self.packages):
            uv = str(Path(sys.executable).with_name("uv"))
            _run([uv, "venv", "-q", "--clear", "--python", sys.executable, str(folder)], INSTALL_TIMEOUT_S)
            _run([uv, "pip", "install", "-q", "--python", str(python), *self.packages], INSTALL_TIMEOUT_S)
            note.write_text(" ".join(self.packages))
        return python


def _run(command: Sequence[str], timeout_s: float) -> str:
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False, cwd=REPOSITORY)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerMissing(str(error)) from error
    if run.returncode:
        raise PeerMissing((run.stderr.strip().splitlines() or ["it said nothing"])[-1])
    return run.stdout


PANDAS = Peer("pandas", ("pandas==3.1.1", "pyarrow==26.0.1", "numpy==2.4.6"))
NAUTILUS = Peer("nautilus_trader", ("nautilus_trader==1.221.0", "pandas==2.3.3", "pyarrow==26.0.1", "numpy==2.4.6"))
PANDAS_ONNX = Peer("pandas_onnx", ("pandas==3.1.1", "numpy==2.4.6", "onnxruntime==1.32.0"))
