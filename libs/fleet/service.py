"""The life of a service, from its settings to exit code 0, the same for all."""

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol, TypeVar

import grpc
import structlog

from fleet.metrics import Metrics
from fleet.probes import Readiness, probes
from fleet.rpc import Boundary, GrpcServer
from fleet.settings import FleetSettings, load
from fleet.telemetry import configure_logging, tracing
from trading.clock import Clock, SystemClock
from trading.errors import TradingError

COLLECT_AFTER = 50_000
"""Objects made, less those freed, between two looks for cyclic garbage among the young."""

SettingsT = TypeVar("SettingsT", bound=FleetSettings)
ResultT = TypeVar("ResultT")
Loop = Callable[[], Awaitable[None]]


class Server(Protocol):
    """Something that listens."""

    async def start(self) -> None:
        """Listen; raises when it cannot."""
        ...

    async def stop(self, grace_s: float) -> None:
        """Turn new work away, give running work `grace_s` seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Service:
    """A wired service: what it answers, what it does by itself, and what it needs to be ready."""

    register: Sequence[Callable[[grpc.aio.Server], None]] = ()
    service_names: Sequence[str] = ()
    large_calls: Collection[str] = ()
    """Full names of the calls whose requests may be as large as `LARGE_MESSAGE_BYTES`."""
    loops: Mapping[str, Loop] = field(default_factory=dict)
    checks: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    servers: Sequence[Server] = ()


@dataclass(frozen=True, slots=True)
class Runtime:
    """What the process gives to the wiring."""

    name: str
    metrics: Metrics
    clock: Clock
    log: Any


Wire = Callable[[SettingsT, Runtime], AbstractAsyncContextManager[Service]]


def main(
    name: str, settings_class: type[SettingsT], wire: Wire[SettingsT], argv: Sequence[str] | None = None
) -> NoReturn:
    """Run a service until SIGTERM or SIGINT. Exit codes: 0 drained, 1 died, 2 unusable settings."""
    settings = load(settings_class, name, argv)
    configure_logging(name, settings.log_level)
    sys.exit(run_loop(_live(name, settings, wire)))


def run_loop(life: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run a coroutine on uvloop where there is one, on plain asyncio elsewhere."""
    if sys.platform == "win32":
        return asyncio.run(life)
    import uvloop

    return uvloop.run(life)


async def _live(name: str, settings: SettingsT, wire: Wire[SettingsT]) -> int:
    runtime = Runtime(name, Metrics(), SystemClock(), structlog.get_logger())
    stop = stop_signal()
    try:
        with tracing(name, settings.otlp_endpoint):
            async with AsyncExitStack() as resources:
                service = await _wired(resources, wire(settings, runtime), stop)
                if service:
                    _spare_collections()
                    await _serve(service, settings, runtime, stop)
    except Exception as error:  # the process boundary: say why, then die loudly
        _say_why(name, error, runtime)
        return 1
    runtime.log.info("service.stopped")
    return 0


async def _wired(
    resources: AsyncExitStack, wiring: AbstractAsyncContextManager[Service], stop: asyncio.Event
) -> Service | None:
    """The wired service, or None when the process is asked to stop while it still waits for a database or a bus."""
    task = asyncio.current_task()
    waits = True

    async def give_up() -> None:
        await stop.wait()
        if waits and task:
            task.cancel()

    watching = asyncio.create_task(give_up())
    try:
        return await resources.enter_async_context(wiring)
    except asyncio.CancelledError:
        if not stop.is_set() or not task:
            raise
        task.uncancel()
        return None
    finally:
        waits = False
        watching.cancel()


def _spare_collections() -> None:
    """What start-up has made stays for ever: looking through it again and again would stall orders for garbage."""
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 50)


def _say_why(name: str, error: Exception, runtime: Runtime) -> None:
    leaves = _leaves(error) if isinstance(error, ExceptionGroup) else [error]
    for leaf in leaves:
        if isinstance(leaf, TradingError):
            print(f"{name}: {leaf}", file=sys.stderr)
        else:
            runtime.log.error("service.died", error=repr(leaf), exc_info=leaf)


async def _serve(service: Service, settings: FleetSettings, runtime: Runtime, stop: asyncio.Event) -> None:
    readiness = Readiness(service.checks, runtime.metrics)
    boundary = Boundary(settings.tokens, runtime.metrics, service.large_calls)
    address = f"{settings.host}:{settings.grpc_port}"
    grpc_server = GrpcServer(address, service.register, service.service_names, boundary) if service.register else None
    servers = [*([grpc_server] if grpc_server else []), *service.servers]
    say_ready = grpc_server.say_ready if grpc_server else _say_nothing
    readiness.starting = True
    with probes(settings.host, settings.metrics_port, readiness, runtime.metrics):
        async with asyncio.TaskGroup() as group:
            loops = [group.create_task(_keep(name, loop), name=name) for name, loop in service.loops.items()]
            loops.append(group.create_task(readiness.watch(say_ready), name="readiness"))
            try:
                for server in servers:
                    await server.start()
                readiness.starting = False
                await say_ready(await readiness.check())
                runtime.log.info("service.started", grpc=address if grpc_server else None)
                await stop.wait()
            finally:
                readiness.stopping = True
                await _drain(servers, loops, settings.drain_seconds)


async def _drain(servers: Sequence[Server], loops: Sequence[asyncio.Task[None]], grace_s: float) -> None:
    for server in reversed(servers):
        await server.stop(grace_s)
    for loop in loops:  # loops outlive the servers: running calls still need them
        loop.cancel()


async def _keep(name: str, loop: Loop) -> None:
    await loop()
    raise RuntimeError(f"Loop {name!r} ended, which it never should.")


async def _say_nothing(_ready: bool) -> None:
    """A service without gRPC has no health service to tell."""


def stop_signal() -> asyncio.Event:
    """An event that SIGTERM or SIGINT sets."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        if sys.platform == "win32":
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
        else:
            loop.add_signal_handler(number, stop.set)
    return stop


def _leaves(group: ExceptionGroup[Exception]) -> list[Exception]:
    leaves: list[Exception] = []
    for error in group.exceptions:
        leaves.extend(_leaves(error) if isinstance(error, ExceptionGroup) else [error])
    return leaves
