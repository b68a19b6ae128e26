"""What is said on a stream besides the market: the customer's actions and the venue's statuses, as JSON."""

from collections.abc import Sequence
from typing import Any

import msgspec


def parsed(event: Any) -> dict[str, Any]:
    """What a customer says in an ASGI event; what is no object is an action that does not exist."""
    try:
        message = msgspec.json.decode(event.get("bytes") or (event.get("text") or "").encode())
    except msgspec.DecodeError:
        return {}
    return message if isinstance(message, dict) else {}


def status(word: str, message: str) -> dict[str, str]:
    """A status object; `word` is what clients look at."""
    return {"ev": "status", "status": word, "message": message}


def encoded(events: Sequence[Any]) -> str:
    """Events or statuses as a frame: always an array."""
    return msgspec.json.encode(events).decode()
