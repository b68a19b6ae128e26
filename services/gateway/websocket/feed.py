"""A durable channel live: events from NATS as they come, holes mended from the stream, the past for whoever resumes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from fleet import subjects
from fleet.bus import Bus
from neuraltrader.execution.v1 import execution_pb2
from neuraltrader.portfolio.v1 import portfolio_pb2
from services.gateway.schemas.book import money_text, position_view
from services.gateway.schemas.orders import event_view
from services.gateway.websocket.frames import Channel, Frame, Type, frame
from services.gateway.websocket.hub import Hub
from services.gateway.websocket.journal import Journal
from services.gateway.websocket.session import Session
from trading.errors import TradingError

MEND_TRIES = 5
MEND_WAIT_S = 0.2
CHECK_INTERVAL_S = 5.0


class Event(NamedTuple):
    """An event, whose it is, and its place; events of one `line` follow one another without holes."""

    account: str
    sequence: int
    line: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Kind:
    """What a durable channel consists of."""

    channel: Channel
    stream: str
    everything: str
    read: Callable[[bytes], Event]
    frame_of: Callable[[bytes], Frame]
    subject_of: Callable[[str], str]


class Feed:
    """One durable channel."""

    def __init__(self, kind: Kind, journal: Journal, hub: Hub, log: Any) -> None:
        self.kind = kind
        self._journal = journal
        self._hub = hub
        self._log = log
        self._newest: dict[str, int] = {}
        """Newest sequence of each line."""
        self._published: dict[str, int] = {}
        """Newest sequence that went out, by account."""
        self._turn = asyncio.Lock()

    async def run(self, bus: Bus) -> None:
        """Publish every event once and in order, for ever."""
        async for message in bus.listen(self.kind.everything):
            async with self._turn:
                await self._take(self.kind.read(message.payload))

    async def watch(self) -> None:
        """Look now and then whether the last events before a silence were lost."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            for line, newest in list(self._newest.items()):
                await self._check(line, newest)

    async def head(self, account: str) -> int:
        """Sequence of an account's newest event; raises Unavailable."""
        return await self._journal.head(self.kind.subject_of(account))

    async def catch_up(self, session: Session, account: str, cursor: int) -> bool:
        """Send what came after `cursor`, then go live; False, with nothing sent, when some of it has been discarded.

        Raises Unavailable. Between the last look at what was published and going live there is no await, so
        nothing falls in between.
        """
        while self._published.get(account, cursor + 1) > cursor and not session.is_closed:
            is_whole, events = await self._journal.after(self.kind.subject_of(account), cursor)
            if not is_whole:
                return False
            reached = await self._send(session, events, cursor)
            if reached == cursor:
                break
            cursor = reached
        session.cursors[self.kind.channel, account] = cursor
        return True

    async def _send(self, session: Session, events: AsyncIterator[bytes], cursor: int) -> int:
        async for payload in events:
            await session.room()
            session.offer(self.kind.frame_of(payload))
            cursor = self.kind.read(payload).sequence
        return cursor

    async def _check(self, line: str, newest: int) -> None:
        subject = self.kind.subject_of(line) if line else self.kind.everything
        try:
            head = await self._journal.head(subject)
            if head > newest:
                async with self._turn:
                    await self._mend(line, head)
        except TradingError as error:
            self._log.warning("stream.check.failed", channel=self.kind.channel.value, error=error.message)

    async def _take(self, event: Event) -> None:
        newest = self._newest.get(event.line)
        if newest is not None and event.sequence > newest + 1:
            await self._mend(event.line, event.sequence)
        if event.sequence > self._newest.get(event.line, 0):
            self._publish(event)

    def _publish(self, event: Event) -> None:
        self._newest[event.line] = event.sequence
        self._published[event.account] = event.sequence
        if self._hub.has_audience(self.kind.channel, event.account):
            self._hub.publish(self.kind.frame_of(event.payload))

    async def _mend(self, line: str, until: int) -> None:
        """Publish what lies between the newest event and `until`, from the stream."""
        subject = self.kind.subject_of(line) if line else self.kind.everything
        for _ in range(MEND_TRIES):
            try:
                await self._publish_after(subject, line)
            except TradingError as error:
                self._log.warning("stream.mend.failed", channel=self.kind.channel.value, error=error.message)
            if self._newest.get(line, 0) >= until:
                return
            await asyncio.sleep(MEND_WAIT_S)

    async def _publish_after(self, subject: str, line: str) -> None:
        _, events = await self._journal.after(subject, self._newest.get(line, 0))
        async for payload in events:
            event = self.kind.read(payload)
            if event.sequence > self._newest.get(line, 0):
                self._publish(event)


def _read_order(payload: bytes) -> Event:
    event = execution_pb2.OrderEvent.FromString(payload)
    return Event(event.order.account, event.log_sequence, "", payload)


def _order_frame(payload: bytes) -> Frame:
    event = execution_pb2.OrderEvent.FromString(payload)
    return frame(
        Channel.ORDERS,
        event.order.account,
        event_view(event),
        event.event_time_ns,
        symbol=event.order.symbol,
        cursor=event.log_sequence,
    )


def _read_position(payload: bytes) -> Event:
    changed = portfolio_pb2.PositionChanged.FromString(payload)
    account = changed.position.account
    return Event(account, changed.account_sequence, account, payload)


def _position_frame(payload: bytes) -> Frame:
    changed = portfolio_pb2.PositionChanged.FromString(payload)
    position = changed.position
    data = {
        "account": position.account,
        **position_view(position),
        "cash": money_text(changed.cash),
        "event_id": changed.event_id,
    }
    return frame(
        Channel.POSITIONS,
        position.account,
        data,
        position.updated_time_ns,
        symbol=position.symbol,
        cursor=changed.account_sequence,
    )


def _orders_of(account: str) -> str:
    return subjects.order_event("*", account)


ORDERS = Kind(Channel.ORDERS, subjects.ORDER_STREAM, subjects.ORDERS_ALL, _read_order, _order_frame, _orders_of)
POSITIONS = Kind(
    Channel.POSITIONS,
    subjects.POSITION_STREAM,
    subjects.POSITIONS_ALL,
    _read_position,
    _position_frame,
    subjects.position_changed,
)


def gap_frame(channel: Channel, account: str, after: int, ts_ns: int) -> Frame:
    """Says that events after a cursor are gone, and that a snapshot follows."""
    data = {"account": account, "after": str(after), "reason": "older events are gone; a snapshot follows"}
    return frame(channel, account, data, ts_ns, type=Type.GAP)


def sequence_reader(kind: Kind) -> Callable[[bytes], int]:
    """The sequence of an event, for a journal."""

    def sequence_of(payload: bytes) -> int:
        return kind.read(payload).sequence

    return sequence_of
