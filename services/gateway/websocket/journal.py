"""The events of one JetStream stream: the newest, those after a cursor, and those to come."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from fleet.consumption import heed_cancel
from services.gateway.websocket.tail import Broken, tail
from trading.errors import Unavailable

FETCH_BATCH = 256
FETCH_TIMEOUT_S = 2.0
IDLE_CONSUMER_S = 30.0
RETRY_WAIT_S = 0.2


class Stored(NamedTuple):
    """An event and its place in the stream."""

    position: int
    payload: bytes


class Start(NamedTuple):
    """Where the events after a cursor begin; `is_whole` is False when older ones have been discarded."""

    position: int
    is_whole: bool


class _Place(NamedTuple):
    position: int
    sequence: int


class Journal:
    """Reads one stream, whose events carry rising sequences of their own; None marks one that makes no sense."""

    def __init__(
        self, jetstream: JetStreamContext, stream: str, sequence_of: Callable[[bytes], int | None], log: Any
    ) -> None:
        self._jetstream = jetstream
        self._stream = stream
        self._sequence_of = sequence_of
        self._log = log

    async def newest(self, subject: str) -> Stored | None:
        """The newest event, or None before the first; raises Unavailable."""
        try:
            message = await self._jetstream.get_last_msg(self._stream, subject)
        except NotFoundError:
            return None
        except (NatsError, TimeoutError) as error:
            raise self._unreadable() from error
        return Stored(message.seq or 0, message.data or b"")

    async def find(self, subject: str, cursor: int) -> Start:
        """The place of the first event after `cursor`, by bisection; raises Unavailable."""
        try:
            state = (await self._jetstream.stream_info(self._stream)).state
            low, high = state.first_seq, state.last_seq + 1
            while low < high:
                middle = (low + high) // 2
                found = await self._at_or_after(subject, middle)
                if found is None or found.sequence > cursor:
                    high = middle
                else:
                    low = found.position + 1
        except (NatsError, TimeoutError) as error:
            raise self._unreadable() from error
        return Start(low, state.first_seq <= 1 or low > state.first_seq)

    async def read(self, subject: str, position: int) -> AsyncIterator[Stored]:
        """Every event from `position` to the newest, oldest first; raises Unavailable."""
        try:
            subscription = await self._subscribe(subject, position)
            pending = (await subscription.consumer_info()).num_pending or 0
            while pending > 0:
                messages = await subscription.fetch(min(FETCH_BATCH, pending), FETCH_TIMEOUT_S)
                pending -= len(messages)
                for message in messages:
                    yield Stored(message.metadata.sequence.stream, message.data)
            await subscription.unsubscribe()
        except (NatsError, TimeoutError) as error:
            raise self._unreadable() from error

    async def follow(self, subject: str, position: int) -> AsyncIterator[Stored]:
        """Every event from `position` on, for ever, whatever happens to NATS meanwhile."""
        while True:
            try:
                async with tail(self._jetstream, self._stream, subject, position) as live:
                    while True:
                        heed_cancel()
                        message = await live.next()
                        position = message.metadata.sequence.stream + 1
                        yield Stored(position - 1, message.data)
            except (Broken, NatsError, TimeoutError) as error:
                self._log.debug("stream.follow.again", stream=self._stream, error=repr(error))
                await asyncio.sleep(RETRY_WAIT_S)
                position = await self._within(position)
                heed_cancel()

    async def end(self) -> int:
        """The place of the newest event of the whole stream, 0 while there is none; raises Unavailable."""
        try:
            return (await self._jetstream.stream_info(self._stream)).state.last_seq
        except NotFoundError:
            return 0
        except (NatsError, TimeoutError) as error:
            raise self._unreadable() from error

    async def _within(self, position: int) -> int:
        """A stream that was made anew begins again at 1."""
        try:
            return position if await self.end() + 1 >= position else 1
        except Unavailable:
            return position

    async def _subscribe(self, subject: str, position: int) -> JetStreamContext.PullSubscription:
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=max(position, 1),
            ack_policy=AckPolicy.NONE,
            inactive_threshold=IDLE_CONSUMER_S,
        )
        return await self._jetstream.pull_subscribe(subject, stream=self._stream, config=config)

    async def _at_or_after(self, subject: str, position: int) -> "_Place | None":
        """The first event there that can be read, or None at the end."""
        while True:
            try:
                message = await self._jetstream.get_msg(self._stream, position, subject=subject, next=True)
            except NotFoundError:
                return None
            position = message.seq or position
            sequence = self._sequence_of(message.data or b"")
            if sequence is not None:
                return _Place(position, sequence)
            position += 1

    def _unreadable(self) -> Unavailable:
        return Unavailable("The stream of events cannot be read.", stream=self._stream)
