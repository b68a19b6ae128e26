"""What a venue takes from an account beside any fill: fees, borrow, interest, funding; dividends and transfers too."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from trading.ids import AccountId, EventId, OrderId, VenueOrderId, hashed_id


class ChargeKind(StrEnum):
    """What a charge is for."""

    FEE = "FEE"
    BORROW = "BORROW"
    INTEREST = "INTEREST"
    FUNDING = "FUNDING"
    DIVIDEND = "DIVIDEND"
    TRANSFER = "TRANSFER"

    @property
    def is_profit_or_loss(self) -> bool:
        """All but deposits and withdrawals."""
        return self is not ChargeKind.TRANSFER


@dataclass(frozen=True, slots=True)
class VenueCharge:
    """A charge as the venue tells it; `symbol` in its spelling, time in ns UTC.

    `amount_nanos` of cash are taken, or given when negative; `quantity_nanos` units of `symbol` are taken with it, as
    from who buys coins.
    """

    venue_id: str
    kind: ChargeKind
    currency: str
    amount_nanos: int
    event_time_ns: int
    symbol: str = ""
    quantity_nanos: int = 0
    venue_order_id: VenueOrderId | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge of one of our accounts: the venue's word in our names; `charge_id` is the same whenever it is told."""

    charge_id: EventId
    venue_id: str
    account: AccountId
    kind: ChargeKind
    symbol: str
    currency: str
    amount_nanos: int
    quantity_nanos: int
    order_id: OrderId | None
    event_time_ns: int
    receive_time_ns: int


class LoggedCharge(NamedTuple):
    """A charge with its place among all charges; it counts after the event at `log_sequence` of the order log."""

    sequence: int
    log_sequence: int
    charge: Charge


def charge_id(venue: str, venue_id: str) -> EventId:
    """The id of a charge: a function of the venue's, so that a charge told twice is one."""
    return EventId(hashed_id("charge", venue, venue_id))
