"""What tests of the bus share: servers that come and go, publishers, and a consumer that remembers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from servers import nats_server
from waiting import until

from fleet.bus import Bus, Message
from fleet.metrics import Metrics
from trading.errors import Unavailable
from trading.ids import new_id

Fails = Callable[[bytes], Exception | None]


def count(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(f"nt_{name}", labels) or 0.0


@asynccontextmanager
async def running(directory: Path, port: int) -> AsyncIterator[str]:
    """A nats-server on a port of our choice, so that it can come back."""
    server = nats_server(directory, port)
    url = await asyncio.to_thread(server.__enter__)
    try:
        yield url
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


async def publish(bus: Bus, subject: str, payload: bytes = b"x", event_id: str = "") -> str:
    event_id = event_id or new_id()
    await bus.publish_event(subject, payload, event_id=event_id, event_type="t", source="test", time_ns=0)
    return event_id


async def publish_at_last(bus: Bus, subject: str, payload: bytes = b"x") -> None:
    """Publish one event as a relay does: until it is acknowledged."""
    event_id = new_id()

    async def published() -> bool:
        try:
            await publish(bus, subject, payload, event_id)
        except Unavailable:
            return False
        return True

    await until(published, "JetStream's ack")


class Connected(Protocol):
    """Opens a connection that outlives its server."""

    async def __call__(self, url: str, metrics: Metrics | None = None) -> Bus: ...


class Consumer:
    """Consumes a stream in the background and remembers what was handled."""

    def __init__(self, bus: Bus, stream: str, subject: str, fails: Callable[[bytes], Exception | None]) -> None:
        self.handled: list[bytes] = []
        self.calls: list[list[bytes]] = []
        self._fails = fails
        self._task = asyncio.create_task(bus.consume(stream, "durable", subject, self._handle))

    async def _handle(self, messages: list[Message]) -> None:
        payloads = [message.payload for message in messages]
        self.calls.append(payloads)
        for payload in payloads:
            if error := self._fails(payload):
                raise error
        self.handled += payloads

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class StartConsumer(Protocol):
    """Starts a consumer of a stream of its own; gives it and a subject of the stream."""

    async def __call__(self, fails: Fails = ...) -> tuple[Consumer, str]: ...
