"""Carries the market to whoever listens: bounded outboxes, and an audience that a replay can wait for."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from services.paper_venue.domain.market import Batch

T = TypeVar("T")


class Outbox(Generic[T]):
    """What one customer has yet to be sent, in order, at most `limit` messages."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[T] = deque()
        self._changed = asyncio.Event()
        self._closed = False

    @property
    def is_full(self) -> bool:
        return len(self._items) >= self._limit

    async def put(self, item: T) -> None:
        """Add a message, waiting for room; what is put into a closed outbox is gone."""
        while self.is_full and not self._closed:
            await self._next_change()
        self.offer(item)

    def offer(self, item: T) -> bool:
        """Add a message if there is room; says whether there was."""
        if self.is_full or self._closed:
            return False
        self._items.append(item)
        self._changed.set()
        return True

    async def get(self) -> T:
        """The oldest message, waiting for one."""
        while not self._items:
            await self._next_change()
        item = self._items.popleft()
        self._changed.set()
        return item

    def close(self) -> None:
        """The customer is gone: nobody waits for room any more."""
        self._closed = True
        self._items.clear()
        self._changed.set()

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


class Listener(Protocol):
    """One customer of the market's data."""

    def listens(self) -> bool:
        """The customer has subscribed to something of this market."""
        ...

    async def deliver(self, batch: Batch, patient: bool) -> None:
        """Send on what the customer subscribed to; wait for a slow one only when `patient`."""
        ...


class Feed:
    """All customers of the market's data."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._audience = asyncio.Event()

    @property
    def listeners(self) -> Sequence[Listener]:
        return self._listeners

    def join(self, listener: Listener) -> None:
        """Take in a customer; it may subscribe later."""
        self._listeners.append(listener)

    def leave(self, listener: Listener) -> None:
        """Let a customer go."""
        self._listeners.remove(listener)
        self.subscriptions_changed()

    def subscriptions_changed(self) -> None:
        """Look again whether anybody listens."""
        if any(listener.listens() for listener in self._listeners):
            self._audience.set()
        else:
            self._audience.clear()

    @property
    def has_audience(self) -> bool:
        return self._audience.is_set()

    async def audience(self) -> None:
        """Wait until somebody has subscribed to something of this market."""
        await self._audience.wait()

    async def publish(self, batch: Batch, patient: bool) -> None:
        """Deliver to everybody; a patient publisher waits for the slowest."""
        for listener in tuple(self._listeners):
            await listener.deliver(batch, patient)
