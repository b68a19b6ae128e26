"""What happens to durable events between their delivery and their acknowledgement."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext

from fleet import envelope, subjects
from fleet.metrics import Metrics
from fleet.telemetry import span
from trading.errors import Kind, TradingError

FETCH_TIMEOUT_S = 1.0
CLAIM_EVERY_S = 1.0
MAX_DELIVERIES = 5
RETRY_WAIT_S = 0.2
_NO_EVENT_TO_BLAME = frozenset({Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED, Kind.RESOURCE_EXHAUSTED, Kind.ABORTED})


class Message(NamedTuple):
    """One message; `payload` is whatever its subject promises."""

    subject: str
    payload: bytes
    headers: Mapping[str, str]


Handle = Callable[[list[Message]], Awaitable[None]]


def heed_cancel() -> None:
    """End a task that was canceled while nats-py flushed or connected: the cancel is lost there, a loop would go on.

    (A connection that fails in the very moment of the cancel hides it: asyncio.wait_for of Python 3.11.)
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class Consumption:
    """Hands fetched events to a handler, and tells JetStream how it went."""

    def __init__(self, client: Client, handle: Handle, metrics: Metrics, log: Any) -> None:
        self._client = client
        self._handle = handle
        self._metrics = metrics
        self._log = log

    async def run(self, subscription: JetStreamContext.PullSubscription, batch: int) -> None:
        """Fetch and settle batches until NATS fails; raises its error."""
        try:
            while True:
                heed_cancel()
                try:
                    messages = await subscription.fetch(batch, FETCH_TIMEOUT_S)
                except TimeoutError:  # nats-py raises its own kind, or asyncio's when it woke up late
                    await self._must_exist(subscription)
                    continue
                async with _claimed(messages):
                    await self._settle(messages)
        finally:
            with suppress(NatsError):
                await subscription.unsubscribe()

    async def _must_exist(self, subscription: JetStreamContext.PullSubscription) -> None:
        """Raise when a wiped store took the consumer with it; silence may also mean that nothing happens."""
        with suppress(NatsTimeoutError):
            await subscription.consumer_info()

    async def _settle(self, messages: Sequence[Msg]) -> None:
        try:
            await self._patiently(messages)
        except Exception:  # the boundary of handling: which message it was is found one by one
            self._log.exception("bus.handle.failed", messages=len(messages))
            await self._one_by_one(messages)
        else:
            for message in messages:
                await message.ack()

    async def _one_by_one(self, messages: Sequence[Msg]) -> None:
        for message in messages:
            try:
                with span(message.subject, (message.headers or {}).get(envelope.TRACEPARENT)):
                    await self._patiently([message])
            except Exception as error:  # the boundary of handling: redeliver or give up
                await self._again_or_never(message, error)
            else:
                await message.ack()

    async def _patiently(self, messages: Sequence[Msg]) -> None:
        """Handle messages, again and again while a part of the fleet is away; raises what is their own fault."""
        received = [_received(message) for message in messages]
        while True:
            try:
                return await self._handle(received)
            except TradingError as error:
                if error.kind not in _NO_EVENT_TO_BLAME:
                    raise
                self._log.warning("bus.handle.waits", messages=len(messages), error=str(error))
            await asyncio.sleep(RETRY_WAIT_S)

    async def _again_or_never(self, message: Msg, error: Exception) -> None:
        deliveries = message.metadata.num_delivered or 1
        if deliveries < MAX_DELIVERIES:
            await message.nak(RETRY_WAIT_S * 2**deliveries)
            return
        self._log.error("bus.dead_letter", subject=message.subject, error=repr(error))
        self._metrics.bus_dead_letters_total.inc()
        await self._client.publish(f"{subjects.DEAD_LETTERS}.{message.subject}", message.data, headers=message.headers)
        await message.term()


def _received(message: Msg) -> Message:
    return Message(message.subject, message.data, message.headers or {})


@asynccontextmanager
async def _claimed(messages: Sequence[Msg]) -> AsyncIterator[None]:
    """Keep fetched messages ours for longer than the ack wait, which is short so that a crash delays them little."""

    async def claim() -> None:
        while True:
            await asyncio.sleep(CLAIM_EVERY_S)
            for message in messages:
                if not message.is_acked:
                    with suppress(NatsError):
                        await message.in_progress()

    claiming = asyncio.create_task(claim())
    try:
        yield
    finally:
        claiming.cancel()
