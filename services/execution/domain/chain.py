"""The hash chain of an order's events: each one seals itself and all before it."""

import hashlib
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

import msgspec

from services.execution.domain.order import Denial, Execution, OrderEvent, OrderTerms
from trading.errors import FailedPrecondition
from trading.ids import VenueOrderId

_encode = msgspec.json.Encoder(order="deterministic").encode


def facts_of(event: OrderEvent) -> bytes:
    """What the event says beyond its envelope, as JSON without empty members: how it is stored and hashed."""
    return _encode(_facts(event))


def facts_from(text: bytes | str) -> dict[str, Any]:
    """The fields of an event behind its stored facts."""
    return msgspec.structs.asdict(_decoder.decode(text))


def seal(event: OrderEvent, previous_hash: str) -> OrderEvent:
    """The event with its place in the chain."""
    return replace(event, previous_hash=previous_hash, hash=_digest(event, previous_hash))


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
    envelope = (
        event.event_id,
        event.order_id,
        event.kind,
        event.version,
        event.event_time_ns,
        event.receive_time_ns,
        event.correlation_id,
        event.causation_id,
        event.reason,
        event.reconciliation,
    )
    return hashlib.sha256(_encode((previous_hash, envelope, _facts(event)))).hexdigest()


def _facts(event: OrderEvent) -> dict[str, Any]:
    # Empty members are left out, so that a field added later changes neither the facts nor the hash of old events.
    parts = {
        "venue_order_id": event.venue_order_id,
        "terms": event.terms and _filled_fields(event.terms),
        "denial": event.denial and _filled_fields(event.denial),
        "execution": event.execution and _filled_fields(event.execution),
    }
    return {name: value for name, value in parts.items() if value}


def _filled_fields(part: OrderTerms | Denial | Execution) -> dict[str, Any]:
    return {name: value for name, default in _DEFAULTS[type(part)].items() if (value := getattr(part, name)) != default}


_DEFAULTS = {part: {field.name: field.default for field in fields(part)} for part in (OrderTerms, Denial, Execution)}
