"""Publishes committed changes of positions, oldest first, until none is left."""

from collections.abc import Mapping

from services.portfolio.domain.account import PositionChange, value_position
from services.portfolio.ports import Outbox, PositionEvents, ValuedChange
from services.portfolio.usecases.know_accounts import KnowAccounts


class TellChanges:
    """The relay between the book's outbox and the stream; a change that was told twice is one event."""

    def __init__(
        self, outbox: Outbox, know: KnowAccounts, events: PositionEvents, marks: Mapping[str, int], *, batch: int
    ) -> None:
        self._outbox = outbox
        self._know = know
        self._events = events
        self._marks = marks
        self._batch = batch

    async def __call__(self) -> int:
        """Publish everything that waits and give back how many; raises Unavailable when the stream is away."""
        told = 0
        while pending := await self._outbox.pending(self._batch):
            opening = {(terms.id, terms.currency): terms.opening_cash_nanos for terms in await self._know.remembered()}
            await self._events.tell([self._valued(waiting.change, opening) for waiting in pending])
            await self._outbox.forget([waiting.place for waiting in pending])
            told += len(pending)
        return told

    def _valued(self, change: PositionChange, opening: Mapping[tuple[str, str], int]) -> ValuedChange:
        position = change.position
        cash = opening.get((position.account, position.currency), 0) + change.flow_nanos
        return ValuedChange(change, value_position(position, self._marks), cash)
