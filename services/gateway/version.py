"""What this process is: version, build, platform and the features it really runs with."""

import asyncio
import importlib.metadata
import importlib.util
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from services.gateway.schemas.service import Version

DISTRIBUTION = "neural-trader-fleet"
_HERE = Path(__file__).resolve().parent
_GIT_TIMEOUT_S = 2.0


def find_version(*, build_date: str, commit: str, shared_cache: bool) -> Version:
    """Ask the package, the checkout and the running loop; what was given at the build wins."""
    found_commit, committed_at = _checkout()
    return {
        "version": _package_version(),
        "build_date": build_date or committed_at or _newest_file_time(),
        "platform": f"{sys.platform}-{platform.machine()}-python{platform.python_version()}",
        "features": _features(shared_cache),
        "commit": commit or found_commit,
    }


def _package_version() -> str:
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return "0"


def _checkout() -> tuple[str | None, str | None]:
    command = ["git", "-C", str(_HERE), "show", "-s", "--format=%H %cI", "HEAD"]
    try:
        shown = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None, None
    commit, _, committed_at = shown.stdout.strip().partition(" ")
    return commit or None, committed_at or None


def _newest_file_time() -> str:
    newest = max(path.stat().st_mtime for path in _HERE.rglob("*.py"))
    return datetime.fromtimestamp(newest, UTC).isoformat(timespec="seconds")


def _features(shared_cache: bool) -> list[str]:
    loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    found = ["rest", "websocket", "shared-cache" if shared_cache else "process-cache", f"loop-{loop}"]
    return [*found, *(name for name in ("httptools",) if importlib.util.find_spec(name))]
