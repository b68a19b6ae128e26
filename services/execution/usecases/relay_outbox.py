"""Relay the outbox to JetStream: in the order of the log, until each event is acknowledged."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from services.execution.ports.log import Entry, OrderStore, OutboxRow
from services.execution.ports.publishing import EventPublisher, OutboxBell
from services.execution.usecases.journal import Journal
from trading.errors import Unavailable


class RelayOutbox:
    """Fresh events are passed on from memory; after a start, or when too many waited, from the store."""

    def __init__(
        self,
        store: OrderStore,
        publisher: EventPublisher,
        journal: Journal,
        log: Any,
        *,
        capacity: int = 20_000,
        batch: int = 256,
        retry_wait_s: float = 0.2,
        linger_s: float = 0.002,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._journal = journal
        self._log = log
        self._capacity = capacity
        self._batch = batch
        self._retry_wait_s = retry_wait_s
        self._linger_s = linger_s
        self._fresh: deque[OutboxRow] = deque()
        self._from_store = True
        self._through = 0
        self._offered = 0
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self.depth = 0
        journal.on_commit = self.offer

    async def load(self) -> None:
        """Count what an earlier run left behind."""
        self.depth = await self._store.outbox_depth()
        self._wake.set()

    def offer(self, entries: Sequence[Entry]) -> None:
        """Take in what was just committed."""
        rows = [entry.outbox for entry in entries if entry.outbox is not None]
        self.depth += len(rows)
        if entries:
            self._offered = entries[-1].log_sequence
        self._empty.clear()
        self._wake.set()
        if self._from_store:
            return
        if len(self._fresh) + len(rows) > self._capacity:
            self._fresh.clear()
            self._from_store = True
        else:
            self._fresh.extend(rows)

    async def listen(self, bell: OutboxBell) -> None:
        """Look into the store whenever rows came there by another way than the journal's, for ever."""
        async for place in bell.rings():
            await asyncio.sleep(self._linger_s)  # our own rows are rung for too, and are offered by then
            if place > self._offered:
                self._from_store = True
                self._empty.clear()
                self._wake.set()

    async def run(self) -> None:
        """Publish for ever; an outage of NATS is waited out, the rows wait in the store."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(self._linger_s)  # the order's own way to the venue goes first, and events go together
            self._wake.clear()
            await self._publish_waiting()

    async def until_empty(self, timeout_s: float) -> bool:
        """Wait until everything is published; False when that takes too long."""
        self._wake.set()
        try:
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    async def _publish_waiting(self) -> None:
        while rows := await self._next():
            await self._publish(rows)
            self._through = rows[-1].log_sequence
            self.depth = max(self.depth - len(rows), 0)
            self._journal.note_published(self._through)
        if not self._from_store:  # nothing waits, in memory or in the store; what others put there was never counted
            self.depth = 0
            self._empty.set()

    async def _next(self) -> Sequence[OutboxRow]:
        if self._from_store:
            rows = await self._read()
            if rows:
                return rows
        return [self._fresh.popleft() for _ in range(min(self._batch, len(self._fresh)))]

    async def _read(self) -> Sequence[OutboxRow]:
        # Whatever is committed while the store is read may miss both ways; the flag is cleared first.
        self._from_store = False
        try:
            rows = await self._store.outbox(self._through, self._batch)
        except Unavailable:
            # What was committed meanwhile must not be told before what is older and still unread.
            self._fresh.clear()
            self._from_store = True
            await asyncio.sleep(self._retry_wait_s)
            self._wake.set()
            return ()
        if rows:
            self._fresh.clear()
            self._from_store = True
        return rows

    async def _publish(self, rows: Sequence[OutboxRow]) -> None:
        waiting = rows
        while waiting := await self._publisher.publish(waiting):
            self._log.warning("outbox.later", waiting=self.depth, first=waiting[0].log_sequence)
            await asyncio.sleep(self._retry_wait_s)
