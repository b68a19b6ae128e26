"""Alpaca's times: msgpack timestamps and RFC 3339 texts as ns UTC."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np

from trading.market import Int64Column
from trading.money import MAX_NANOS, ONE

UNREADABLE = -1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FRACTION = re.compile(r"\.(\d{1,9})")
_TIMESTAMP_64 = b"\xd7\xff"
_TIMESTAMP_32 = b"\xd6\xff"
_TIMESTAMP_96 = b"\xc7\x0c\xff"
_TIMESTAMP_64_BYTES = 10
_SECONDS_BITS = 34
_FEW = 16  # up to so many are read faster one by one
_SECONDS_MASK = (1 << _SECONDS_BITS) - 1


def times_ns(raw: Sequence[msgspec.Raw]) -> Int64Column:
    """Times of many ticks; UNREADABLE where there is none. The usual forms are read all at once."""
    if len(raw) <= _FEW:
        return np.array([time_ns(bytes(time)) for time in raw], np.int64)
    joined = b"".join(raw)
    if len(joined) == _TIMESTAMP_64_BYTES * len(raw):
        rows = np.frombuffer(joined, np.uint8).reshape(-1, _TIMESTAMP_64_BYTES)
        if (rows[:, 0] == _TIMESTAMP_64[0]).all() and (rows[:, 1] == _TIMESTAMP_64[1]).all():
            packed = rows[:, 2:].copy().view(">u8").ravel().astype(np.uint64)
            seconds, nanos = packed & np.uint64(_SECONDS_MASK), packed >> np.uint64(_SECONDS_BITS)
            return (seconds * np.uint64(ONE) + nanos).astype(np.int64)  # the year 2262 turns negative: unreadable
    if (times := _utc_texts(raw)) is not None:
        return times
    return np.fromiter((time_ns(bytes(time)) for time in raw), np.int64, len(raw))


def rfc3339_ns(text: str) -> int:
    """ns UTC of a time with up to nine decimals and an offset; raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("Expected a time with its offset.")
    seconds = (moment.replace(microsecond=0) - _EPOCH) // timedelta(seconds=1)
    fraction = _FRACTION.search(text)
    return seconds * ONE + (int(fraction[1].ljust(9, "0")) if fraction else 0)


def rfc3339(time_ns: int) -> str:
    """A time as text with nine decimals; `time_ns` within int64."""
    seconds, nanos = divmod(time_ns, ONE)
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{nanos:09d}Z"


def _utc_texts(raw: Sequence[msgspec.Raw]) -> Int64Column | None:
    """Times that are all JSON texts in UTC, or None when one is not."""
    texts = [bytes(time) for time in raw]
    if not all(text[-2:] == b'Z"' for text in texts):
        return None
    try:
        return np.array([text[1:-2].decode() for text in texts], "M8[ns]").view(np.int64)
    except (ValueError, OverflowError):
        return None


def time_ns(raw: bytes) -> int:
    """One time; UNREADABLE when it is none."""
    try:
        found = _read(raw)
    except (ValueError, OverflowError):  # msgspec's errors are ValueErrors too
        return UNREADABLE
    return found if 0 <= found <= MAX_NANOS else UNREADABLE


def _read(raw: bytes) -> int:
    if raw[:1] == b'"':
        return rfc3339_ns(raw[1:-1].decode())
    if raw[:2] == _TIMESTAMP_64:
        packed = int.from_bytes(raw[2:])
        return (packed & _SECONDS_MASK) * ONE + (packed >> _SECONDS_BITS)
    if raw[:2] == _TIMESTAMP_32:
        return int.from_bytes(raw[2:]) * ONE
    if raw[:3] == _TIMESTAMP_96:
        return int.from_bytes(raw[7:], signed=True) * ONE + int.from_bytes(raw[3:7])
    return rfc3339_ns(msgspec.msgpack.decode(raw, type=str))
