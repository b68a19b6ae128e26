"""Inference, and a gateway before it, as processes of their own."""

import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from servers import free_port, process, wait_until

TOKEN = "a-token-of-the-tests"
ADMIN_KEY = "nt_admin1_0123456789abcdef0123456789abcdef"


@contextmanager
def running_inference(data_dir: Path, nats_url: str, metrics_port: int | None = None, **settings: str) -> Iterator[str]:
    """An inference service with the models below `data_dir`; gives its gRPC address."""
    port, metrics_port = free_port(), metrics_port or free_port()
    env = {
        "NATS_URL": nats_url,
        "NT_DATA_DIR": str(data_dir),
        "NT_GRPC_PORT": str(port),
        "NT_METRICS_PORT": str(metrics_port),
        "NT_MARKET_DATA_ADDRESS": f"127.0.0.1:{free_port()}",  # nobody: tensors need no market
        "NT_INTERNAL_TOKEN": TOKEN,
        "NT_ADMIN_API_KEY": ADMIN_KEY,
        **settings,
    }
    with _running("inference", env, metrics_port, data_dir / "inference.log", "readyz"):
        yield f"127.0.0.1:{port}"


@contextmanager
def running_gateway(inference: str, nats_url: str, folder: Path) -> Iterator[str]:
    """A gateway before this inference service and no other; gives its host and port."""
    port, metrics_port = free_port(), free_port()
    env = {
        "NATS_URL": nats_url,
        "NT_GATEWAY_PORT": str(port),
        "NT_METRICS_PORT": str(metrics_port),
        "NT_INFERENCE_ADDRESS": inference,
        "NT_INTERNAL_TOKEN": TOKEN,
        "NT_ADMIN_API_KEY": ADMIN_KEY,
    }
    with _running("gateway", env, port, folder / "gateway.log", "healthz"):
        yield f"127.0.0.1:{port}"


@contextmanager
def _running(service: str, env: dict[str, str], probed_port: int, log: Path, probe: str) -> Iterator[None]:
    command = [sys.executable, "-m", f"services.{service}"]
    with process(command, env=env, log=log) as child:
        wait_until(lambda: child.poll() is not None or answers(probed_port, probe), service, 90)
        assert child.poll() is None, log.read_text()[-4000:]
        yield


def answers(port: int, path: str) -> bool:
    """Whether a probe says yes."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
