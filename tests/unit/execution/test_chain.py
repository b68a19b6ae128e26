"""The hash chain."""

from dataclasses import replace
from typing import Any

import pytest
from builders.orders import execution, life, terms

from services.execution.domain.chain import facts_from, facts_of, seal, verify
from services.execution.domain.order import Denial, OrderEvent
from trading.errors import FailedPrecondition
from trading.ids import OrderId, VenueOrderId
from trading.order import OrderEventKind as Kind

LIFE = life(Kind.SUBMITTED, Kind.ACCEPTED, Kind.FILL, of=terms(order_id=OrderId("0" * 36)))


def test_a_whole_life_verifies() -> None:
    """What the journal wrote is what it reads."""
    verify(LIFE)


@pytest.mark.parametrize(
    "forgery",
    [
        {"reason": "nothing happened"},
        {"kind": Kind.REJECTED},
        {"event_time_ns": 1},
        {"event_id": "another"},
        {"reconciliation": True},
        {"execution": execution(1, 101)},
        {"venue_order_id": VenueOrderId("other")},
        {"correlation_id": "x"},
        {"causation_id": "x"},
        {"receive_time_ns": 1},
        {"version": 9},
    ],
)
def test_a_changed_event_breaks_the_chain(forgery: dict[str, Any]) -> None:
    """Every field is sealed."""
    forged = [*LIFE[:-1], replace(LIFE[-1], **forgery)]
    with pytest.raises(FailedPrecondition) as refusal:
        verify(forged)
    assert refusal.value.reason == "BROKEN_CHAIN"


def test_a_missing_event_breaks_the_chain() -> None:
    """Nothing can be taken out of the middle."""
    with pytest.raises(FailedPrecondition):
        verify([LIFE[0], *LIFE[2:]])


def test_a_resealed_event_breaks_the_one_after_it() -> None:
    """A forger would have to change everything that followed."""
    forged = seal(replace(LIFE[1], reason="forged"), LIFE[0].hash)
    with pytest.raises(FailedPrecondition):
        verify([LIFE[0], forged, *LIFE[2:]])


@pytest.mark.parametrize("event", LIFE)
def test_facts_survive_their_storage(event: OrderEvent) -> None:
    """What is stored is what is read back."""
    assert replace(event, **facts_from(facts_of(event))) == event


def test_a_denial_survives_its_storage() -> None:
    """Numbers included."""
    denied = replace(LIFE[1], kind=Kind.DENIED, denial=Denial("X", "no", {"limit": "1"}))
    assert facts_from(facts_of(denied))["denial"] == denied.denial


def test_a_field_at_its_default_is_not_part_of_the_facts() -> None:
    """So that a field added later does not change the hash of what was written before."""
    assert b"stop_price_nanos" not in facts_of(LIFE[0])
    assert facts_of(LIFE[1]) == b"{}"


def test_the_same_events_have_the_same_hashes() -> None:
    """A hash depends on nothing but the facts."""
    again = [seal(event, event.previous_hash) for event in LIFE]
    assert [event.hash for event in again] == [event.hash for event in LIFE]
