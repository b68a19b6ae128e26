"""The note that a running fleet leaves in its data directory, so that `down` and `status` find it."""

import contextlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import psutil

NOTE = "fleet.json"


@dataclass(frozen=True, slots=True)
class Process:
    """A process by id and birth, since ids come round again."""

    name: str
    pid: int
    born: float
    restarts: int = 0
    ready_s: float | None = None

    @classmethod
    def of(cls, name: str, pid: int, restarts: int = 0, ready_s: float | None = None) -> Self:
        """A process that runs now; raises psutil.NoSuchProcess when it does not."""
        return cls(name, pid, psutil.Process(pid).create_time(), restarts, ready_s)

    def find(self) -> psutil.Process | None:
        """The very same process when it still runs."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.born) < 1 and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None


@dataclass(frozen=True, slots=True)
class State:
    """What is running, and where it listens; no secret is in it."""

    supervisor: Process
    gateway: str
    grpc: dict[str, str]
    nats: str
    venue: dict[str, Any]
    children: list[Process] = field(default_factory=list)
    ready: bool = False

    def write(self, data_dir: Path) -> None:
        """Replace the note in one step."""
        fresh = data_dir / f"{NOTE}.new"
        fresh.write_text(json.dumps(asdict(self)))
        fresh.replace(data_dir / NOTE)


def read(data_dir: Path) -> State | None:
    """The note of a fleet in `data_dir`, running or not; None when there is none."""
    try:
        raw = json.loads((data_dir / NOTE).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    children = [Process(**child) for child in raw.pop("children")]
    return State(supervisor=Process(**raw.pop("supervisor")), children=children, **raw)


def forget(data_dir: Path) -> None:
    """Take the note away."""
    (data_dir / NOTE).unlink(missing_ok=True)
