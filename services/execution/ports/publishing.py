"""Where events go, and what says that some wait."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from services.execution.domain.charge import LoggedCharge
from services.execution.ports.log import OutboxRow


class OutboxBell(Protocol):
    """Who tells of rows in the outbox that the journal did not hand over."""

    def rings(self) -> AsyncIterator[int]:
        """The newest place in the log of what was put there, for ever."""
        ...


class EventPublisher(Protocol):
    """Where events are told to the fleet."""

    async def publish(self, rows: Sequence[OutboxRow]) -> Sequence[OutboxRow]:
        """Publish durably, once per event id; gives back those that nobody has acknowledged."""
        ...

    async def publish_charges(self, charges: Sequence[LoggedCharge]) -> Sequence[LoggedCharge]:
        """Publish charges in the same way."""
        ...
