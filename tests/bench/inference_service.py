"""A real inference service for measurements: a nats-server, its instruments, and the service as a process."""

import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from neuraltrader.market_data.v1 import market_data_pb2, market_data_service_pb2, market_data_service_pb2_grpc
from tests.servers import free_port, nats_server, process

TOKEN = "a-token-of-the-bench"
READY_S = 30.0


@dataclass(frozen=True, slots=True)
class Inference:
    """Where the service and its nats-server are."""

    nats_url: str
    address: str
    child: "subprocess.Popen[bytes]"


class _Instruments(market_data_service_pb2_grpc.MarketDataServiceServicer):
    def __init__(self, symbols: Sequence[str]) -> None:
        self._known = [market_data_pb2.Instrument(symbol=symbol) for symbol in symbols]

    def ListInstruments(self, request: Any, context: Any) -> market_data_service_pb2.ListInstrumentsResponse:
        return market_data_service_pb2.ListInstrumentsResponse(instruments=self._known)


@contextmanager
def inference_service(symbols: Sequence[str]) -> Iterator[Inference]:
    """The service, from its start until it is ready and to its end."""
    server = grpc.server(ThreadPoolExecutor(1))
    market_data_service_pb2_grpc.add_MarketDataServiceServicer_to_server(_Instruments(symbols), server)
    market_data = server.add_insecure_port("127.0.0.1:0")
    server.start()
    grpc_port, metrics_port = free_port(), free_port()
    try:
        with tempfile.TemporaryDirectory() as name, nats_server(Path(name)) as nats_url:
            env = {
                "NATS_URL": nats_url,
                "NT_MARKET_DATA_ADDRESS": f"127.0.0.1:{market_data}",
                "NT_DATA_DIR": name,
                "NT_GRPC_PORT": str(grpc_port),
                "NT_METRICS_PORT": str(metrics_port),
                "NT_INTERNAL_TOKEN": TOKEN,
                "NT_INSTRUMENTS_RETRY_S": "0.05",
            }
            command = [sys.executable, "-m", "services.inference"]
            with process(command, env=env, log=Path(name) / "inference.log") as child:
                _wait(metrics_port, child)
                yield Inference(nats_url, f"127.0.0.1:{grpc_port}", child)
    finally:
        server.stop(None).wait()


def _wait(metrics_port: int, child: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until and child.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/readyz", timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("The inference service did not become ready.")
