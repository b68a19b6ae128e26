"""A durable channel: its events live and in order, and its past for whoever resumes."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from fleet import subjects
from fleet.consumption import heed_cancel
from neuraltrader.execution.v1 import execution_pb2
from neuraltrader.portfolio.v1 import portfolio_pb2
from services.gateway.schemas.book import money_text, position_view
from services.gateway.schemas.orders import event_view
from services.gateway.websocket.frames import Channel, Frame, Type, frame
from services.gateway.websocket.hub import Hub
from services.gateway.websocket.journal import Journal, Stored
from services.gateway.websocket.market import parsed
from services.gateway.websocket.session import Session
from trading.errors import InvalidArgument, Unavailable

START_RETRY_S = 0.2


class Head(NamedTuple):
    """The newest event of an account: its place in the stream, and the cursor that clients know it by."""

    position: int
    cursor: int


NOTHING = Head(0, 0)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a durable channel consists of; `read` gives an event's account and its cursor."""

    channel: Channel
    stream: str
    everything: str
    read: Callable[[bytes], tuple[str, int]]
    frame_of: Callable[[bytes], Frame]
    subject_of: Callable[[str], str]

    def cursor_of(self, payload: bytes) -> int | None:
        """The cursor of an event, or None when it makes no sense."""
        try:
            return self.read(payload)[1]
        except InvalidArgument:
            return None


class Feed:
    """One durable channel. Places in the stream order everything; cursors are only for the clients."""

    def __init__(self, kind: Kind, journal: Journal, hub: Hub, log: Any) -> None:
        self.kind = kind
        self._journal = journal
        self._hub = hub
        self._log = log
        self._told: int | None = None
        """Everything up to this place has been told to whoever is live; None before the first look."""

    async def run(self) -> None:
        """Tell every event once and in order, for ever."""
        begin = self._told = await self._begin()
        async for stored in self._journal.follow(self.kind.everything, begin + 1):
            try:
                self._tell(stored)
            except InvalidArgument as error:
                self._log.warning("stream.event.refused", position=stored.position, error=error.message)

    async def head(self, account: str) -> Head:
        """An account's newest event; raises Unavailable."""
        stored = await self._journal.newest(self.kind.subject_of(account))
        return NOTHING if stored is None else Head(stored.position, self.kind.cursor_of(stored.payload) or 0)

    async def resume(self, session: Session, account: str, after: int) -> bool:
        """Send what came after a cursor, then go live; False, with nothing sent, when some of it is gone.

        Raises Unavailable.
        """
        head = await self.head(account)
        if head.cursor and after > head.cursor:
            return False
        start = await self._journal.find(self.kind.subject_of(account), after)
        if not start.is_whole:
            return False
        await self.catch_up(session, account, start.position - 1)
        return True

    async def catch_up(self, session: Session, account: str, position: int) -> None:
        """Send what came after a place, then go live; raises Unavailable.

        Between the last look at what has been told and going live there is no await: nothing falls in between.
        """
        subject = self.kind.subject_of(account)
        while position < (told := self._told_now()) and not session.is_closed:
            async for stored in self._journal.read(subject, position + 1):
                await session.room()
                if self.kind.cursor_of(stored.payload) is not None:
                    session.offer(self.kind.frame_of(stored.payload))
                position = stored.position
            position = max(position, told)
        session.positions[self.kind.channel, account] = position

    def _told_now(self) -> int:
        if self._told is None:
            raise Unavailable("The stream of events has not been reached yet.", stream=self.kind.stream)
        return self._told

    async def _begin(self) -> int:
        while True:
            try:
                return await self._journal.end()
            except Unavailable as error:
                self._log.debug("stream.feed.waits", channel=self.kind.channel.value, error=error.message)
                await asyncio.sleep(START_RETRY_S)
                heed_cancel()

    def _tell(self, stored: Stored) -> None:
        self._told = stored.position
        account, _ = self.kind.read(stored.payload)
        if self._hub.has_audience(self.kind.channel, account):
            told = self.kind.frame_of(stored.payload)
            told.position = stored.position
            self._hub.publish(told)


def _read_order(payload: bytes) -> tuple[str, int]:
    event = parsed(execution_pb2.OrderEvent(), payload)
    return event.order.account, event.log_sequence


def _order_frame(payload: bytes) -> Frame:
    event = parsed(execution_pb2.OrderEvent(), payload)
    return frame(
        Channel.ORDERS,
        event.order.account,
        event_view(event),
        event.event_time_ns,
        symbol=event.order.symbol,
        cursor=event.log_sequence,
    )


def _read_position(payload: bytes) -> tuple[str, int]:
    changed = parsed(portfolio_pb2.PositionChanged(), payload)
    return changed.position.account, changed.account_sequence


def _position_frame(payload: bytes) -> Frame:
    changed = parsed(portfolio_pb2.PositionChanged(), payload)
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
