"""What a benchmark says, in the shape that `make bench` writes."""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "build" / "bench"


@dataclass(frozen=True, slots=True)
class Result:
    """One measured claim; `value` is the headline in `unit`."""

    name: str
    unit: str
    value: float
    n: int
    p50: float | None = None
    p99: float | None = None
    peers: list[dict[str, Any]] = field(default_factory=list)
    ratio: float | None = None
    ratio_of: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def write(self) -> Path:
        """Put it where other tools look for it."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        path = FOLDER / f"{self.name}.json"
        path.write_text(json.dumps(asdict(self) | {"machine": _machine(), "commit": _commit()}, indent=2) + "\n")
        return path


def of_samples(name: str, unit: str, samples: Sequence[float], **rest: Any) -> Result:
    """A result whose headline is the median of its samples."""
    ordered = sorted(samples)
    p50 = statistics.median(ordered)
    p99 = ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)]
    return Result(name, unit, round(p50, 3), len(ordered), round(p50, 3), round(p99, 3), **rest)


def beside(result: Result, peer: str, version: str, value: float, *, ratio_of: str) -> Result:
    """The same result with a peer or floor of the same run; `ratio_of` is ours/floor or peer/ours."""
    ratio = result.value / value if ratio_of == "ours/floor" else value / result.value
    peers = [*result.peers, {"name": peer, "version": version, "value": round(value, 3)}]
    values = asdict(result) | {"peers": peers, "ratio": round(ratio, 3), "ratio_of": ratio_of}
    return Result(**values)


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def _commit() -> str:
    run = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    return run.stdout.strip()
