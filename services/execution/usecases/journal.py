"""The way of every event into the log: applied in memory, then committed in groups by one writer."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from services.execution.domain.chain import seal
from services.execution.domain.order import INITIALIZED, Fact, Order, OrderEvent, apply
from services.execution.domain.submission import Timings
from services.execution.ports.log import Append, Entry, OrderStore, OutboxRow
from services.execution.usecases.blotter import Blotter, LiveOrder
from trading.clock import Clock
from trading.errors import ResourceExhausted, Unavailable
from trading.ids import EventId, OrderId, new_id

Encode = Callable[[int, OrderEvent, Order], bytes]
"""The wire form of an event at a place in the log."""


@dataclass(slots=True, eq=False)
class _Group:
    """Events that belong into one transaction; an abandoned intent is dropped unless it turns out to be written."""

    events: Sequence[tuple[OrderEvent, Order]]
    live: LiveOrder
    durable: "asyncio.Future[None]"
    abandoned: bool = False


@dataclass(slots=True, eq=False)
class _Writing:
    """One transaction under way, and since when (monotonic ns)."""

    groups: list[_Group]
    append: Append
    started_ns: int


@dataclass(frozen=True, slots=True)
class JournalBounds:
    """How much may wait (events), how much one commit takes (groups), and the waits (s).

    An intent is committed at once. What the venue said may wait `linger_s` for company: it can be asked again.
    """

    max_pending: int = 20_000
    max_batch: int = 512
    intent_patience_s: float = 2.0
    retry_wait_s: float = 0.1
    idle_flush_s: float = 0.5
    linger_s: float = 0.002


class Journal:
    """One transaction at a time takes everything that waits (group commit).

    A lone intent begins its transaction in the call that opens it, and the transaction's end begins the next one:
    no task is woken on an order's way. What fails is left to `write_forever`.
    """

    def __init__(
        self, store: OrderStore, blotter: Blotter, clock: Clock, encode: Encode, bounds: JournalBounds | None = None
    ) -> None:
        self._store = store
        self._blotter = blotter
        self._clock = clock
        self._encode = encode
        self._bounds = bounds or JournalBounds()
        self._groups: deque[_Group] = deque()
        self._intents: dict[OrderId, _Group] = {}
        self._waiting = 0
        self._timings: dict[OrderId, Timings] = {}
        self._stops: dict[OrderId, int] = {}
        self._published: int | None = None
        self._is_due = False
        self._writing: _Writing | None = None
        self._failure: tuple[_Writing, BaseException] | None = None
        self._failed = asyncio.Event()
        self._lingering: asyncio.TimerHandle | None = None
        self._flushing: asyncio.TimerHandle | None = None
        self._committed = asyncio.Event()
        self._put_groups = 0
        self._done_groups = 0
        self._head = 0
        self._failing = False
        self.epoch: int | None = None
        """The lease that everything is written under."""
        self.on_append: Callable[[int], None] = _ignore_duration
        self.on_commit: Callable[[Sequence[Entry]], None] = _ignore_entries
        self.on_abandoned: Callable[[LiveOrder], None] = _ignore_order

    @property
    def utilization(self) -> float:
        """How full the queue is, 0..1."""
        return self._waiting / self._bounds.max_pending

    def start_from(self, head: int) -> None:
        """Continue a log whose newest event is `head`."""
        self._head = head

    def check_room(self) -> None:
        """Raise ResourceExhausted when too much waits, Unavailable while the store does not answer."""
        if self._failing:
            raise Unavailable("The order log does not answer.", retry_after_s=1)
        if self._waiting >= self._bounds.max_pending:
            raise ResourceExhausted("Too many order events wait to be written.", retry_after_s=0.5)

    def open(self, live: LiveOrder, facts: Sequence[Fact]) -> "asyncio.Future[None]":
        """Begin an order with its creation and first verdict; the future is done when they are durable."""
        events = [self._event(live, fact) for fact in facts[:1]]
        live.order = apply(None, events[0])
        steps = [(events[0], live.order)]
        self._blotter.begin(live)
        steps += [self._step(live, fact) for fact in facts[1:]]
        group = _Group(steps, live, asyncio.get_running_loop().create_future())
        self._intents[live.order.order_id] = group
        live.durable = self._put(group)
        self._hurry()
        return live.durable

    def record(self, live: LiveOrder, fact: Fact) -> "asyncio.Future[None]":
        """Apply a fact to an order now and write it soon; raises InvalidStateTransition when it cannot follow."""
        step = self._step(live, fact)
        return self._put(_Group([step], live, asyncio.get_running_loop().create_future()))

    @property
    def patience_s(self) -> float:
        """How long an intent may take to become durable."""
        return self._bounds.intent_patience_s

    async def until_durable(self, live: LiveOrder, waited_s: float = 0.0) -> None:
        """Wait until an order's creation is committed; raises Unavailable when that takes too long, all together."""
        if live.durable is None:
            return
        if not live.durable.done():
            await asyncio.wait((live.durable,), timeout=self._bounds.intent_patience_s - waited_s)
        group = self._intents.get(live.order.order_id)
        if group is not None and not live.durable.done():
            group.abandoned = True
            raise Unavailable("The order log does not answer.", retry_after_s=1)
        await live.durable

    def note_timings(self, order_id: OrderId, timings: Timings) -> None:
        """Write an order's timings along with the next commit."""
        self._timings[order_id] = timings
        self._flush_later()

    def note_stop(self, order_id: OrderId, stop_nanos: int) -> None:
        """Write where the trailing stop of a held order stands along with the next commit."""
        self._stops[order_id] = stop_nanos
        self._flush_later()

    def note_published(self, through: int) -> None:
        """Take everything up to a place in the log out of the outbox along with the next commit."""
        self._published = through
        self._flush_later()

    async def write_forever(self) -> None:
        """See to transactions that fail, for ever; raises what is more than an outage of the store."""
        while True:
            await self._failed.wait()
            self._failed.clear()
            if self._failure is not None:
                await self._repair(*self._failure)

    async def flush(self) -> None:
        """Wait until everything that waits now is durable; raises Unavailable when that takes too long."""
        goal = self._put_groups
        try:
            async with asyncio.timeout(self._bounds.intent_patience_s):
                while self._done_groups < goal:
                    await self._next_commit()
        except TimeoutError as error:
            raise Unavailable("The order log does not answer.", retry_after_s=1) from error

    async def finish(self) -> None:
        """Write everything, timings and published marks included; for the end of the service."""
        while self._has_work() or self._waiting or self._writing is not None:
            await self._next_commit()

    async def _next_commit(self) -> None:
        self._committed.clear()
        self._hurry()
        await self._committed.wait()

    def _has_work(self) -> bool:
        return bool(self._groups or self._timings or self._stops or self._published is not None)

    def _hurry(self) -> None:
        """Write what waits: now, or right after the transaction that is under way."""
        self._is_due = True
        if self._writing is None:
            self._write()

    def _write(self) -> None:
        self._is_due = False
        if not self._has_work():
            return
        waiting = [self._groups.popleft() for _ in range(min(len(self._groups), self._bounds.max_batch))]
        timings, self._timings = self._timings, {}
        stops, self._stops = self._stops, {}
        published, self._published = self._published, None
        self._begin(self._without_abandoned(waiting), Append((), published, timings, stops))

    def _begin(self, groups: list[_Group], beside: Append) -> None:
        append = Append(self._number(groups), beside.published_through, beside.timings, beside.stops, self.epoch)
        self._writing = _Writing(groups, append, self._clock.monotonic_ns())
        outcome = asyncio.ensure_future(self._store.append(append))
        outcome.add_done_callback(partial(self._ended, self._writing))

    def _ended(self, writing: _Writing, outcome: "asyncio.Future[None]") -> None:
        if outcome.cancelled():
            return  # the loop is going down, and nobody knows what was written: the log is read at the next start
        failure = outcome.exception()
        if failure is None:
            self.on_append(self._clock.monotonic_ns() - writing.started_ns)
            self._conclude(writing)
        else:
            self._failure = writing, failure
            self._failed.set()

    def _conclude(self, writing: _Writing) -> None:
        self._head += len(writing.append.entries)
        self._failing = False
        self._done_groups += len(writing.groups)
        self._finish(writing.groups)
        self.on_commit(writing.append.entries)
        self._writing = None
        self._committed.set()
        if self._is_due or (self._groups and self._lingering is None):
            self._write()

    async def _repair(self, writing: _Writing, failure: BaseException) -> None:
        """A failure's outcome is unknown: ask the log before another attempt."""
        self._failure = None
        if not isinstance(failure, Unavailable):
            raise failure
        self._failing = True
        if await self._was_written(writing.append):
            self._conclude(writing)
            return
        self._begin(self._without_abandoned(writing.groups), writing.append)

    async def _was_written(self, append: Append) -> bool:
        last = append.entries[-1] if append.entries else None
        while True:
            await asyncio.sleep(self._bounds.retry_wait_s)
            try:
                if last is None:
                    return False
                return await self._store.event_id_at(last.log_sequence) == last.event.event_id
            except Unavailable:
                continue

    def _finish(self, groups: Sequence[_Group]) -> None:
        for group in groups:
            self._waiting -= len(group.events)
            self._intents.pop(group.live.order.order_id, None)
            group.durable.set_result(None)
            group.live.wake()
            if group.abandoned:
                self.on_abandoned(group.live)

    def _without_abandoned(self, groups: list[_Group]) -> list[_Group]:
        kept = []
        for group in groups:
            # What has happened since rests on this intent; only one that nothing followed can be taken back.
            if group.abandoned and group.live.order is group.events[-1][1]:
                self._waiting -= len(group.events)
                self._done_groups += 1
                self._intents.pop(group.live.order.order_id, None)
                self._blotter.withdraw(group.live)
                group.durable.set_exception(Unavailable("The order was not written.", retry_after_s=1))
                group.durable.exception()  # seen: whoever still waits is told, and nobody has to
                group.live.wake()
            else:
                kept.append(group)
        return kept

    def _number(self, groups: Sequence[_Group]) -> list[Entry]:
        steps = [(event, after, group.live) for group in groups for event, after in group.events]
        return [self._entry(self._head + place, *step) for place, step in enumerate(steps, 1)]

    def _entry(self, sequence: int, event: OrderEvent, after: Order, live: LiveOrder) -> Entry:
        if event.kind == INITIALIZED:
            # Not told by itself: the verdict that follows in the same transaction carries the whole order.
            return Entry(sequence, event, after, None)
        payload = self._encode(sequence, event, after)
        outbox = OutboxRow(
            sequence, event.event_id, event.kind, after.account, payload, event.receive_time_ns, live.traceparent
        )
        return Entry(sequence, event, after, outbox)

    def _step(self, live: LiveOrder, fact: Fact) -> tuple[OrderEvent, Order]:
        event = self._event(live, fact)
        after = apply(live.order, event)
        live.moved_ns = self._clock.monotonic_ns()
        self._blotter.move(live, after, event)
        return event, after

    def _event(self, live: LiveOrder, fact: Fact) -> OrderEvent:
        fresh = fact.terms is not None and fact.kind == INITIALIZED
        order = live.order
        return seal(
            OrderEvent(
                EventId(fact.event_id or new_id()),
                order.terms.order_id,
                fact.kind,
                1 if fresh else order.version + 1,
                fact.event_time_ns,
                self._clock.now_ns(),
                live.correlation_id,
                fact.causation_id,
                fact.reason,
                fact.reconciliation,
                fact.venue_order_id,
                fact.terms,
                fact.denial,
                fact.execution,
            ),
            "" if fresh else order.hash,
        )

    def _put(self, group: _Group) -> "asyncio.Future[None]":
        self._groups.append(group)
        self._put_groups += 1
        self._waiting += len(group.events)
        if self._lingering is None:
            self._lingering = asyncio.get_running_loop().call_later(self._bounds.linger_s, self._linger_ended)
        return group.durable

    def _linger_ended(self) -> None:
        self._lingering = None
        self._hurry()

    def _flush_later(self) -> None:
        """What no event takes along is written in a while by itself."""
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(self._bounds.idle_flush_s, self._flush_idle)

    def _flush_idle(self) -> None:
        self._flushing = None
        self._hurry()


def _ignore_duration(_ns: int) -> None:
    """Nobody takes the time of appends yet."""


def _ignore_entries(_entries: Sequence[Entry]) -> None:
    """Nobody listens to commits yet."""


def _ignore_order(_live: LiveOrder) -> None:
    """Nobody listens to abandoned intents yet."""
