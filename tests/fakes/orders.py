"""The ports of execution in memory that lead to others: the venue, the market, the bus, the lease."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field, replace

from builders import orders
from builders.orders import venue_order

from services.execution.domain.adoption import adopted_id
from services.execution.domain.charge import LoggedCharge, VenueCharge
from services.execution.domain.order import Execution, Order, OrderTerms
from services.execution.domain.venue import (
    StreamOpened,
    VenueAccount,
    VenueOrder,
    VenuePosition,
    VenueTerms,
    VenueUpdate,
)
from services.execution.ports.log import OutboxRow
from services.execution.ports.market import SeenQuote
from services.execution.ports.venue import VenueRefused
from trading.errors import Unavailable
from trading.ids import OrderId, VenueOrderId, hashed_id
from trading.instruments import Instrument, Instruments
from trading.money import ONE
from trading.order import OrderEventKind, OrderStatus, OrderType, Side, TimeInForce


@dataclass
class FakeLease:
    """A lease that is free unless a test takes it away."""

    epoch: int = 0
    free: bool = True
    down: bool = False
    given_back: list[int] = field(default_factory=list)

    async def take(self, lasts_s: float) -> int | None:
        self._check()
        if not self.free:
            return None
        self.free = False
        self.epoch += 1
        return self.epoch

    async def renew(self, epoch: int, lasts_s: float) -> bool:
        self._check()
        return epoch == self.epoch

    async def give_back(self, epoch: int) -> None:
        self._check()
        self.given_back.append(epoch)
        self.free = self.free or epoch == self.epoch

    def _check(self) -> None:
        if self.down:
            raise Unavailable("The database is down.")


@dataclass
class FakeBroker:
    """A venue that accepts every order and fills when it is told to.

    `answers` are what the next submits meet: an exception is raised, after the venue took the order if
    `takes_anyway`; `silent` never answers. `gate` holds submits back until it is set.
    """

    book: dict[OrderId, VenueOrder] = field(default_factory=dict)
    terms: dict[OrderId, OrderTerms] = field(default_factory=dict)
    submitted: list[OrderId] = field(default_factory=list)
    canceled: list[VenueOrderId] = field(default_factory=list)
    answers: list[Exception | None] = field(default_factory=list)
    takes_anyway: bool = False
    down: bool = False
    cancel_answer: Exception | None = None
    modify_answer: Exception | None = None
    tells: bool = True
    unworked: frozenset[OrderType] = frozenset()
    held: list[VenuePosition] = field(default_factory=list)
    charged: list[VenueCharge] = field(default_factory=list)
    stream: "asyncio.Queue[VenueUpdate | StreamOpened]" = field(default_factory=asyncio.Queue)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    cash: VenueAccount = field(
        default_factory=lambda: VenueAccount("USD", 1_000_000 * ONE, 2_000_000 * ONE, multiplier=2)
    )

    def __post_init__(self) -> None:
        self.gate.set()

    @property
    def protocol(self) -> str:
        return "alpaca"

    def works(self, terms: OrderTerms, instrument: Instrument) -> bool:
        return terms.order_type not in self.unworked

    async def submit(self, terms: OrderTerms) -> VenueOrder:
        await self.gate.wait()
        self._check()
        assert terms.order_id not in self.submitted, "an order was sent twice"
        self.submitted.append(terms.order_id)
        answer = self.answers.pop(0) if self.answers else None
        if answer is None or self.takes_anyway:
            self.take(terms)
        if answer is not None:
            raise answer
        return self.book[terms.order_id]

    async def modify(self, order: Order, wished: OrderTerms) -> VenueOrder:
        self._check()
        if self.modify_answer is not None:
            raise self.modify_answer
        before = self.book[order.order_id]
        if before.status.is_closed:
            raise VenueRefused("order is not replaceable")
        number = order.replacements + 1
        self.terms[order.order_id] = wished
        name = VenueOrderId(hashed_id("venue", order.order_id, number))
        after = replace(before, venue_order_id=name, replacement=number)
        self._happen(order.order_id, VenueUpdate(after, OrderEventKind.UPDATED, after.event_time_ns), self.tells)
        return after

    async def cancel(self, order: Order) -> None:
        self._check()
        if self.cancel_answer is not None:
            raise self.cancel_answer
        venue_order_id = order.venue_order_id
        order_id = next((name for name, found in self.book.items() if found.venue_order_id == venue_order_id), None)
        if order_id is None or venue_order_id is None or self.book[order_id].status.is_closed:
            raise VenueRefused("order is not cancelable")
        self.canceled.append(venue_order_id)
        self.end(order_id, OrderEventKind.CANCELED)

    async def find(self, order: Order) -> VenueOrder | None:
        self._check()
        return self.book.get(order.order_id)

    async def open_orders(self) -> Sequence[VenueOrder]:
        self._check()
        return [order for order in self.book.values() if not order.status.is_closed]

    async def orders_since(self, time_ns: int, symbols: Collection[str]) -> Sequence[VenueOrder]:
        self._check()
        return list(self.book.values())

    async def positions(self) -> Sequence[VenuePosition]:
        self._check()
        return self.held

    async def account(self) -> VenueAccount:
        self._check()
        return self.cash

    async def charges(self, after_ns: int, after_id: str = "") -> Sequence[VenueCharge]:
        self._check()
        names = [charge.venue_id for charge in self.charged]
        later = self.charged[names.index(after_id) + 1 :] if after_id else self.charged
        return [charge for charge in later if charge.event_time_ns > after_ns]

    async def updates(self) -> AsyncIterator[VenueUpdate | StreamOpened]:
        while True:
            yield await self.stream.get()

    def take(self, terms: OrderTerms) -> None:
        """The venue has the order."""
        venue_order_id = VenueOrderId(hashed_id("venue", terms.order_id))
        self.terms[terms.order_id] = terms
        self.book[terms.order_id] = venue_order(terms.order_id, venue_order_id=venue_order_id)

    def strange(self, name: str = "theirs", *, filled: int = 0, tell: bool = False, **asked: object) -> OrderId:
        """Another program sends an order to buy ten AAPL; returns the id that we would adopt it under."""
        words = VenueTerms("AAPL", Side.BUY, OrderType.LIMIT, TimeInForce.DAY, 10 * ONE, 100 * ONE)
        words = replace(words, **asked)  # type: ignore[arg-type]
        found = venue_order(None, venue_order_id=VenueOrderId(name), terms=words)
        order_id = adopted_id(found)
        self.book[order_id], self.terms[order_id] = found, orders.terms(order_id=order_id)
        if filled:
            self.fill(order_id, filled, tell=False)
        if tell:
            self._happen(order_id, VenueUpdate(self.book[order_id], OrderEventKind.ACCEPTED, found.event_time_ns), tell)
        return order_id

    def fill(self, order_id: OrderId, quantity: int, price: int = 100, *, tell: bool = True) -> VenueUpdate:
        """The order trades, in whole units, told by the stream or not."""
        before = self.book[order_id]
        filled = before.filled_nanos + quantity * ONE
        whole = filled == self.terms[order_id].quantity_nanos
        after = replace(
            before,
            status=OrderStatus.FILLED if whole else OrderStatus.PARTIALLY_FILLED,
            filled_nanos=filled,
            avg_price_nanos=price * ONE,
        )
        trade = Execution(hashed_id("trade", order_id, filled), price * ONE, quantity * ONE, cumulative_nanos=filled)
        return self._happen(order_id, VenueUpdate(after, OrderEventKind.FILL, after.event_time_ns, trade), tell)

    def end(self, order_id: OrderId, kind: OrderEventKind, *, tell: bool = True) -> VenueUpdate:
        """The order closes without a trade, told by the stream or not."""
        after = replace(self.book[order_id], status=OrderStatus(kind.value))
        return self._happen(order_id, VenueUpdate(after, kind, after.event_time_ns), tell)

    def _happen(self, order_id: OrderId, update: VenueUpdate, tell: bool) -> VenueUpdate:
        self.book[order_id] = update.order
        if tell:
            self.stream.put_nowait(update)
        return update

    def _check(self) -> None:
        if self.down:
            raise Unavailable("The venue is down.")


class FakeCatalogue:
    """A set of instruments."""

    def __init__(self, *instruments: Instrument) -> None:
        self._instruments = Instruments(instruments)
        self.sessions: dict[str, str] = {}

    def session(self, symbol: str) -> str:
        return self.sessions.get(symbol, "")

    async def get(self, spelling: str) -> Instrument:
        return self._instruments.get(spelling)


@dataclass
class FakeQuotes:
    """Quotes as the test wants them; `answers` is what market_data would say."""

    seen: dict[str, SeenQuote] = field(default_factory=dict)
    answers: dict[str, SeenQuote] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def latest(self, symbol: str) -> SeenQuote | None:
        return self.seen.get(symbol)

    async def ask(self, symbol: str) -> SeenQuote | None:
        self.asked.append(symbol)
        await asyncio.sleep(0)
        return self.answers.get(symbol)


@dataclass
class FakeBell:
    """Rings when a test does."""

    rung: "asyncio.Queue[int]" = field(default_factory=asyncio.Queue)

    async def rings(self) -> AsyncIterator[int]:
        while True:
            yield await self.rung.get()


@dataclass
class FakePublisher:
    """Remembers what was published; the next `outages` publishes fail."""

    published: list[OutboxRow] = field(default_factory=list)
    charges: list[LoggedCharge] = field(default_factory=list)
    outages: int = 0

    async def publish(self, rows: Sequence[OutboxRow]) -> Sequence[OutboxRow]:
        await asyncio.sleep(0)
        failing = min(self.outages, len(rows))
        self.outages -= failing
        self.published += rows[failing:]
        return rows[:failing]

    async def publish_charges(self, charges: Sequence[LoggedCharge]) -> Sequence[LoggedCharge]:
        await asyncio.sleep(0)
        failing = min(self.outages, len(charges))
        self.outages -= failing
        self.charges += charges[failing:]
        return charges[:failing]
