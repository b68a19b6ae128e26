"""The gateway as a process: what it refuses to start with, and how it ends."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from servers import free_port, process, wait_until

KEY = "nt_admin1_0123456789abcdef"


def environment(nats_url: str, **changes: str) -> dict[str, str]:
    """An environment in which the gateway starts."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NT_")}
    ports = {"NT_GATEWAY_PORT": str(free_port()), "NT_METRICS_PORT": str(free_port())}
    return clean | {"NT_ADMIN_API_KEY": KEY, "NATS_URL": nats_url} | ports | changes


COMMAND = [sys.executable, "-m", "services.gateway"]


def run(env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Start it where it cannot stay."""
    return subprocess.run(COMMAND, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_without_a_key_it_does_not_start() -> None:
    env = environment("nats://127.0.0.1:1")
    del env["NT_ADMIN_API_KEY"]
    ended = run(env)
    assert ended.returncode == 2
    assert ended.stderr.startswith("gateway: NT_ADMIN_API_KEY")
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.slow
def test_without_nats_it_says_so_in_a_line() -> None:
    ended = run(environment(f"nats://127.0.0.1:{free_port()}"))
    assert ended.returncode != 0
    assert ended.stderr.splitlines()[-1].startswith("gateway: No NATS server answers")


def test_a_taken_port_is_said_in_a_line(nats_url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = run(environment(nats_url, NT_GATEWAY_PORT=str(port)))
    assert ended.returncode != 0
    said = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert said == [f"gateway: Cannot listen on 127.0.0.1:{port}: the port is taken."]
    assert "Traceback" not in ended.stderr


def test_sigterm_ends_it_with_code_0(nats_url: str, tmp_path: Path) -> None:
    env = environment(nats_url)
    url = f"http://127.0.0.1:{env['NT_GATEWAY_PORT']}"
    with process(COMMAND, env=env, log=tmp_path / "gateway.log") as child:
        wait_until(lambda: _is_healthy(url), "the gateway")
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0
    assert KEY not in (tmp_path / "gateway.log").read_text()


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
