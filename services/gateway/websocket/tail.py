"""The live end of a JetStream stream, pushed as it happens: no request per event, and no event missed in silence."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

WAITING_MOST = 1024
SILENCE_S = 2.0
IDLE_CONSUMER_S = 30.0


class Broken(Exception):
    """Some event was delivered and did not arrive: begin again after the last that did."""


class Tail:
    """Events in the order of the stream; the consumer numbers what it delivers, so a loss shows."""

    def __init__(self, subscription: JetStreamContext.PushSubscription, arrived: "asyncio.Queue[Msg]") -> None:
        self._subscription = subscription
        self._arrived = arrived
        self._delivered = 0

    async def next(self) -> Msg:
        """The next event; raises Broken after a loss, NatsError when NATS or the consumer is gone."""
        while True:
            try:
                async with asyncio.timeout(SILENCE_S):
                    message = await self._arrived.get()
            except TimeoutError:
                await self._check()
                continue
            self._delivered += 1
            if message.metadata.sequence.consumer != self._delivered:
                raise Broken
            return message

    async def _check(self) -> None:
        """Silence may mean that nothing happens, or that the last words were lost with a connection."""
        info = await self._subscription.consumer_info()
        told = info.delivered.consumer_seq if info.delivered else 0
        if self._arrived.empty() and told > self._delivered:
            raise Broken


@asynccontextmanager
async def tail(jetstream: JetStreamContext, stream: str, subject: str, position: int) -> AsyncIterator[Tail]:
    """Follow a stream from `position` on; raises NatsError."""
    arrived: asyncio.Queue[Msg] = asyncio.Queue(WAITING_MOST)
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=max(position, 1),
        ack_policy=AckPolicy.NONE,
        inactive_threshold=IDLE_CONSUMER_S,
    )
    subscription = await jetstream.subscribe(subject, stream=stream, config=config, cb=arrived.put)
    try:
        yield Tail(subscription, arrived)
    finally:
        with suppress(NatsError):
            await subscription.unsubscribe()
