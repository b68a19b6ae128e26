"""What a query process and its parent say to each other: a job one way, an answer with its bytes the other."""

import struct
from typing import BinaryIO

import msgspec

from services.market_data.ports import EncodedFrame
from trading.errors import Kind, TradingError, named

HEADER = struct.Struct("<Q")
READY = b"."
"""What a query process says first, once it has loaded what it needs."""


class Job(msgspec.Struct):
    """One SELECT, the most rows, how to write them, and after how many seconds the process ends by itself."""

    sql: str
    row_limit: int
    as_json: bool
    timeout_s: float


class Answer(msgspec.Struct):
    """How many bytes follow and what they are, or why there are none."""

    size: int = 0
    rows: int = 0
    truncated: bool = False
    kind: str = ""
    reason: str = ""
    message: str = ""

    def error(self) -> TradingError | None:
        """The error that it stands for, if it does."""
        return named(Kind(self.kind), self.reason, self.message, {"field": "sql"}) if self.kind else None


def framed(content: msgspec.Struct) -> bytes:
    """A struct behind its length."""
    packed = msgspec.msgpack.encode(content)
    return HEADER.pack(len(packed)) + packed


def write_answer(target: BinaryIO, found: EncodedFrame | TradingError) -> None:
    """Say what was found, or what went wrong."""
    if isinstance(found, TradingError):
        target.write(framed(Answer(kind=found.kind.value, reason=found.reason, message=found.message)))
    else:
        target.write(framed(Answer(found.size_bytes, found.rows, found.truncated)))
        target.writelines(found.parts)
    target.flush()
