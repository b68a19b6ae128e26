"""What a simulated process holds of the world: its lines to the venue, the store and JetStream, cut when it dies."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fakes.order_stores import FakeOrderStore
from simulation.exchange import Exchange
from simulation.weather import Weather

from services.execution.domain.charge import LoggedCharge, VenueCharge
from services.execution.domain.order import Order, OrderTerms
from services.execution.domain.venue import (
    StreamOpened,
    VenueAccount,
    VenueOrder,
    VenuePosition,
    VenueUpdate,
    whole_view,
)
from services.execution.ports.log import AnotherWriter, Append, OutboxRow
from services.execution.ports.venue import VenueRefused
from trading.clock import SECOND_NS, Clock
from trading.errors import Unavailable
from trading.instruments import Instrument
from trading.money import ONE
from trading.order import OrderType

AnswerT = TypeVar("AnswerT")
VENUE_TIMEOUT_S = 3.0


class Life:
    """One life of a process: everything that passes between it and the world is a step, and any may be its last."""

    def __init__(self, step: Callable[[], None]) -> None:
        self.is_over = False
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ends: list[Callable[[], None]] = []
        self._step = step
        self._tasks: set[asyncio.Task[Any]] = set()

    def end(self) -> None:
        """kill -9: no answer arrives any more, whatever was asked goes its own way."""
        self.is_over = True
        self.over.set_result(None)
        for end in self.ends:
            end()

    def step(self) -> None:
        """Something passes; perhaps it is the last thing."""
        if not self.is_over:
            self._step()

    async def ask(self, work: Callable[[], Coroutine[Any, Any, AnswerT]]) -> AnswerT:
        """What the world answers. It works on when the asker gives up or dies; the dead begin nothing."""
        loop = asyncio.get_running_loop()
        self.step()
        answer: asyncio.Future[AnswerT] = loop.create_future()
        if self.is_over:
            return await answer
        task = loop.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._deliver(done, answer))
        return await answer

    def _deliver(self, task: "asyncio.Task[AnswerT]", answer: "asyncio.Future[AnswerT]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        self.step()
        if self.is_over or answer.done() or task.cancelled():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(task.result())


@dataclass
class Climate:
    """The weather as it is now, and the chance that it plays with."""

    chance: random.Random
    weather: Weather

    def strikes(self, probability: float) -> bool:
        """Whether something goes wrong this time."""
        return probability > 0 and self.chance.random() < probability

    async def travel(self) -> None:
        """Be on the way."""
        await asyncio.sleep(self.weather.latency_s(self.chance))


class VenueLine:
    """The venue's port over a network that loses, delays, doubles and reorders."""

    def __init__(self, life: Life, exchange: Exchange, climate: Climate) -> None:
        self._life = life
        self._exchange = exchange
        self._climate = climate

    @property
    def protocol(self) -> str:
        return "alpaca"

    def works(self, terms: OrderTerms, instrument: Instrument) -> bool:
        """What waits for a price is held by us, as for coins at Alpaca."""
        return terms.order_type in (OrderType.MARKET, OrderType.LIMIT)

    async def submit(self, terms: OrderTerms) -> VenueOrder:
        return await self._request(lambda: self._exchange.place(terms), creates=True)

    async def modify(self, order: Order, wished: OrderTerms) -> VenueOrder:
        number = order.replacements + 1
        return await self._request(lambda: self._exchange.replace(order.venue_order_id, wished, number), creates=True)

    async def cancel(self, order: Order) -> None:
        await self._request(lambda: self._exchange.cancel(order.venue_order_id), creates=True)

    async def find(self, order: Order) -> VenueOrder | None:
        return await self._request(lambda: whole_view(self._exchange.find(order)))

    async def open_orders(self) -> Sequence[VenueOrder]:
        return [order for order in await self._all() if not order.status.is_closed]

    async def orders_since(self, time_ns: int, symbols: Collection[str]) -> Sequence[VenueOrder]:
        return await self._all()

    async def positions(self) -> Sequence[VenuePosition]:
        held = await self._request(self._exchange.positions)
        return [VenuePosition(symbol, quantity) for symbol, quantity in held.items()]

    async def charges(self, after_ns: int, after_id: str = "") -> Sequence[VenueCharge]:
        """It charges nothing."""
        return ()

    async def account(self) -> VenueAccount:
        return await self._request(lambda: VenueAccount("USD", 10_000_000 * ONE, 20_000_000 * ONE, multiplier=2))

    async def updates(self) -> AsyncIterator[VenueUpdate | StreamOpened]:
        while True:
            await self._life.ask(self._climate.travel)
            connection = Connection(self._exchange, self._climate)
            self._life.ends.append(connection.close)
            try:
                yield StreamOpened()
                while (update := await self._life.ask(connection.messages.get)) is not None:
                    yield update
            finally:
                connection.close()

    async def _all(self) -> list[VenueOrder]:
        return await self._request(lambda: [order.view() for order in self._exchange.orders])

    async def _request(self, handle: Callable[[], AnswerT], *, creates: bool = False) -> AnswerT:
        try:
            async with asyncio.timeout(VENUE_TIMEOUT_S):
                return await self._life.ask(lambda: self._exchanged(handle, creates))
        except TimeoutError as error:
            raise Unavailable("The venue did not answer in time.", retry_after_s=1) from error

    async def _exchanged(self, handle: Callable[[], AnswerT], creates: bool) -> AnswerT:
        """One request and its answer; only those that change something are refused."""
        climate, weather = self._climate, self._climate.weather
        await climate.travel()
        if climate.strikes(weather.lost_before):
            raise Unavailable("The connection to the venue failed.", retry_after_s=1)
        if climate.strikes(weather.error_before):
            raise Unavailable("The venue answered 503.", retry_after_s=1)
        if creates and climate.strikes(weather.too_many):
            raise VenueRefused("too many requests", status=429)
        if creates and climate.strikes(weather.refused):
            raise VenueRefused("insufficient buying power", status=403)
        answer = handle()
        if climate.strikes(weather.error_after):
            raise Unavailable("The venue answered 500.", retry_after_s=1)
        await climate.travel()
        if climate.strikes(weather.lost_after):
            raise Unavailable("The venue did not answer in time.", retry_after_s=1)
        return answer


class Connection:
    """One connection to the venue's order stream; None is its end."""

    def __init__(self, exchange: Exchange, climate: Climate) -> None:
        self.messages: asyncio.Queue[VenueUpdate | None] = asyncio.Queue()
        self._exchange = exchange
        self._climate = climate
        self._next_s = 0.0
        self._is_open = True
        exchange.listeners.append(self)

    def hear(self, update: VenueUpdate) -> None:
        """The venue tells something: once, twice or never."""
        weather = self._climate.weather
        if not self._climate.strikes(weather.never_told):
            self._send(update)
            if self._climate.strikes(weather.told_twice):
                self._send(update)

    def break_off(self) -> None:
        """The venue's end is gone, with all that was on its way; the reader finds out."""
        self.close()
        self.messages.put_nowait(None)

    def close(self) -> None:
        """The reader has left."""
        if self._is_open:
            self._is_open = False
            self._exchange.listeners.remove(self)

    def _send(self, update: VenueUpdate) -> None:
        loop, climate = asyncio.get_running_loop(), self._climate
        arrives_s = loop.time() + climate.weather.latency_s(climate.chance)
        if climate.strikes(climate.weather.overtaken):
            arrives_s += climate.chance.uniform(0, 1.0)
        else:
            arrives_s = self._next_s = max(arrives_s, self._next_s)
        loop.call_at(arrives_s, self._arrive, update)

    def _arrive(self, update: VenueUpdate) -> None:
        if self._is_open:
            self.messages.put_nowait(update)


@dataclass
class LeaseRow:
    """The one row of the lease; a holder that is known to be dead holds nothing."""

    epoch: int = 0
    ends_ns: int = 0
    holder: Life | None = None


class DurableLog(FakeOrderStore):
    """The order log on a server of its own, which is away at times and outlives every process."""

    def __init__(self, climate: Climate, lease: LeaseRow) -> None:
        super().__init__()
        self._climate = climate
        self._lease = lease
        self._under_way: dict[int, Append] = {}
        self._asked = 0

    def begin(self, append: Append) -> Coroutine[Any, Any, None]:
        """Take a transaction on its way: from now on it is under way."""
        self._asked += 1
        self._under_way[self._asked] = append
        return self._finish(self._asked, append)

    async def _finish(self, ticket: int, append: Append) -> None:
        """Write; a failure says nothing about whether it was written."""
        await self._climate.travel()
        if self._under_way.pop(ticket, None) is None:
            return  # settled when the writer died
        if self.is_away() and self._climate.chance.random() < 0.5:
            raise Unavailable("The store does not answer.")
        self._write(append)
        await self._climate.travel()
        self.check()

    def settle(self) -> None:
        """The writer has died: what was under way is written now or never."""
        for append in self._under_way.values():
            if self._climate.chance.random() < 0.5:
                self._write(append)
        self._under_way.clear()

    def _write(self, append: Append) -> None:
        if append.epoch != self._lease.epoch:
            raise AnotherWriter("Fenced.")
        super()._write(append)

    def is_away(self) -> bool:
        """Whether nobody answers just now."""
        now_s = asyncio.get_running_loop().time()
        return any(begins_s <= now_s < begins_s + lasts_s for begins_s, lasts_s in self._climate.weather.outages)

    def check(self) -> None:
        """Raise Unavailable while it is away."""
        if self.is_away():
            raise Unavailable("The store does not answer.")


class StoreLine:
    """The store's port over a network."""

    def __init__(self, life: Life, log: DurableLog, climate: Climate) -> None:
        self._life = life
        self._log = log
        self._climate = climate

    async def append(self, append: Append) -> None:
        await self._life.ask(lambda: self._log.begin(append))

    async def client_ids(self) -> AsyncIterator[Any]:
        for key in await self._life.ask(lambda: self._read(self._all_client_ids)):
            yield key

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        """Every other method of the port reads."""

        async def read(*arguments: Any) -> Any:
            return await self._life.ask(lambda: self._read(getattr(self._log, name), *arguments))

        return read

    async def _read(self, query: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        await self._climate.travel()
        self._log.check()
        found = await query(*arguments)
        await self._climate.travel()
        self._log.check()
        return found

    async def _all_client_ids(self) -> list[Any]:
        return [key async for key in self._log.client_ids()]


class LeaseLine:
    """The port of the lease over a network."""

    def __init__(self, life: Life, row: LeaseRow, clock: Clock, climate: Climate) -> None:
        self._life = life
        self._row = row
        self._clock = clock
        self._climate = climate

    async def take(self, lasts_s: float) -> int | None:
        return await self._life.ask(lambda: self._taken(lasts_s))

    async def renew(self, epoch: int, lasts_s: float) -> bool:
        return await self._life.ask(lambda: self._renewed(epoch, lasts_s))

    async def give_back(self, epoch: int) -> None:
        await self._life.ask(lambda: self._renewed(epoch, 0.0))

    async def _taken(self, lasts_s: float) -> int | None:
        await self._climate.travel()
        row, now_ns = self._row, self._clock.now_ns()
        if row.ends_ns > now_ns and row.holder is not None and not row.holder.is_over:
            return None
        row.epoch += 1
        row.holder, row.ends_ns = self._life, now_ns + int(lasts_s * SECOND_NS)
        await self._climate.travel()
        return row.epoch

    async def _renewed(self, epoch: int, lasts_s: float) -> bool:
        await self._climate.travel()
        if epoch != self._row.epoch:
            return False
        self._row.ends_ns = self._clock.now_ns() + int(lasts_s * SECOND_NS)
        await self._climate.travel()
        return True


@dataclass
class JetStream:
    """Keeps each event id once, as JetStream does by `Nats-Msg-Id`."""

    kept: dict[str, OutboxRow] = field(default_factory=dict)


class JetStreamLine:
    """The publisher's port over a network."""

    def __init__(self, life: Life, stream: JetStream, climate: Climate) -> None:
        self._life = life
        self._stream = stream
        self._climate = climate

    async def publish_charges(self, charges: Sequence[LoggedCharge]) -> Sequence[LoggedCharge]:
        """There are none."""
        return ()

    async def publish(self, rows: Sequence[OutboxRow]) -> Sequence[OutboxRow]:
        return await self._life.ask(lambda: self._publish(rows))

    async def _publish(self, rows: Sequence[OutboxRow]) -> Sequence[OutboxRow]:
        """Some arrive and some acks come back."""
        await self._climate.travel()
        arrived = [row for row in rows if not self._climate.strikes(self._climate.weather.unpublished)]
        for row in arrived:
            self._stream.kept.setdefault(row.event_id, row)
        await self._climate.travel()
        lost = self._climate.weather.unpublished
        told = {row.event_id for row in arrived if not self._climate.strikes(lost)}
        return [row for row in rows if row.event_id not in told]
