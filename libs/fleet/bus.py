"""NATS as the fleet uses it: lossy blocks on core NATS, durable events on JetStream.

Ticks: newest wins, a full buffer drops and counts. Events: published until acknowledged, consumed in
batches, acknowledged after the handler returned, given up to `dead_letter.>` after five deliveries.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import OutboundBufferLimitError, SlowConsumerError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NoStreamResponseError

from fleet import envelope, subjects
from fleet.metrics import Metrics
from fleet.telemetry import current_traceparent, span
from trading.errors import Unavailable

START_TIMEOUT_S = 10.0
RECONNECT_WAIT_S = 0.05
PENDING_MESSAGES = 65_536
PENDING_BYTES = 256 * 1024 * 1024
OUTBOUND_BYTES = 8 * 1024 * 1024
FLUSH_ABOVE_BYTES = 1024 * 1024
PUBLISH_TIMEOUT_S = 2.0
FETCH_TIMEOUT_S = 1.0
ACK_WAIT_S = 30.0
MAX_DELIVERIES = 5
DUPLICATE_WINDOW_S = 120.0
MAX_AGE_S = 7 * 86_400.0
RETRY_WAIT_S = 0.2


class Message(NamedTuple):
    """One message; `payload` is whatever its subject promises."""

    subject: str
    payload: bytes
    headers: Mapping[str, str]


Handle = Callable[[list[Message]], Awaitable[None]]


class Bus:
    """One connection to NATS, kept up for as long as the service lives."""

    def __init__(self, client: Client, metrics: Metrics, log: Any) -> None:
        self._client = client
        self._jetstream: JetStreamContext = client.jetstream(timeout=PUBLISH_TIMEOUT_S)
        self._streams: dict[str, tuple[str, ...]] = {}
        self._metrics = metrics
        self._log = log

    @property
    def jetstream(self) -> JetStreamContext:
        """The durable side itself, for those who read the past of a stream."""
        return self._jetstream

    async def check(self) -> None:
        """Raise Unavailable while the connection is down."""
        if not self._client.is_connected:
            raise Unavailable("NATS is not connected.")

    async def publish(self, subject: str, payload: bytes) -> None:
        """Send a lossy message; waits for the server when a megabyte is under way, drops while it is gone."""
        if not self._client.is_connected:
            self._metrics.bus_dropped_total.labels("disconnected").inc()
            return
        try:
            await self._client.publish(subject, payload)
            if self._client.pending_data_size > FLUSH_ABOVE_BYTES:
                await self.flush()
        except (OutboundBufferLimitError, NatsError):
            self._metrics.bus_dropped_total.labels("outbound").inc()
            return
        self._metrics.bus_published_total.inc()

    async def flush(self) -> None:
        """Wait until the server has taken everything that was published; raises Unavailable."""
        try:
            await self._client.flush(timeout=round(PUBLISH_TIMEOUT_S))
        except NatsError as error:
            raise Unavailable("NATS does not answer.") from error

    async def listen(
        self, subject: str, *, pending_messages: int = PENDING_MESSAGES, pending_bytes: int = PENDING_BYTES
    ) -> AsyncIterator[Message]:
        """Messages of a subject for ever; a reader slower than the bounds loses messages, which are counted."""
        subscription = await self._client.subscribe(
            subject, pending_msgs_limit=pending_messages, pending_bytes_limit=pending_bytes
        )
        try:
            async for message in subscription.messages:
                yield Message(message.subject, message.data, message.headers or {})
        finally:
            if not self._client.is_closed:
                await subscription.unsubscribe()

    async def ensure_stream(self, name: str, stream_subjects: Sequence[str]) -> None:
        """Create a durable stream when it is not there; raises Unavailable."""
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
            await self._jetstream.add_stream(config)
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
        headers = envelope.event_headers(
            event_id=event_id,
            event_type=event_type,
            source=source,
            time_ns=time_ns,
            traceparent=traceparent or current_traceparent(),
        )
        try:
            await self._jetstream.publish(subject, payload, timeout=PUBLISH_TIMEOUT_S, headers=headers)
        except NoStreamResponseError as error:
            await self._restore_streams()
            raise Unavailable("The stream was gone; try again.", subject=subject) from error
        except (NatsError, TimeoutError) as error:
            raise Unavailable("JetStream does not answer.", subject=subject) from error
        self._metrics.bus_published_total.inc()

    async def consume(self, stream: str, durable: str, subject: str, handle: Handle, *, batch: int = 256) -> None:
        """Hand every event of a durable consumer to `handle`, for ever, whatever happens to NATS meanwhile.

        `handle` gets batches; when it raises, each message is tried alone, so that one poison message does
        not block the rest.
        """
        while True:
            try:
                await self._restore_streams()
                subscription = await self._jetstream.pull_subscribe(
                    subject, durable, stream, ConsumerConfig(ack_wait=ACK_WAIT_S, max_deliver=-1, max_ack_pending=4096)
                )
                await self._consume(subscription, handle, batch)
            except (NatsError, TimeoutError, Unavailable) as error:
                self._log.warning("bus.consume.again", stream=stream, durable=durable, error=str(error))
                await asyncio.sleep(RETRY_WAIT_S)

    async def _consume(self, subscription: JetStreamContext.PullSubscription, handle: Handle, batch: int) -> None:
        while True:
            try:
                messages = await subscription.fetch(batch, FETCH_TIMEOUT_S)
            except NatsTimeoutError:
                await subscription.consumer_info()  # raises when a wiped store took the consumer with it
                continue
            try:
                await handle([_received(message) for message in messages])
            except Exception:  # the boundary of handling: which message it was is found one by one
                self._log.exception("bus.handle.failed", messages=len(messages))
                await self._one_by_one(messages, handle)
            else:
                for message in messages:
                    await message.ack()

    async def _one_by_one(self, messages: Sequence[Msg], handle: Handle) -> None:
        for message in messages:
            try:
                with span(message.subject, (message.headers or {}).get(envelope.TRACEPARENT)):
                    await handle([_received(message)])
            except Exception as error:  # the boundary of handling: redeliver or give up
                await self._again_or_never(message, error)
            else:
                await message.ack()

    async def _again_or_never(self, message: Msg, error: Exception) -> None:
        deliveries = message.metadata.num_delivered or 1
        if deliveries < MAX_DELIVERIES:
            await message.nak(RETRY_WAIT_S * 2**deliveries)
            return
        self._log.error("bus.dead_letter", subject=message.subject, error=repr(error))
        self._metrics.bus_dead_letters_total.inc()
        await self._client.publish(f"{subjects.DEAD_LETTERS}.{message.subject}", message.data, headers=message.headers)
        await message.term()

    async def _restore_streams(self) -> None:
        for name, stream_subjects in list(self._streams.items()):
            await self.ensure_stream(name, stream_subjects)


def _received(message: Msg) -> Message:
    return Message(message.subject, message.data, message.headers or {})


@asynccontextmanager
async def connect(url: str, name: str, metrics: Metrics) -> AsyncIterator[Bus]:
    """A bus that reconnects by itself for ever; raises Unavailable when no server answers in ten seconds."""
    log = structlog.get_logger()

    async def note(error: Exception) -> None:
        metrics.bus_errors_total.inc()
        if isinstance(error, SlowConsumerError):
            metrics.bus_dropped_total.labels("slow_consumer").inc()
        else:
            log.debug("bus.error", error=repr(error))

    client = Client()
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            await client.connect(
                url,
                name=name,
                error_cb=note,
                connect_timeout=1,
                reconnect_time_wait=RECONNECT_WAIT_S,  # type: ignore[arg-type]  # any number of seconds works
                max_reconnect_attempts=-1,
                pending_size=OUTBOUND_BYTES,
                flush_timeout=PUBLISH_TIMEOUT_S,
            )
    except (NatsError, OSError, TimeoutError) as error:
        await client.close()
        raise Unavailable(f"No NATS server answers at {_public(url)}.") from error
    try:
        yield Bus(client, metrics, log)
    finally:
        if client.is_connected:
            await _quietly(client.flush(timeout=1))
        await client.close()


async def _quietly(last_words: Awaitable[None]) -> None:
    try:
        await last_words
    except (NatsError, TimeoutError, OSError):
        return


def _public(url: str) -> str:
    scheme, _, rest = url.rpartition("//")
    return f"{scheme}//{rest.rpartition('@')[2]}" if scheme else rest.rpartition("@")[2]
