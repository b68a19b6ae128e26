"""Frames of the stream: encoded once for all clients, each client's `seq` written in between."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

EVERYTHING = "*"


class Channel(StrEnum):
    """What can be followed."""

    QUOTES = "quotes"
    TRADES = "trades"
    BARS = "bars"
    SIGNALS = "signals"
    ORDERS = "orders"
    POSITIONS = "positions"
    ACCOUNT = "account"
    SYSTEM = "system"


BY_SYMBOL = frozenset({Channel.QUOTES, Channel.TRADES, Channel.BARS, Channel.SIGNALS})
BY_ACCOUNT = frozenset({Channel.ORDERS, Channel.POSITIONS, Channel.ACCOUNT})
DURABLE = frozenset({Channel.ORDERS, Channel.POSITIONS})
NEWEST_WINS = frozenset({Channel.QUOTES, Channel.ACCOUNT})


class Type(StrEnum):
    """What a frame's data is."""

    SNAPSHOT = "snapshot"
    UPDATE = "update"
    GAP = "gap"


class CloseCode:
    """Why the gateway closes a stream; the AsyncAPI document explains each."""

    GOING_AWAY = 1001
    UNSUPPORTED_DATA = 1003
    TRY_AGAIN_LATER = 1013
    UNAUTHENTICATED = 4401
    FORBIDDEN = 4403
    NO_KEY_IN_TIME = 4408
    TOO_SLOW = 4429


@dataclass(slots=True)
class Frame:
    """One frame, but for the client's own `seq`; `skipped` counts what it stands for beside itself."""

    channel: Channel
    key: str
    head: str
    tail: str
    skipped: int = 0
    position: int = 0
    """Place of a durable event in its stream."""
    conflates: bool = False
    """A newer frame of the same key may take its place."""

    def text(self, seq: int, skipped: int) -> str:
        """The frame as a client gets it."""
        note = f',"skipped":{skipped}' if skipped else ""
        return f"{self.head}{seq}{note}{self.tail}"


def frame(
    channel: Channel,
    key: str,
    data: object,
    ts_ns: int,
    *,
    type: Type = Type.UPDATE,
    symbol: str | None = None,
    skipped: int = 0,
    cursor: int | None = None,
) -> Frame:
    """Encode a frame; `key` is what clients subscribe by, a symbol or an account."""
    head = f'{{"channel":"{channel.value}","type":"{type.value}","symbol":{_text(symbol)},"seq":'
    mark = f',"cursor":"{cursor}"' if cursor is not None else ""
    tail = f',"ts_ns":"{ts_ns}"{mark},"data":{_text(data)}}}'
    conflates = channel in NEWEST_WINS and type is Type.UPDATE
    return Frame(channel, key, head, tail, skipped, conflates=conflates)


def note(op: str, **facts: Any) -> str:
    """A frame about the stream itself: ack, error or heartbeat."""
    return _text({"op": op, **facts})


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
