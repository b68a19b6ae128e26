"""The whole fleet: from a tick at market_data's socket to a signal, and to the venue's answer to its order."""

import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.result import Result, beside

SECONDS = 30
ECHOES = 2_000
SYNCS = 200


def run() -> Iterator[Result]:
    """One demo on a simulated market; both figures come from the services' own windows of exact samples."""
    facts = _demo()
    orders = sum(facts["orders"].values())
    extra = {"fdatasync_us_p50": fdatasync_us(), "ready_s": facts["ready_s"], "rss_mb": facts["rss_mb"]}
    reply = facts["latency_us"]["tick_to_order_reply"]
    yield Result("fleet.tick_to_order_reply", "µs", reply["p50"], orders, reply["p50"], reply["p99"], extra=extra)
    signal = facts["latency_us"]["tick_to_signal"]
    result = Result("fleet.tick_to_signal", "µs", signal["p50"], facts["signals"], signal["p50"], signal["p99"])
    yield beside(result, "TCP echo, 100 bytes", "asyncio-free floor", tcp_echo_us(), ratio_of="ours/floor")


def _demo() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "fleet", "demo", "--seconds", str(SECONDS), "--json", str(report)]
        subprocess.run(command, check=True, capture_output=True)
        facts: dict[str, Any] = json.loads(report.read_text())
        return facts


def fdatasync_us() -> float:
    """Median time to make 512 more bytes of a file durable: no log is faster."""
    with tempfile.NamedTemporaryFile(dir=".") as file:
        samples = []
        for _ in range(SYNCS):
            file.write(b"x" * 512)
            file.flush()
            started = time.perf_counter()
            os.fsync(file.fileno()) if sys.platform == "darwin" else os.fdatasync(file.fileno())
            samples.append((time.perf_counter() - started) * 1e6)
    return round(statistics.median(samples), 1)


def tcp_echo_us() -> float:
    """Round trip of 100 bytes to another thread's blocking socket: nothing that crosses processes is faster."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_echo, args=(server,), daemon=True).start()
        with socket.create_connection(server.getsockname()) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            samples = []
            for _ in range(ECHOES):
                started = time.perf_counter()
                client.sendall(b"x" * 100)
                client.recv(100)
                samples.append((time.perf_counter() - started) * 1e6)
    return statistics.median(samples)


def _echo(server: socket.socket) -> None:
    connection, _ = server.accept()
    with contextlib.closing(connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := connection.recv(100):
            connection.sendall(data)
