"""Follow the venue: record its stream, and reconcile each time the stream was (re)opened."""

import asyncio
from typing import Any

from services.execution.domain.venue import StreamOpened, VenueUpdate
from services.execution.ports.venue import Broker
from services.execution.usecases.accounts import Accounts
from services.execution.usecases.collect_charges import CollectCharges
from services.execution.usecases.gate import Gate
from services.execution.usecases.reconcile import Reconcile
from services.execution.usecases.record_venue_event import RecordVenueEvent
from trading.errors import Unavailable


class FollowVenue:
    """Orders are taken from the first reconciliation on."""

    def __init__(
        self,
        broker: Broker,
        record: RecordVenueEvent,
        reconcile: Reconcile,
        accounts: Accounts,
        charges: CollectCharges,
        gate: Gate,
        log: Any,
        *,
        retry_wait_s: float = 0.5,
    ) -> None:
        self._broker = broker
        self._record = record
        self._reconcile = reconcile
        self._accounts = accounts
        self._charges = charges
        self._gate = gate
        self._log = log
        self._retry_wait_s = retry_wait_s
        self._opened = asyncio.Event()

    async def listen(self) -> None:
        """Record everything the venue tells, for ever."""
        async for update in self._broker.updates():
            if isinstance(update, StreamOpened):
                self._opened.set()
            else:
                await self._until_recorded(update)

    async def catch_up(self) -> None:
        """After every opening of the stream, ask for what was said before it."""
        while True:
            await self._opened.wait()
            self._opened.clear()
            await self._until_reconciled()
            self._gate.open()

    async def _until_recorded(self, update: VenueUpdate) -> None:
        """An older order may have to be read first; while the store is away, the venue's next words wait."""
        while True:
            try:
                return await self._record(update)
            except Unavailable as error:
                self._log.warning("venue.record_later", error=error.message)
                await asyncio.sleep(self._retry_wait_s)

    async def _until_reconciled(self) -> None:
        while True:
            try:
                changes = await self._reconcile.everything()
                if not self._accounts.is_open:
                    changes += await self._reconcile.opening_positions()
                    await self._charges.open_accounts()
                await self._accounts.refresh(self._broker)
                await self._charges.look_back()
            except Unavailable as error:
                self._log.warning("reconcile.later", error=error.message)
                await asyncio.sleep(self._retry_wait_s)
                continue
            self._log.info("reconcile.done", differences=changes)
            return
