"""What an operator asks a process: is it alive, is it ready, what does it count. Served on a thread of its own."""

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from socketserver import TCPServer
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.exposition import ThreadingWSGIServer

from fleet.listening import cannot_listen
from fleet.metrics import Metrics

HEARTBEAT_S = 0.5
LONGEST_SILENCE_S = 10.0
CHECK_TIMEOUT_S = 1.0


class Readiness:
    """The newest verdict of every readiness check, and the heartbeat of the event loop."""

    def __init__(self, checks: Mapping[str, Callable[[], Awaitable[None]]], metrics: Metrics) -> None:
        self._checks = checks
        self._metrics = metrics
        self.verdicts: dict[str, str] = dict.fromkeys(checks, "not checked yet")
        self.starting = False
        self.stopping = False
        self._beat = time.monotonic()

    @property
    def is_ready(self) -> bool:
        """The servers listen, nobody has asked them to stop, and every check passed when it was last run."""
        return not self.starting and not self.stopping and all(verdict == "ok" for verdict in self.verdicts.values())

    @property
    def is_alive(self) -> bool:
        """The event loop ran in the last ten seconds; touches no dependency."""
        return time.monotonic() - self._beat < LONGEST_SILENCE_S

    async def check(self) -> bool:
        """Run every check once."""
        names = list(self._checks)
        verdicts = await asyncio.gather(*(self._verdict(name) for name in names))
        self.verdicts = dict(zip(names, verdicts, strict=True))
        self._metrics.ready.set(self.is_ready)
        return self.is_ready

    async def watch(self, say_ready: Callable[[bool], Awaitable[None]]) -> None:
        """Check twice a second for ever, tell the health service, and feel the loop's pulse."""
        while True:
            self._beat = time.monotonic()
            await say_ready(await self.check())
            due = time.monotonic() + HEARTBEAT_S
            await asyncio.sleep(HEARTBEAT_S)
            self._metrics.event_loop_lag_seconds.observe(max(time.monotonic() - due, 0.0))

    async def _verdict(self, name: str) -> str:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                await self._checks[name]()
        except TimeoutError:
            return "no answer"
        except Exception as error:  # whatever a check says is its verdict
            return str(error) or type(error).__name__
        return "ok"


@contextmanager
def probes(host: str, port: int, readiness: Readiness, metrics: Metrics) -> Iterator[None]:
    """Serve /healthz, /readyz and /metrics while the block runs; raises Unavailable when the port is taken."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        status, content_type, body = _answer(environ.get("PATH_INFO", ""), readiness, metrics)
        start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
        return [body]

    try:
        server = make_server(host, port, application, _Server, _Quiet)
    except OSError as error:
        raise cannot_listen(f"{host}:{port}", error) from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True, name="probes")
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(path: str, readiness: Readiness, metrics: Metrics) -> tuple[str, str, bytes]:
    match path:
        case "/metrics":
            return "200 OK", CONTENT_TYPE_LATEST, generate_latest(metrics.registry)
        case "/healthz":
            return _verdict(readiness.is_alive, {"status": "alive" if readiness.is_alive else "stuck"})
        case "/readyz":
            return _verdict(readiness.is_ready, {"status": _state(readiness), "checks": readiness.verdicts})
    return "404 Not Found", "text/plain", b"/metrics /healthz /readyz\n"


def _state(readiness: Readiness) -> str:
    if readiness.stopping:
        return "stopping"
    if readiness.starting:
        return "starting"
    return "ready" if readiness.is_ready else "not ready"


def _verdict(good: bool, body: object) -> tuple[str, str, bytes]:
    return ("200 OK" if good else "503 Service Unavailable"), "application/json", json.dumps(body).encode()


class _Server(ThreadingWSGIServer):
    def server_bind(self) -> None:
        """Bind without asking DNS for the host's name, which may take seconds and is never used."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Probes come every second; nobody reads them."""
