"""Real servers for tests, each on a free port of 127.0.0.1 and in a directory of its own, gone afterwards."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

START_TIMEOUT_S = 90.0
REPOSITORY = Path(__file__).resolve().parents[1]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"
_WORKERS_MOST = 16
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS_MOST
_PORTS = cycle(range(10_000 + _WORKER, 32_000, _WORKERS_MOST))
for _ in range(os.getpid() * 7_919 % 1_375):  # two runs beside each other begin in different places
    next(_PORTS)


def free_port() -> int:
    """A port that nobody listens on now, and that nobody else takes before a server does.

    The kernel would give one of those that it also gives to outgoing connections and to the other workers' servers;
    these lie below its range, each worker has its own, and none comes again soon.
    """
    return next(port for port in _PORTS if _binds(port))


def _binds(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def unmeasured() -> dict[str, str]:
    """The environment of a process that is only scenery: its coverage is measured where it is tested itself."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS_")}


def accepts(port: int) -> bool:
    """Whether somebody listens on the port."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = START_TIMEOUT_S) -> None:
    """Poll a condition that another process makes true."""
    ends_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends_at, f"Waited {timeout_s} s in vain for {what}."
        time.sleep(0.02)


@contextmanager
def process(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A child process that is asked to end, and then made to, when the block ends; its output goes to `log`."""
    with log.open("ab") as output:
        child = subprocess.Popen(command, env={**os.environ, **(env or {})}, stdout=output, stderr=output)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(60)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@contextmanager
def nats_server(directory: Path, port: int | None = None) -> Iterator[str]:
    """A nats-server with JetStream in `directory`; gives its URL."""
    port = port or free_port()
    bundled = Path(sys.executable).with_name("nats-server")
    binary = str(bundled) if bundled.exists() else "nats-server"
    command = [binary, "--addr", "127.0.0.1", "--port", str(port), "--jetstream", "--store_dir", str(directory)]
    with process(command, log=directory / "nats.log"):
        wait_until(lambda: accepts(port), "nats-server")
        yield f"nats://127.0.0.1:{port}"


def postgres_binaries() -> Path | None:
    """The folder of initdb and postgres, or None where there is no Postgres."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    if found:
        return found[0].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


@contextmanager
def postgres_server(directory: Path, binaries: Path) -> Iterator[str]:
    """A Postgres cluster made by initdb, never run as root, that logs in `directory`; gives its URL."""
    port = free_port()
    with _folder_of_a_cluster(directory) as (folder, user):
        data = folder / "data"
        initdb = [str(binaries / "initdb"), "-D", str(data), "-U", "trader", "--auth=trust", "--no-sync", "-E", "UTF8"]
        subprocess.run(initdb, check=True, capture_output=True, user=user, cwd=folder)
        command = [str(binaries / "postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder)]
        with (directory / "postgres.log").open("ab") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log, user=user, cwd=folder)
        try:
            ready = [str(binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port), "-U", "trader"]
            wait_until(lambda: subprocess.run(ready, check=False).returncode == 0, "Postgres")
            yield f"postgresql://trader@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)  # the fast shutdown: it waits for no client
            server.wait(60)


@contextmanager
def _folder_of_a_cluster(directory: Path) -> Iterator[tuple[Path, str | None]]:
    """Where a cluster lives and as whom; root gets a folder of its own, as each pytest closes its own to others."""
    if os.geteuid() != 0:
        yield directory, None
        return
    with tempfile.TemporaryDirectory(prefix="postgres-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        shutil.chown(folder, "postgres")
        yield Path(folder), "postgres"
