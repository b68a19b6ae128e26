"""Durable events on their way to JetStream: many under way at once, each acknowledged by itself.

All go out in one piece, and all acks come to one inbox, where they are read as the socket is. (nats-py's own publish
makes a request of each event: a future, a timeout and a task.)
"""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from fleet import envelope
from fleet.consumption import Message
from fleet.core_nats import CoreNats, Letter
from fleet.nats_wire import STATUS, NatsLost
from trading.errors import Unavailable
from trading.ids import new_id

_NO_RESPONDERS = "503"


class Event(NamedTuple):
    """One durable event; `event_id` is stored once, `time_ns` is UTC."""

    subject: str
    payload: bytes
    event_id: str
    event_type: str
    source: str
    time_ns: int
    traceparent: str | None = None


class StreamGone(Unavailable):
    """No stream takes the event: its store was wiped."""


class Publication:
    """Publishes through one connection."""

    def __init__(self, core: CoreNats, timeout_s: float) -> None:
        self._core = core
        self._timeout_s = timeout_s
        self._numbers = itertools.count()
        self._inbox = ""
        self._waiting: dict[str, tuple[_Round, int]] = {}

    async def publish(self, events: Sequence[Event]) -> list[Unavailable | None]:
        """Publish in order and wait for the acks; gives the outcome of each event, None where it is stored."""
        if not self._inbox:
            self._inbox = f"_INBOX.{new_id()}"
            self._core.hear(f"{self._inbox}.*", self._take)
        waiting = _Round(len(events))
        tokens = [str(next(self._numbers)) for _ in events]
        for place, token in enumerate(tokens):
            self._waiting[token] = waiting, place
        try:
            self._send(events, tokens, waiting)
            await waiting.wait(self._timeout_s)
        finally:
            for token in tokens:
                self._waiting.pop(token, None)
        return [_outcome(event, found) for event, found in zip(events, waiting.outcomes, strict=True)]

    def _send(self, events: Sequence[Event], tokens: Sequence[str], waiting: "_Round") -> None:
        """After the first that cannot be sent none is, so that a later one overtakes no earlier one."""
        frames, lost = [], ""
        for place, (event, token) in enumerate(zip(events, tokens, strict=True)):
            if not lost:
                try:
                    frames.append(self._core.framed(self._letter(event, token)))
                except (NatsLost, ValueError) as error:
                    lost = repr(error)
            if lost:
                waiting.settle(place, lost)
        if frames:
            self._core.post(frames)

    def _letter(self, event: Event, token: str) -> Letter:
        headers = envelope.header_lines(
            event_id=event.event_id,
            event_type=event.event_type,
            source=event.source,
            time_ns=event.time_ns,
            traceparent=event.traceparent,
        )
        return Letter(event.subject, f"{self._inbox}.{token}", headers, event.payload)

    def _take(self, message: Message) -> None:
        waiting, place = self._waiting.pop(message.subject.rpartition(".")[2], (None, 0))
        if waiting is not None:
            waiting.settle(place, _verdict(message))


class _Round:
    """What becomes of some events that were sent together; an outcome that stays None never came."""

    def __init__(self, count: int) -> None:
        self.outcomes: list[str | None] = [None] * count
        self._missing = count
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(self, place: int, outcome: str) -> None:
        """Take in one outcome, once; "" is an ack."""
        self.outcomes[place] = outcome
        self._missing -= 1
        if not self._missing and not self._done.done():
            self._done.set_result(None)

    async def wait(self, timeout_s: float) -> None:
        """Until every outcome is known, or the time is over."""
        if self._missing:
            await asyncio.wait((self._done,), timeout=timeout_s)


class _Ack(msgspec.Struct):
    seq: int = 0
    error: Mapping[str, int | str] | None = None


_decode_ack = msgspec.json.Decoder(_Ack).decode


def _verdict(message: Message) -> str:
    if message.headers.get(STATUS) == _NO_RESPONDERS:
        return _NO_RESPONDERS
    try:
        ack = _decode_ack(message.payload)
    except msgspec.DecodeError as error:
        return f"not an ack ({error})"
    return "" if ack.seq else str(ack.error)


def _outcome(event: Event, found: str | None) -> Unavailable | None:
    if found == "":
        return None
    if found == _NO_RESPONDERS:
        return StreamGone("The stream was gone; try again.", subject=event.subject)
    return _unavailable(event, found or "no ack in time")


def _unavailable(event: Event, cause: object) -> Unavailable:
    return Unavailable("JetStream does not answer.", subject=event.subject, cause=str(cause))
