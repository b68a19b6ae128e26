"""Tell charges to JetStream, in their order, until each is acknowledged: the record is its own outbox."""

import asyncio
from typing import Any

from services.execution.ports.charges import ChargeStore
from services.execution.ports.publishing import EventPublisher
from trading.errors import Unavailable


class TellCharges:
    """Wakes when something was recorded; what an earlier life left behind goes first."""

    def __init__(
        self, store: ChargeStore, publisher: EventPublisher, log: Any, *, batch: int = 256, retry_wait_s: float = 0.2
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._log = log
        self._batch = batch
        self._retry_wait_s = retry_wait_s
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """There is something to tell."""
        self._wake.set()

    async def forever(self) -> None:
        """Publish what waits; an outage of NATS or of the store is waited out."""
        while True:
            self._wake.clear()
            try:
                is_done = await self._tell()
            except Unavailable as error:
                self._log.warning("charges.tell_later", error=error.message)
                is_done = False
            if is_done:
                await self._wake.wait()
            else:
                await asyncio.sleep(self._retry_wait_s)

    async def _tell(self) -> bool:
        """Everything that waits; False when the stream has not taken all of it."""
        while waiting := await self._store.untold(self._batch):
            refused = await self._publisher.publish_charges(waiting)
            told = [logged for logged in waiting if logged not in refused]
            if told:
                await self._store.note_told(told)
            if refused:
                return False
        return True
