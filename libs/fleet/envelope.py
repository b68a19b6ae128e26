"""The headers of a durable event: CloudEvents names, the trace, and the id that JetStream de-duplicates by."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

from trading.clock import SECOND_NS

MESSAGE_ID = "Nats-Msg-Id"
TRACEPARENT = "traceparent"


def event_headers(
    *, event_id: str, event_type: str, source: str, time_ns: int, traceparent: str | None
) -> dict[str, str]:
    """Headers of one event; `event_id` makes a second publish a no-op inside the stream's window."""
    headers = {
        MESSAGE_ID: event_id,
        "ce-specversion": "1.0",
        "ce-id": event_id,
        "ce-type": event_type,
        "ce-source": source,
        "ce-time": _rfc3339(time_ns),
    }
    return headers | {TRACEPARENT: traceparent} if traceparent else headers


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
