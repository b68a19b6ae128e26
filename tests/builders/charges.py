"""Charges for tests, each with a sensible default for everything."""

from typing import Any

from services.execution.domain.charge import Charge, ChargeKind, LoggedCharge, VenueCharge, charge_id
from trading.ids import AccountId
from trading.money import ONE

NOON_NS = 20_000 * 86_400 * ONE + 12 * 3600 * ONE


def a_venue_charge(number: int = 1, **words: Any) -> VenueCharge:
    """A fee of two dollars, as the venue tells it; `number` names it."""
    named = {
        "venue_id": f"venue-{number}",
        "kind": ChargeKind.FEE,
        "currency": "USD",
        "amount_nanos": 2 * ONE,
        "event_time_ns": NOON_NS,
    }
    return VenueCharge(**(named | words))


def a_charge(number: int = 1, **words: Any) -> Charge:
    """A fee of two dollars of the main account."""
    named = {
        "charge_id": charge_id("paper", f"venue-{number}"),
        "venue_id": f"venue-{number}",
        "account": AccountId("main"),
        "kind": ChargeKind.FEE,
        "symbol": "",
        "currency": "USD",
        "amount_nanos": 2 * ONE,
        "quantity_nanos": 0,
        "order_id": None,
        "event_time_ns": NOON_NS,
        "receive_time_ns": NOON_NS + ONE,
    }
    return Charge(**(named | words))


def a_logged_charge(number: int = 1, log_sequence: int = 0, **words: Any) -> LoggedCharge:
    """A charge in its place."""
    return LoggedCharge(number, log_sequence, a_charge(number, **words))
