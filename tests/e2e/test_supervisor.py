"""One command up, one command down, nothing left running."""

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import psutil
import pytest
from e2e.conftest import NTRADER, down, up
from servers import accepts, wait_until

pytestmark = [pytest.mark.fleet, pytest.mark.slow, pytest.mark.timeout(240)]


def processes_of(data_dir: Path) -> list[psutil.Process]:
    """Every process that was told this data directory."""
    found = []
    for process in psutil.process_iter(["pid"]):
        try:
            told = process.environ().get("NT_DATA_DIR") == str(data_dir) or str(data_dir) in " ".join(process.cmdline())
        except psutil.Error:
            continue
        if told and process.pid != os.getpid():
            found.append(process)
    return found


def test_up_and_down_leave_no_process(tmp_path: Path) -> None:
    started = time.monotonic()
    description = up(tmp_path)
    assert httpx.get(description["gateway"] + "/readyz", trust_env=False, timeout=60).status_code == 200
    assert time.monotonic() - started < 60  # the design's 15 s are measured and printed by make demo
    assert set(description) == {"gateway", "api_key", "grpc", "nats", "venue", "pid"}
    assert description["venue"]["alpaca"]["secret"]
    assert (tmp_path / "admin.key").stat().st_mode & 0o777 == 0o600
    assert down(tmp_path).returncode == 0
    assert processes_of(tmp_path) == []
    assert down(tmp_path).returncode == 0


def test_taken_ports_are_replaced_and_the_key_is_kept(tmp_path: Path) -> None:
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if not accepts(8080):
            squatter.bind(("127.0.0.1", 8080))
            squatter.listen()
        first = up(tmp_path)
        assert not first["gateway"].endswith(":8080")
        again = subprocess.run(
            [*NTRADER, "up", "--data-dir", str(tmp_path)], capture_output=True, text=True, check=False
        )
        assert again.returncode == 1
        assert f"pid {first['pid']}" in again.stderr
        down(tmp_path)
        second = up(tmp_path)
        assert second["api_key"] == first["api_key"]
        down(tmp_path)


def test_sigterm_drains_everything_and_exits_0(tmp_path: Path) -> None:
    command = [*NTRADER, "up", "--json", "--data-dir", str(tmp_path)]
    with (tmp_path / "log").open("wb") as log:
        supervisor = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
    assert supervisor.stdout
    assert json.loads(supervisor.stdout.readline())["pid"] == supervisor.pid
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(60) == 0, (tmp_path / "log").read_text()[-4000:]
    supervisor.stdout.close()
    log_text = (tmp_path / "log").read_text()
    for name in ("gateway", "portfolio", "execution", "inference", "market_data", "paper_venue"):
        assert f"{name} drained with exit code 0" in log_text
    assert processes_of(tmp_path) == []


def test_a_killed_supervisor_is_cleaned_up_after(tmp_path: Path) -> None:
    description = up(tmp_path)
    psutil.Process(description["pid"]).kill()
    wait_until(lambda: not psutil.pid_exists(description["pid"]), "the end of the supervisor")
    assert down(tmp_path).returncode == 0
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "content"), [("garbage.parquet", b"this is no parquet"), ("columns.csv", b"a,b\n1,2\n")]
)
def test_a_bad_market_file_is_refused_by_name(tmp_path: Path, name: str, content: bytes) -> None:
    market = tmp_path / name
    market.write_bytes(content)
    command = [*NTRADER, "up", "--data-dir", str(tmp_path / "data"), "--market", str(market)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode != 0
    assert name in run.stderr
    assert "Traceback" not in run.stderr


def test_a_missing_market_file_is_a_wrong_usage(tmp_path: Path) -> None:
    command = [*NTRADER, "up", "--data-dir", str(tmp_path), "--market", str(tmp_path / "none.parquet")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 2
    assert "none.parquet is no file" in run.stderr


def test_an_absent_nats_server_is_named(tmp_path: Path) -> None:
    command = [*NTRADER, "up", "--data-dir", str(tmp_path)]
    script = (
        "import shutil, sys; shutil.which = lambda *a, **k: None; "
        "from fleet.supervisor.commands import main; main(sys.argv[1:])"
    )
    run = subprocess.run(
        [command[0], "-c", script, *command[3:]], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 1
    assert "nats-server" in run.stderr
