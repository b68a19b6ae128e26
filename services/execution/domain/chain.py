"""The hash chain of an order's events: each one seals itself and all before it."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import fields
from operator import attrgetter
from typing import Any

import msgspec

from services.execution.domain.order import Denial, Execution, OrderEvent, OrderTerms
from trading.errors import FailedPrecondition
from trading.ids import VenueOrderId

_encode = msgspec.json.Encoder(order="deterministic").encode


def facts_of(event: OrderEvent) -> bytes:
    """What the event says beyond its envelope, as JSON without empty members: how it is stored and hashed."""
    # Empty members are left out, so that a field added later changes neither the facts nor the hash of old events.
    facts: dict[str, Any] = {}
    if event.venue_order_id:
        facts["venue_order_id"] = event.venue_order_id
    for name in _PARTS:
        part = getattr(event, name)
        if part is not None:
            facts[name] = _filled_fields(part)
    return _encode(facts) if facts else _NO_FACTS


def facts_from(text: bytes | str) -> dict[str, Any]:
    """The fields of an event behind its stored facts."""
    return msgspec.structs.asdict(_decoder.decode(text))


def seal(event: OrderEvent, previous_hash: str) -> OrderEvent:
    """The event with its place in the chain."""
    return _event(*_unsealed(event), previous_hash, _digest(event, previous_hash))


def verify(events: Iterable[OrderEvent]) -> None:
    """Prove that a life of an order is whole, oldest event first; raises FailedPrecondition at the first flaw."""
    previous = ""
    for version, event in enumerate(events, 1):
        if event.version != version or event.previous_hash != previous or event.hash != _digest(event, previous):
            raise FailedPrecondition(
                "The hash chain of an order is broken.",
                reason="BROKEN_CHAIN",
                order_id=event.order_id,
                version=event.version,
            )
        previous = event.hash


class _Facts(msgspec.Struct, omit_defaults=True):
    venue_order_id: VenueOrderId | None = None
    terms: OrderTerms | None = None
    denial: Denial | None = None
    execution: Execution | None = None


_decoder = msgspec.json.Decoder(_Facts)


def _digest(event: OrderEvent, previous_hash: str) -> str:
    """SHA-256 of the hash before, the envelope as a JSON array, and the facts."""
    return hashlib.sha256(b"%b%b%b" % (previous_hash.encode(), _encode(_envelope(event)), facts_of(event))).hexdigest()


def _filled_fields(part: OrderTerms | Denial | Execution) -> dict[str, Any]:
    shape = _SHAPES[type(part)]
    return {
        name: value
        for name, value, default in zip(shape.names, shape.values(part), shape.defaults, strict=True)
        if value != default
    }


class _Shape:
    """The fields of a part, and what each is when nobody says it."""

    def __init__(self, part: type[Any]) -> None:
        found = fields(part)
        self.names = [field.name for field in found]
        self.defaults = [field.default for field in found]
        self.values: Callable[[Any], tuple[Any, ...]] = attrgetter(*self.names)


_PARTS = ("terms", "denial", "execution")
_SHAPES = {part: _Shape(part) for part in (OrderTerms, Denial, Execution)}
_NO_FACTS = b"{}"
_CHAIN = ("previous_hash", "hash")
_UNSEALED = [field.name for field in fields(OrderEvent) if field.name not in _CHAIN]
_unsealed: Callable[[OrderEvent], tuple[Any, ...]] = attrgetter(*_UNSEALED)
_event: Callable[..., OrderEvent] = OrderEvent
_envelope: Callable[[OrderEvent], tuple[Any, ...]] = attrgetter(
    *[name for name in _UNSEALED if name not in (*_PARTS, "venue_order_id")]
)
