"""The headers of a durable event: CloudEvents names, the trace, and the id that JetStream de-duplicates by."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

from trading.clock import SECOND_NS

MESSAGE_ID = "Nats-Msg-Id"
TRACEPARENT = "traceparent"
_LINES = 7


def header_lines(*, event_id: str, event_type: str, source: str, time_ns: int, traceparent: str | None) -> bytes:
    """Headers of one event as NATS wants them; `event_id` makes a second publish a no-op inside the stream's window."""
    lines = (
        f"NATS/1.0\r\n{MESSAGE_ID}: {event_id}\r\nce-specversion: 1.0\r\nce-id: {event_id}\r\nce-type: {event_type}\r\n"
        f"ce-source: {source}\r\nce-time: {_rfc3339(time_ns)}\r\n"
    )
    if traceparent:
        lines += f"{TRACEPARENT}: {traceparent}\r\n"
    if lines.count("\n") != _LINES + bool(traceparent):  # a line break in a value would smuggle a header in
        raise ValueError(f"No header may hold a line break, as {lines!r} does.")
    return lines.encode() + b"\r\n"


def event_id(headers: Mapping[str, str]) -> str:
    """The id of a received event, or "" when it carries none."""
    return headers.get("ce-id") or headers.get(MESSAGE_ID, "")


def _rfc3339(time_ns: int) -> str:
    seconds, part = divmod(time_ns, SECOND_NS)
    return f"{_second(seconds)}.{part:09d}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    """Events come many to a second; formatting its date takes longer than all the rest of the headers."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"
