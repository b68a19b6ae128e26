"""Names of things: UUIDv7 for what is new, a hash for what must be the same twice."""

import hashlib
import re
import uuid
from typing import NewType

import uuid_utils

from trading.errors import InvalidArgument

OrderId = NewType("OrderId", str)
"""Ours: a UUIDv7, ordered by time."""
ClientOrderId = NewType("ClientOrderId", str)
"""The caller's idempotency key, unique per account for ever."""
VenueOrderId = NewType("VenueOrderId", str)
AccountId = NewType("AccountId", str)
EventId = NewType("EventId", str)

_CLIENT_ORDER_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ORDER_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_VENUE_CLIENT_ORDER_ID = re.compile(r"([0-9a-f]{32})(?:-([1-9][0-9]*))?")


def new_id() -> str:
    """A fresh UUIDv7 in its 36-character form."""
    return str(uuid_utils.uuid7())


def hashed_id(*parts: object) -> str:
    """A UUID that is a pure function of its parts' texts (SHA-256, version 8): the same fact, the same id."""
    texts = [str(part).encode("utf-8", "surrogatepass") for part in parts]
    framed = b"".join(b"%d:%s" % (len(text), text) for text in texts)  # so that no part can imitate two
    digest = bytearray(hashlib.sha256(framed).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(digest)))


def parse_client_order_id(text: str) -> ClientOrderId:
    """Accept 1–64 characters of `[A-Za-z0-9._-]`; raises InvalidArgument."""
    if not _CLIENT_ORDER_ID.fullmatch(text):
        raise InvalidArgument("Expected 1-64 characters of [A-Za-z0-9._-].", field="client_order_id", value=text[:64])
    return ClientOrderId(text)


def parse_order_id(text: str) -> OrderId:
    """Accept an id of ours as it is printed; raises InvalidArgument."""
    if not _ORDER_ID.fullmatch(text):
        raise InvalidArgument("Expected an order id of ours, a UUID.", field="order_id", value=text[:64])
    return OrderId(text)


def venue_client_order_id(order_id: OrderId, replacement: int = 0) -> str:
    """What the venue gets as our id: 32 hex digits, and `-n` for the n-th replacement."""
    digits = order_id.replace("-", "")
    return f"{digits}-{replacement}" if replacement else digits


def order_id_of_venue(client_order_id: str) -> OrderId | None:
    """Our order id behind a venue's client order id, or None when the order is not ours."""
    found = _VENUE_CLIENT_ORDER_ID.fullmatch(client_order_id.lower())
    if found is None:
        return None
    digits = found[1]
    return OrderId(f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}")


def replacement_of_venue(client_order_id: str) -> int:
    """Which replacement of our order a venue's client order id names; 0 for the first, and for orders not ours."""
    found = _VENUE_CLIENT_ORDER_ID.fullmatch(client_order_id.lower())
    return int(found[2] or 0) if found else 0
