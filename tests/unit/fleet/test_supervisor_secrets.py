"""The secrets of a local fleet: made once, told to whom they concern, and in no log."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.supervisor import keys
from fleet.supervisor.commands import _key_line
from fleet.supervisor.plan import Market, Plan
from fleet.supervisor.ports import GRPC, METRICS, Ports
from fleet.supervisor.processes import Child, Spec

PATIENCE_S = 60.0
PORTS = Ports(8080, 4222, 8090, dict(GRPC), dict(METRICS))
ANNOUNCES = "import signal; print('a secret', flush=True); print('a line', flush=True); signal.pause()"


def test_an_exchange_that_is_started_again_has_the_same_key(tmp_path: Path) -> None:
    """Otherwise its customers, who were told the first one, are strangers to it."""
    first, second = (Plan(tmp_path, PORTS, Market()).paper_venue().env for _ in range(2))
    assert first == second
    for name in ("NT_PAPER_KEY_ID_FILE", "NT_PAPER_SECRET_KEY_FILE"):
        path = Path(first[name])
        assert path.stat().st_mode & 0o777 == 0o600
        assert len(path.read_text()) >= 20


async def test_what_a_child_announces_is_in_no_log_however_often_it_is_started() -> None:
    """The line may hold secrets; what comes after it is told."""
    told: asyncio.Queue[str] = asyncio.Queue()
    spec = Spec("venue", [sys.executable, "-S", "-c", ANNOUNCES])
    child = Child(spec, _heard(told))
    async with asyncio.timeout(PATIENCE_S):
        await child.start()
        keeper = asyncio.create_task(child.keep())
        assert await told.get() == "a line"
        first = child.pid
        assert first is not None
        os.kill(first, 9)
        lines = [await told.get(), await told.get()]
    assert lines[0].startswith("venue ended with exit code -9")
    assert lines[1] == "a line"
    assert child.first_line.result() == "a secret"
    assert child.pid != first
    await child.stop()
    await keeper
    assert told.empty()


def _heard(told: asyncio.Queue[str]) -> Callable[[str, str], None]:
    def say(_name: str, line: str) -> None:
        told.put_nowait(line)

    return say


def test_a_log_gets_the_name_of_the_keys_file_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`up --detach` writes what it says into a file."""
    key = keys.admin_key(tmp_path)
    assert key not in _key_line(key, tmp_path)
    assert str(tmp_path / keys.ADMIN_KEY) in _key_line(key, tmp_path)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert key in _key_line(key, tmp_path)
