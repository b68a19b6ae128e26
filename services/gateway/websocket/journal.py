"""The past of a durable channel, read from JetStream by the sequence that its events carry."""

from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, RawStreamMsg
from nats.js.errors import NotFoundError

from trading.errors import Unavailable

FETCH_BATCH = 256
FETCH_TIMEOUT_S = 0.5
IDLE_CONSUMER_S = 30.0


class Past(NamedTuple):
    """Where the events after a cursor begin; `is_whole` is False when older ones have been discarded."""

    stream_sequence: int
    is_whole: bool


class Journal:
    """Events of one stream, whose own sequences rise with the stream's."""

    def __init__(self, jetstream: JetStreamContext, stream: str, sequence_of: Callable[[bytes], int]) -> None:
        self._jetstream = jetstream
        self._stream = stream
        self._sequence_of = sequence_of

    async def head(self, subject: str) -> int:
        """Sequence of the newest event, 0 before the first; raises Unavailable."""
        try:
            message = await self._jetstream.get_last_msg(self._stream, subject)
        except NotFoundError:
            return 0
        except (NatsError, TimeoutError) as error:
            raise Unavailable("The stream of events cannot be read.", stream=self._stream) from error
        return self._sequence_of(message.data or b"")

    async def after(self, subject: str, cursor: int) -> tuple[bool, AsyncIterator[bytes]]:
        """Whether the past is whole, and every event after `cursor`, oldest first; raises Unavailable."""
        try:
            past = await self._find(subject, cursor)
        except (NatsError, TimeoutError) as error:
            raise Unavailable("The stream of events cannot be read.", stream=self._stream) from error
        return past.is_whole, self._read(subject, past.stream_sequence, cursor)

    async def _find(self, subject: str, cursor: int) -> Past:
        """Bisect the stream: some twenty look-ups instead of reading it from the start."""
        state = (await self._jetstream.stream_info(self._stream)).state
        low, high = state.first_seq, state.last_seq + 1
        while low < high:
            middle = (low + high) // 2
            found = await self._at_or_after(subject, middle)
            if found is None or self._sequence_of(found.data or b"") > cursor:
                high = middle
            else:
                low = (found.seq or middle) + 1
        return Past(low, state.first_seq <= 1 or low > state.first_seq)

    async def _at_or_after(self, subject: str, stream_sequence: int) -> RawStreamMsg | None:
        try:
            return await self._jetstream.get_msg(self._stream, stream_sequence, subject=subject, next=True)
        except NotFoundError:
            return None

    async def _read(self, subject: str, stream_sequence: int, cursor: int) -> AsyncIterator[bytes]:
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=stream_sequence,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=IDLE_CONSUMER_S,
        )
        try:
            subscription = await self._jetstream.pull_subscribe(subject, stream=self._stream, config=config)
            pending = (await subscription.consumer_info()).num_pending or 0
            while pending > 0:
                messages = await subscription.fetch(min(FETCH_BATCH, pending), FETCH_TIMEOUT_S)
                pending -= len(messages)
                for message in messages:
                    if self._sequence_of(message.data) > cursor:
                        yield message.data
            await subscription.unsubscribe()
        except NatsTimeoutError:
            return
        except (NatsError, TimeoutError) as error:
            raise Unavailable("The stream of events cannot be read.", stream=self._stream) from error
