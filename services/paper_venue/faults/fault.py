"""One scripted fault: what goes wrong, where, how often and for how long."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated

import msgspec

_Seconds = Annotated[float, msgspec.Meta(gt=0, le=3_600)]


class Protocol(StrEnum):
    """Whose words are spoken."""

    ALPACA = "alpaca"
    POLYGON = "polygon"
    BINANCE = "binance"


class Transport(StrEnum):
    """How they are carried."""

    HTTP = "http"
    STREAM = "stream"


class Channel(StrEnum):
    """What a message of a stream is about; CONTROL are greetings, acknowledgements, answers and errors."""

    TRADES = "trades"
    QUOTES = "quotes"
    BARS = "bars"
    BOOKS = "books"
    ORDERS = "orders"
    CONTROL = "control"
    OTHER = "other"


class Kind(StrEnum):
    """What goes wrong; `MEANINGS` says how it looks on each transport."""

    REFUSE = "refuse"
    STATUS = "status"
    DROP = "drop"
    MUTE = "mute"
    DELAY = "delay"
    DISCONNECT = "disconnect"
    LATE = "late"
    DUPLICATE = "duplicate"
    REORDER = "reorder"


MEANINGS: dict[Kind, dict[Transport, str]] = {
    Kind.REFUSE: {
        Transport.HTTP: "the connection is reset, the request is not handled",
        Transport.STREAM: "the connection is reset instead of upgraded; open ones stay",
    },
    Kind.STATUS: {
        Transport.HTTP: "`status` is answered in the venue's words, the request is not handled",
        Transport.STREAM: "the upgrade is answered with `status`; open ones stay",
    },
    Kind.DROP: {
        Transport.HTTP: "the request is not handled and never answered",
        Transport.STREAM: "the message is not sent",
    },
    Kind.MUTE: {
        Transport.HTTP: "the request is handled and never answered: a timeout after accept",
        Transport.STREAM: "nothing in scope is sent while the connection stays open",
    },
    Kind.DELAY: {
        Transport.HTTP: "the request is handled and answered after `delay_s`",
        Transport.STREAM: "the frame is sent after `delay_s`, and all others behind it",
    },
    Kind.DISCONNECT: {
        Transport.HTTP: "the request is handled, then the connection is reset instead of answered",
        Transport.STREAM: "the connection is reset in the message's place, or closed with `code`; a fault for whole "
        "connections ends the open ones at once",
    },
    Kind.LATE: {Transport.STREAM: "the message is sent after `delay_s`; others overtake it"},
    Kind.DUPLICATE: {Transport.STREAM: "the message is sent twice"},
    Kind.REORDER: {
        Transport.STREAM: "the message is sent after the next one (of `channel`), or after `delay_s` when none comes"
    },
}
"""How each kind looks; a kind that a transport lacks never strikes there."""


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What to let go wrong; what is left out restricts nothing.

    `path` is a prefix. `method` is for HTTP, `channel` and `event` are for messages of streams; the event "fill"
    means partial fills too. `count` bounds how often it strikes, `duration_s` how long; with neither it stays.
    A STATUS is answered with the venue's usual code and words for it, or with `error_code` and `message`.
    """

    kind: Kind
    protocol: Protocol | None = None
    transport: Transport | None = None
    path: str = ""
    method: str = ""
    channel: Channel | None = None
    event: str = ""
    symbols: tuple[str, ...] = ()
    count: Annotated[int, msgspec.Meta(ge=1)] | None = None
    duration_s: _Seconds | None = None
    delay_s: _Seconds = 1.0
    status: Annotated[int, msgspec.Meta(ge=400, le=599)] = 503
    error_code: int | None = None
    message: str = ""
    retry_after_s: Annotated[int, msgspec.Meta(ge=0)] | None = None
    code: Annotated[int, msgspec.Meta(ge=1000, le=4999)] | None = None

    @property
    def is_for_messages(self) -> bool:
        """It picks messages of a stream, not whole connections."""
        return self.channel is not None or bool(self.event) or bool(self.symbols)

    def covers(self, place: "Place") -> bool:
        """It can strike there."""
        return (
            place.transport in MEANINGS[self.kind]
            and self.protocol in (None, place.protocol)
            and self.transport in (None, place.transport)
            and place.path.startswith(self.path)
            and self.method.upper() in ("", place.method)
            and (place.transport is Transport.STREAM or not (self.channel or self.event))
        )

    def picks(self, message: "Message") -> bool:
        """It strikes this message, or request."""
        return (
            self.channel in (None, message.channel)
            and (not self.event or message.event == self.event or message.event == f"partial_{self.event}")
            and (not self.symbols or bool(set(self.symbols) & message.symbols))
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Where something may go wrong: one request, or one connection; `method` is in capitals."""

    protocol: Protocol
    transport: Transport
    path: str
    method: str = "GET"


@dataclass(frozen=True, slots=True)
class Message:
    """What a message or a request is about; symbols are canonical."""

    channel: Channel | None = None
    symbols: frozenset[str] = frozenset()
    event: str = ""


@dataclass(frozen=True, slots=True)
class Armed:
    """A fault that waits for its occasions; `ends_ns` on the monotonic clock, `hits` how often it has struck."""

    fault_id: int
    fault: Fault
    ends_ns: int | None
    hits: int = 0

    def is_active(self, now_ns: int) -> bool:
        """It may still strike."""
        spent = self.fault.count is not None and self.hits >= self.fault.count
        return not spent and (self.ends_ns is None or now_ns < self.ends_ns)


class TooManyFaults(Exception):
    """The board holds no more active faults."""


class Board:
    """Every fault that has been armed, oldest first; `now_ns` is monotonic. Spent ones are forgotten when room ends."""

    def __init__(self, now_ns: Callable[[], int], most: int = 100) -> None:
        self._now_ns = now_ns
        self._most = most
        self._armed: dict[int, Armed] = {}
        self._last_id = 0

    def arm(self, fault: Fault) -> Armed:
        """Let it go wrong from now on; raises TooManyFaults."""
        self._make_room()
        self._last_id += 1
        ends_ns = None if fault.duration_s is None else self._now_ns() + round(fault.duration_s * 1e9)
        armed = Armed(self._last_id, fault, ends_ns)
        self._armed[armed.fault_id] = armed
        return armed

    def disarm(self, fault_id: int) -> bool:
        """Take one back; says whether it was there."""
        return self._armed.pop(fault_id, None) is not None

    def clear(self) -> None:
        """Take all back."""
        self._armed.clear()

    def listed(self) -> list[tuple[Armed, bool]]:
        """All faults, and whether each may still strike."""
        now_ns = self._now_ns()
        return [(armed, armed.is_active(now_ns)) for armed in self._armed.values()]

    def covering(self, place: Place) -> list[Armed]:
        """The active faults that can strike at a place."""
        if not self._armed:
            return []
        now_ns = self._now_ns()
        return [armed for armed in self._armed.values() if armed.fault.covers(place) and armed.is_active(now_ns)]

    def strike(self, armed: Armed) -> bool:
        """Count one occasion; says whether the fault was still active."""
        current = self._armed.get(armed.fault_id)
        if current is None or not current.is_active(self._now_ns()):
            return False
        self._armed[armed.fault_id] = replace(current, hits=current.hits + 1)
        return True

    def _make_room(self) -> None:
        for armed, active in self.listed():
            if len(self._armed) >= self._most and not active:
                del self._armed[armed.fault_id]
        if len(self._armed) >= self._most:
            raise TooManyFaults(f"Expected at most {self._most} active faults.")
