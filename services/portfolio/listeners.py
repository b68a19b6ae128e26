"""What portfolio does by itself: it hears fills and quotes, and looks after the book every few seconds."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fleet import subjects
from fleet.blocks import decode_quotes
from fleet.bus import Bus, Message
from fleet.metrics import Metrics
from services.portfolio.domain.marks import Marks
from services.portfolio.translate.executed import charge_of_event, fill_of_event
from services.portfolio.usecases.apply_fills import ApplyFills
from trading.errors import InvalidArgument, TradingError, Unavailable

DURABLE = "portfolio-book"
CHARGES_DURABLE = "portfolio-charges"


class FillListener:
    """Books the fills of the stream; they are acknowledged after the book's transaction."""

    def __init__(self, bus: Bus, apply: ApplyFills, metrics: Metrics, *, batch: int) -> None:
        self._bus = bus
        self._apply = apply
        self._metrics = metrics
        self._batch = batch

    async def run(self) -> None:
        """Consume for ever; while the database is away the bus holds the batch and hands it over again."""
        await self._bus.consume(subjects.ORDER_STREAM, DURABLE, subjects.FILLS_ALL, self.book, batch=self._batch)

    async def book(self, messages: list[Message]) -> None:
        """Book one batch.

        Raises InvalidArgument when a message is no fill, Unavailable when the database is away; then none of
        the batch was booked.
        """
        events = [fill_of_event(message.payload) for message in messages]
        posting = await self._apply([fill for fill in events if fill is not None])
        self._metrics.inbox_duplicates_total.inc(posting.duplicates)


class ChargeListener:
    """Books the charges of the stream in the same way."""

    def __init__(self, bus: Bus, apply: ApplyFills, metrics: Metrics, *, batch: int) -> None:
        self._bus = bus
        self._apply = apply
        self._metrics = metrics
        self._batch = batch

    async def run(self) -> None:
        """Consume for ever."""
        stream, subject = subjects.ORDER_STREAM, subjects.CHARGES_ALL
        await self._bus.consume(stream, CHARGES_DURABLE, subject, self.book, batch=self._batch)

    async def book(self, messages: list[Message]) -> None:
        """Book one batch; raises InvalidArgument, Unavailable as for fills."""
        posting = await self._apply.charges([charge_of_event(message.payload) for message in messages])
        self._metrics.inbox_duplicates_total.inc(posting.duplicates)


class QuoteListener:
    """Keeps the marks at the newest quote of every symbol."""

    def __init__(self, bus: Bus, marks: Marks, log: Any) -> None:
        self._bus = bus
        self._marks = marks
        self._log = log

    async def run(self) -> None:
        """Listen for ever; what is no block is logged and left."""
        await self._bus.hear(subjects.QUOTES_ALL, self.see)

    def see(self, message: Message) -> None:
        """Mark a symbol at the newest quote of a block."""
        try:
            block = decode_quotes(message.payload).block
        except InvalidArgument as error:
            self._log.warning("block.refused", subject=message.subject, error=error.message)
            return
        self._marks.see(block.last())


class Relay:
    """Publishes changes as soon as they are committed, and tries again while the stream is away."""

    def __init__(
        self, tell: Callable[[], Awaitable[object]], changed: asyncio.Event, log: Any, *, retry_s: float
    ) -> None:
        self._tell = tell
        self._changed = changed
        self._log = log
        self._retry_s = retry_s

    async def run(self) -> None:
        """Relay for ever; what an earlier life left behind goes first."""
        while True:
            self._changed.clear()
            try:
                await self._tell()
            except Unavailable as error:
                self._log.warning("changes.wait", reason=error.message)
                await asyncio.sleep(self._retry_s)
            else:
                await self._changed.wait()


Step = Callable[[], Awaitable[object]]


class Rounds:
    """Does some work every few seconds; a part of the fleet that is away is asked again next time."""

    def __init__(self, steps: Mapping[str, Step], log: Any, *, period_s: float) -> None:
        self._steps = steps
        self._log = log
        self._period_s = period_s
        self._waiting: set[str] = set()

    async def run(self) -> None:
        """Go round for ever, the first time at once."""
        while True:
            await self.once()
            await asyncio.sleep(self._period_s)

    async def once(self) -> None:
        """Take every step; one that fails does not keep the others from running."""
        for name, step in self._steps.items():
            try:
                await step()
            except TradingError as error:
                self._put_off(name, error)
            else:
                self._waiting.discard(name)

    def _put_off(self, name: str, error: TradingError) -> None:
        """Say it once; the next word is said after the step has worked again."""
        if name not in self._waiting:
            self._waiting.add(name)
            self._log.info("round.later", step=name, reason=error.reason, error=error.message)


class Errand:
    """Does some work whenever it is called for, and again every moment while the work is not at its end."""

    def __init__(
        self, name: str, work: Callable[[], Awaitable[bool]], called: asyncio.Event, log: Any, *, again_s: float
    ) -> None:
        self._name = name
        self._work = work
        self._called = called
        self._log = log
        self._again_s = again_s

    async def run(self) -> None:
        """Work for ever, the first time at once: an earlier life may have left something undone."""
        while True:
            self._called.clear()
            if await self.once():
                await asyncio.sleep(self._again_s)
            else:
                await self._called.wait()

    async def once(self) -> bool:
        """Whether there is more to do; a part of the fleet that is away is more to do."""
        try:
            return await self._work()
        except TradingError as error:
            self._log.warning("errand.later", errand=self._name, reason=error.reason, error=error.message)
            return True
