"""Times as Alpaca writes them: RFC 3339 with up to nine decimals, or the Timestamp extension of msgpack."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

import msgspec
import numpy as np

from services.paper_venue.domain.ticks import Int64
from trading.errors import InvalidArgument

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000_000
_TIMESTAMP_EXTENSION = -1


@lru_cache(maxsize=4096)
def _second_text(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).isoformat()[: len("2026-02-03T15:04:05")]


def rfc3339(time_ns: int) -> str:
    """`2026-02-03T15:04:05.123456789Z`, without trailing zeros."""
    second, part = divmod(time_ns, _SECOND)
    text = _second_text(second)
    return f"{text}.{part:09d}".rstrip("0") + "Z" if part else text + "Z"


def optional_rfc3339(time_ns: int | None) -> str | None:
    """The same, for what may not have happened."""
    return None if time_ns is None else rfc3339(time_ns)


def timestamps(times_ns: Int64) -> list[msgspec.msgpack.Ext]:
    """A column of times as msgpack Timestamps (64-bit form: 30 bits of nanoseconds, 34 of seconds)."""
    seconds, parts = np.divmod(times_ns, _SECOND)
    packed = ((parts.astype(np.uint64) << np.uint64(34)) | seconds.astype(np.uint64)).astype(">u8").tobytes()
    ext = msgspec.msgpack.Ext
    return [ext(_TIMESTAMP_EXTENSION, packed[at : at + 8]) for at in range(0, len(packed), 8)]


def parse_time(text: str, field: str) -> int:
    """An RFC 3339 time or a date (its midnight in UTC) in ns; raises InvalidArgument."""
    whole, dot, rest = text.strip().replace(" ", "+").partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    zone = rest[len(digits) :]
    try:
        moment = datetime.fromisoformat(whole + zone if dot else whole)
    except ValueError as error:
        raise InvalidArgument(f"invalid {field}: {text!r} is no RFC 3339 time", field=field) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * _SECOND + int((digits or "0")[:9].ljust(9, "0"))
