"""The record of what the venue charged."""

from collections.abc import Sequence
from typing import Protocol

from services.execution.domain.charge import Charge, LoggedCharge
from trading.ids import EventId


class ChargeStore(Protocol):
    """The durable record of what the venue charged: each charge once, by its id. Every call raises Unavailable."""

    async def known(self, charge_ids: Sequence[EventId]) -> frozenset[EventId]:
        """Those of the ids that were recorded before."""
        ...

    async def record(self, charges: Sequence[Charge], epoch: int | None, *, paid: bool = False) -> None:
        """Write those that are new, all or nothing, to be told; raises AnotherWriter when the lease is another's.

        What was `paid` before its account was opened is remembered only to be known again: never listed, never told.
        """
        ...

    async def list(self, after: int, limit: int, account: str | None = None) -> Sequence[LoggedCharge]:
        """Charges with a later sequence than `after`, in their order."""
        ...

    async def head(self) -> int:
        """The newest sequence; 0 when there is none."""
        ...

    async def newest_ns(self) -> int:
        """When the newest charge was made, ns UTC; 0 when there is none."""
        ...

    async def untold(self, limit: int) -> Sequence[LoggedCharge]:
        """Charges that wait to be published, in their order."""
        ...

    async def note_told(self, charges: Sequence[LoggedCharge]) -> None:
        """They are published."""
        ...
