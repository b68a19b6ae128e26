"""The venue that works our orders."""

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Protocol

from services.execution.domain.charge import VenueCharge
from services.execution.domain.order import Order, OrderTerms
from services.execution.domain.venue import StreamOpened, VenueAccount, VenueOrder, VenuePosition, VenueUpdate
from trading.errors import FailedPrecondition
from trading.instruments import Instrument


class VenueRefused(FailedPrecondition):
    """The venue said no, with proof: a structured refusal. Anything less is Unavailable."""

    REASON = "VENUE_REFUSED"


class Broker(Protocol):
    """A venue that works our orders. Every call raises Unavailable when the venue's answer did not come."""

    @property
    def protocol(self) -> str:
        """Whose spelling of symbols it speaks: alpaca or binance."""
        ...

    def works(self, terms: OrderTerms, instrument: Instrument) -> bool:
        """Whether the venue works such an order by itself; what it does not is emulated."""
        ...

    async def submit(self, terms: OrderTerms) -> VenueOrder:
        """Hand an order to the venue under our id; raises VenueRefused with the venue's words."""
        ...

    async def modify(self, order: Order, wished: OrderTerms) -> VenueOrder:
        """Put an order on `wished` terms in the place of one at the venue, under our id and the next replacement.

        `wished.quantity_nanos` includes what has traded. Raises VenueRefused; then the old order stands.
        """
        ...

    async def cancel(self, order: Order) -> None:
        """Ask for a cancel; the answer comes by the stream. Raises VenueRefused."""
        ...

    async def find(self, order: Order) -> VenueOrder | None:
        """The venue's view of our order, with the fills of all its replacements; None proves that it has none."""
        ...

    async def open_orders(self) -> Sequence[VenueOrder]:
        """Every order that works at the venue, whoever sent it."""
        ...

    async def orders_since(self, time_ns: int, symbols: Collection[str]) -> Sequence[VenueOrder]:
        """Orders that were sent to the venue after `time_ns`, whatever became of them.

        Of the `symbols` at least, in the venue's spelling: some venues tell the past of one symbol only.
        """
        ...

    async def positions(self) -> Sequence[VenuePosition]:
        """What the account holds at the venue; flat ones may be left out."""
        ...

    async def account(self) -> VenueAccount:
        """The venue's word on the account."""
        ...

    async def charges(self, after_ns: int, after_id: str = "") -> Sequence[VenueCharge]:
        """What the venue took from the account beside fills after a time (ns UTC), in the venue's order.

        Never what a fill carries already. With the venue's id of a charge, only what comes after that one. A venue may
        tell a charge days late, with the time that it was made for.
        """
        ...

    def updates(self) -> AsyncIterator[VenueUpdate | StreamOpened]:
        """News of our orders, for ever; `StreamOpened` after each (re)connect.

        A replacement is told as UPDATED, with the new order.
        """
        ...
