"""NATS as the fleet uses it: lossy blocks on core NATS, durable events on JetStream.

Ticks: newest wins, a full buffer drops and counts. Events: published until acknowledged, consumed in
batches, acknowledged after the handler returned, given up to `dead_letter.>` after five deliveries. A handler
that says Unavailable blames no event: it is asked again until the missing part of the fleet is back.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import BadRequestError

from fleet.consumption import RETRY_WAIT_S, Consumption, Handle, Message, heed_cancel
from fleet.core_nats import CoreNats
from fleet.metrics import Metrics
from fleet.nats_wire import NatsLost
from fleet.publication import Event, Publication, StreamGone
from fleet.telemetry import current_traceparent
from trading.errors import Unavailable

__all__ = ["Bus", "Event", "Handle", "Message", "Take", "connect"]
START_TIMEOUT_S = 10.0
RECONNECT_WAIT_S = 0.05
PING_INTERVAL_S = 5
MAX_PINGS_OUT = 2
PENDING_MESSAGES = 65_536
PENDING_BYTES = 256 * 1024 * 1024
OUTBOUND_BYTES = 8 * 1024 * 1024
FLUSH_ABOVE_BYTES = 1024 * 1024
PUBLISH_TIMEOUT_S = 2.0
ACK_WAIT_S = 3.0
MAX_ACK_PENDING = 4096
DUPLICATE_WINDOW_S = 120.0
MAX_AGE_S = 7 * 86_400.0
Take = Callable[[Message], Awaitable[None]]
"""What becomes of one lossy message."""


class Bus:
    """Two connections to NATS, one that reads events and one for all else, kept up for as long as the service lives."""

    def __init__(self, client: Client, core: CoreNats, metrics: Metrics, log: Any) -> None:
        self._client, self._core = client, core
        self._jetstream: JetStreamContext = client.jetstream(timeout=PUBLISH_TIMEOUT_S)
        self._streams: dict[str, tuple[str, ...]] = {}
        self._publication = Publication(core, PUBLISH_TIMEOUT_S)
        self._metrics = metrics
        self._log = log

    @property
    def jetstream(self) -> JetStreamContext:
        """The durable side itself, for those who read the past of a stream."""
        return self._jetstream

    @property
    def is_connected(self) -> bool:
        """Both connections stand."""
        return self._core.is_connected and bool(self._client.is_connected)

    async def check(self) -> None:
        """Raise Unavailable while a connection is down."""
        if not self.is_connected:
            raise Unavailable("NATS is not connected.")

    async def publish(self, subject: str, payload: bytes) -> bool:
        """Send a lossy message; waits for the server when a megabyte is under way, drops while it is gone or mute.

        Says whether the message is on its way; a lost one is counted here, and may be by the caller.
        """
        try:
            if self._core.unsent_bytes > FLUSH_ABOVE_BYTES:
                await self.flush()
            sent = self._core.publish(subject, payload)
        except NatsLost:
            self._metrics.bus_dropped_total.labels("disconnected").inc()
            return False
        except Unavailable:
            sent = False
        (self._metrics.bus_published_total if sent else self._metrics.bus_dropped_total.labels("outbound")).inc()
        return sent

    def publish_at_once(self, subject: str, payload: bytes) -> bool:
        """Send a lossy message if it can leave now; otherwise False, and nothing is done or counted."""
        if not self._core.publish_at_once(subject, payload, unsent_most=FLUSH_ABOVE_BYTES):
            return False
        self._metrics.bus_published_total.inc()
        return True

    async def flush(self) -> None:
        """Wait until the server has taken every lossy message that was published; raises Unavailable."""
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT_S):
                await self._core.flush()
        except (NatsLost, TimeoutError) as error:
            raise Unavailable("NATS does not answer.") from error

    async def listen(
        self,
        subject: str,
        take: Take,
        *,
        pending_messages: int = PENDING_MESSAGES,
        pending_bytes: int = PENDING_BYTES,
    ) -> None:
        """Hand the messages of a subject to `take`, one after another, for ever; raises what `take` raises.

        A `take` slower than the bounds loses the oldest messages, which are counted.
        """
        lost = self._metrics.bus_dropped_total.labels("slow_consumer").inc
        number, subscription = self._core.subscribe(
            subject, messages_most=pending_messages, bytes_most=pending_bytes, lost=lost
        )
        try:
            while True:
                await take(await subscription.next())
        finally:
            self._core.unsubscribe(number)

    async def hear(self, subject: str, take: Callable[[Message], None]) -> None:
        """Hand the messages of a subject to a `take` that waits for nothing, for ever; raises what `take` raises.

        It is called where the socket is read, a turn of the event loop earlier than by `listen`. Nothing is lost to a
        slow `take`: it holds the server back, until the server has had enough.
        """
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def take_unless_failed(message: Message) -> None:
            if failed.done():
                return
            try:
                take(message)
            except Exception as error:  # whatever it is: it belongs to who listens, not to the connection
                failed.set_exception(error)

        number = self._core.hear(subject, take_unless_failed)
        try:
            await failed
        finally:
            self._core.unsubscribe(number)

    async def ensure_stream(self, name: str, stream_subjects: Sequence[str]) -> None:
        """Create a durable stream, or bring it to today's configuration; raises Unavailable."""
        self._streams[name] = tuple(stream_subjects)
        config = StreamConfig(
            name=name,
            subjects=list(stream_subjects),
            storage=StorageType.FILE,
            retention=RetentionPolicy.LIMITS,
            duplicate_window=DUPLICATE_WINDOW_S,
            max_age=MAX_AGE_S,
        )
        try:
            try:
                await self._jetstream.add_stream(config)
            except BadRequestError:  # it is there with another configuration
                await self._jetstream.update_stream(config)
        except (NatsError, TimeoutError) as error:
            raise Unavailable(f"Stream {name} cannot be made.", stream=name) from error

    async def publish_event(
        self,
        subject: str,
        payload: bytes,
        *,
        event_id: str,
        event_type: str,
        source: str,
        time_ns: int,
        traceparent: str | None = None,
    ) -> None:
        """Publish a durable event and wait for its ack; one `event_id` is stored once. Raises Unavailable."""
        traceparent = traceparent or current_traceparent()
        event = Event(subject, payload, event_id, event_type, source, time_ns, traceparent)
        (failure,) = await self.publish_events([event])
        if failure is not None:
            raise failure

    async def publish_events(self, events: Sequence[Event]) -> list[Unavailable | None]:
        """Publish durable events together; gives for each None once it is stored, or why it may not be."""
        outcomes = await self._publication.publish(events)
        if any(isinstance(outcome, StreamGone) for outcome in outcomes):
            await self._restore_streams()
        self._metrics.bus_published_total.inc(outcomes.count(None))
        return outcomes

    async def consume(self, stream: str, durable: str, subject: str, handle: Handle, *, batch: int = 256) -> None:
        """Hand every event of a durable consumer to `handle`, for ever, whatever happens to NATS meanwhile.

        `handle` gets batches; when it raises, each message is tried alone, so that one poison message does
        not block the rest.
        """
        config = ConsumerConfig(
            durable_name=durable,
            filter_subject=subject,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_S,
            max_deliver=-1,
            max_ack_pending=MAX_ACK_PENDING,
        )
        consumption = Consumption(self._client, handle, self._metrics, self._log)
        while True:
            heed_cancel()
            try:
                await self._restore_streams()
                await self._jetstream.add_consumer(stream, config)
                await consumption.run(await self._jetstream.pull_subscribe_bind(durable, stream), batch)
            except (NatsError, TimeoutError, Unavailable) as error:
                self._log.warning("bus.consume.again", stream=stream, durable=durable, error=repr(error))
                await asyncio.sleep(RETRY_WAIT_S)

    async def _restore_streams(self) -> None:
        for name, stream_subjects in list(self._streams.items()):
            await self.ensure_stream(name, stream_subjects)


@asynccontextmanager
async def connect(
    url: str, name: str, metrics: Metrics, *, start_timeout_s: float = START_TIMEOUT_S
) -> AsyncIterator[Bus]:
    """A bus that reconnects by itself for ever; raises Unavailable when no server answers in `start_timeout_s`."""
    log = structlog.get_logger()
    newest = ""

    async def note(error: Exception) -> None:
        nonlocal newest
        heed_cancel()  # nats-py's own reconnecting, which would outlive the connection
        if not (newest and isinstance(error, ConnectionResetError)):  # says less than a server that refused before it
            newest = str(error)
        metrics.bus_errors_total.inc()
        log.debug("bus.error", error=repr(error))

    def complain(said: str) -> None:
        metrics.bus_errors_total.inc()
        log.warning("bus.complaint", said=said)

    client = Client()
    try:
        async with asyncio.timeout(start_timeout_s):
            await client.connect(
                url,
                name=name,
                error_cb=note,
                connect_timeout=1,
                reconnect_time_wait=RECONNECT_WAIT_S,  # type: ignore[arg-type]  # any number of seconds works
                max_reconnect_attempts=-1,
                ping_interval=PING_INTERVAL_S,
                max_outstanding_pings=MAX_PINGS_OUT,
                pending_size=OUTBOUND_BYTES,
                flush_timeout=PUBLISH_TIMEOUT_S,
            )
            core = CoreNats(
                url,
                name,
                complain,
                retry_s=RECONNECT_WAIT_S,
                ping_every_s=PING_INTERVAL_S,
                mute_most_s=PING_INTERVAL_S * MAX_PINGS_OUT,
            )
            await core.connect()
    except (NatsError, OSError, TimeoutError) as error:
        await _quietly(client.close())
        raise Unavailable(f"No NATS server answers at {_public(url)} ({newest or error!r}).") from error
    keeping = asyncio.create_task(core.keep(), name="nats")
    bus = Bus(client, core, metrics, log)
    try:
        yield bus
    finally:
        await _quietly(bus.flush())
        await _ended(keeping)
        core.close()
        if client.is_connected:
            await _quietly(client.flush(timeout=1))
        await _quietly(client.close())


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


async def _quietly(last_words: Awaitable[None]) -> None:
    try:
        await last_words
    except (NatsError, Unavailable, TimeoutError, OSError):
        return


def _public(url: str) -> str:
    """The URL without who logs in and how, even where several are listed."""
    return re.sub(r"(?<=//).*@|^[^/]*@", "", url)
