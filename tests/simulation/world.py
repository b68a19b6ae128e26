"""One simulated world: callers, a process that dies and comes back, a venue, a log; all of it a function of a seed."""

import asyncio
import contextlib
import contextvars
import hashlib
import random
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from builders.orders import AAPL, MAIN, a_quote
from fakes.order_stores import FakeChargeStore, FakeControlStore
from fakes.orders import FakeBell, FakeCatalogue, FakeQuotes
from simulation.callers import Caller, NotReached, requests
from simulation.exchange import Exchange
from simulation.invariants import Evidence, by_order, unlike_the_venue, violations
from simulation.lines import (
    Climate,
    DurableLog,
    JetStream,
    JetStreamLine,
    LeaseLine,
    LeaseRow,
    Life,
    StoreLine,
    VenueLine,
)
from simulation.virtual_time import IDS, Ids, VirtualClock, VirtualTimeLoop, seeded_ids
from simulation.weather import CLEAR, STORM_S, drawn

from fleet.metrics import Metrics
from services.execution.domain.limits import RiskLimits, SignalTrading
from services.execution.domain.venue import VenueTerms
from services.execution.ports.market import SeenQuote
from services.execution.translate import events
from services.execution.usecases.desk import Desk, Outside, Rules
from services.execution.usecases.lead import LeaseRhythm
from services.execution.usecases.reconcile import Rhythm
from trading.errors import Unavailable
from trading.ids import OrderId
from trading.money import ONE
from trading.order import OrderType, Side, TimeInForce

AnswerT = TypeVar("AnswerT")
_ON_THE_WAY_S = 6.0
"""Longer than anything sent in a storm is under way."""
_PROOF_S = 25.0
"""Long enough for two proofs that the venue does not have an order."""
_CALLERS_S = 60.0
_RULES = Rules(
    accounts=(MAIN,),
    venue="paper",
    limits=RiskLimits(MAIN),
    signals=SignalTrading(enabled=False, notional_nanos=ONE, min_confidence=0.5, account=MAIN),
    rhythm=Rhythm(miss_apart_s=5.0),
    lease=LeaseRhythm(lasts_s=12.0, renew_every_s=3.0),
    closed_in_memory=4,
    expire_every_s=5.0,
    losses_every_s=5.0,
)
"""The service's own, but for a short memory and a slow look at what no world has, such as expiries and losses."""


@dataclass(frozen=True)
class Manner:
    """How the service deals with the venue; `takes_twice` is a venue that does not mind an id that it knows."""

    name: str
    line: type[VenueLine]
    takes_twice: bool = False


CAREFUL = Manner("careful", VenueLine)
"""As it really does."""


@dataclass
class Outcome:
    """How a world ended: `digest` is the SHA-256 of the event log."""

    seed: int
    digest: str
    violations: list[str]
    kinds: Counter[str]
    crashes: int
    steps: int
    seconds: float


@dataclass
class Process:
    """One life of the service."""

    desk: Desk
    quotes: FakeQuotes
    life: Life
    context: contextvars.Context
    task: "asyncio.Task[None] | None" = None


class World:
    """Everything there is; `process` is None while the service is down."""

    def __init__(self, seed: int, loop: VirtualTimeLoop, manner: Manner) -> None:
        self.seed = seed
        self.chance = random.Random(f"world {seed}")
        self.clock = VirtualClock(loop)
        self.climate = Climate(random.Random(f"faults {seed}"), drawn(self.chance))
        self.exchange = Exchange(random.Random(f"venue {seed}"), self.clock, takes_twice=manner.takes_twice)
        self.exchange.rejected_later = self.climate.weather.rejected_later
        self.lease = LeaseRow()
        self.log = DurableLog(self.climate, self.lease)
        self.controls = FakeControlStore()
        self.charges = FakeChargeStore()
        self.stream = JetStream()
        self.acknowledged: dict[str, OrderId] = {}
        self.surprises: list[str] = []
        self.metrics = Metrics()
        self.process: Process | None = None
        self.lives: list[Process] = []
        self.steps = 0
        self._manner = manner
        self._loop = loop
        self._changed = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None
        self._market: asyncio.Task[None] | None = None
        self._quote = SeenQuote(a_quote(), 0)
        self._is_operated = False

    async def run(self) -> Evidence:
        """A storm with callers in it, a last crash, and what is found afterwards."""
        self._supervisor = asyncio.create_task(self._supervise())
        self._market = asyncio.create_task(self._move(random.Random(f"market {self.seed}")))
        calls = [
            asyncio.create_task(Caller(self, name, request, chance).run())
            for name, request, chance in requests(self.seed)
        ]
        storm = [asyncio.create_task(each()) for each in (self._break_connections, self._strangers, self._operator)]
        await asyncio.sleep(STORM_S)
        self.climate.weather = CLEAR
        await asyncio.wait([*calls, *storm], timeout=_CALLERS_S)
        self.surprises += [f"I1 {task} never ended" for task in calls if not task.done()]
        for task in [*calls, *storm]:
            if task.done():
                self._explain(task)
        await self._last_crash()
        return await self._aftermath()

    async def call(self, command: Callable[[Desk], Awaitable[AnswerT]]) -> AnswerT:
        """Call the service; raises NotReached when it is down or dies before it answers."""
        process = self.process
        if process is None:
            raise NotReached
        answer = self._loop.create_task(_awaited(command(process.desk)), context=process.context)
        await asyncio.wait((answer, process.life.over), return_when=asyncio.FIRST_COMPLETED)
        if process.life.is_over:
            answer.cancel()
            await asyncio.wait((answer,))
            raise NotReached
        return answer.result()

    def acknowledge(self, client_order_id: str, order_id: OrderId) -> None:
        """A caller was told that its order was taken."""
        before = self.acknowledged.setdefault(client_order_id, order_id)
        if before != order_id:
            self.surprises.append(f"I2 {client_order_id} was acknowledged as {before} and as {order_id}")

    def error(self, event: str, **facts: Any) -> None:
        """What the service logs as an error is one."""
        if event == "venue.impossible_event":
            self.surprises.append(f"I4 impossible event: {facts}")

    def info(self, event: str, **facts: Any) -> None:
        """The rest of its log says nothing here."""

    warning = info

    def _step(self) -> None:
        self.steps += 1
        if self.steps in self.climate.weather.crashes:
            self.crash()

    def crash(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.life.end()
            self.log.settle()
            self.process = None

    async def _supervise(self) -> None:
        """Start the service again whenever it is dead."""
        while True:
            process = self._born()
            self.process = process
            task = process.task = self._loop.create_task(_lived(process.desk), context=process.context)
            await asyncio.wait((task, process.life.over), return_when=asyncio.FIRST_COMPLETED)
            if not process.life.is_over:  # it died by itself, as of a store that is away at its start
                self._explain(task)
                self.crash()
            task.cancel()  # without waiting: its last words would go over lines that are cut
            await asyncio.sleep(self.chance.uniform(0.05, 1.0))

    def _born(self) -> Process:
        context = contextvars.copy_context()
        context.run(IDS.set, Ids(f"{self.seed} {len(self.lives)}", self.clock))
        process = context.run(self._assembled, context)
        self.lives.append(process)
        return process

    def _assembled(self, context: contextvars.Context) -> Process:
        life, quotes = Life(self._step), FakeQuotes({AAPL.symbol: self._quote})
        outside = Outside(
            StoreLine(life, self.log, self.climate),
            self.controls,
            self.charges,
            LeaseLine(life, self.lease, self.clock, self.climate),
            self._manner.line(life, self.exchange, self.climate),
            FakeCatalogue(AAPL),
            quotes,
            JetStreamLine(life, self.stream, self.climate),
            FakeBell(),
            events.order_event_bytes,
            self.clock,
            self.metrics,
            self,
        )
        desk = Desk(outside, _RULES)
        return Process(desk, quotes, life, context)

    def _explain(self, task: "asyncio.Task[None]") -> None:
        error = task.exception()
        if isinstance(error, BaseExceptionGroup):
            _, error = error.split(Unavailable)  # the store was away when it started; it is started again
        if error is not None:
            self.surprises.append("A surprise: " + "".join(traceback.format_exception(error)))

    async def _break_connections(self) -> None:
        for moment in self.climate.weather.disconnects:
            await asyncio.sleep(max(0.0, moment - self._loop.time()))
            self.exchange.hang_up()

    async def _move(self, chance: random.Random) -> None:
        """The market wanders, and whoever holds orders hears of it."""
        price = 100
        while True:
            await asyncio.sleep(chance.uniform(0.2, 1.5))
            price = min(max(price + chance.choice((-2, -1, 0, 1, 2)), 92), 108)
            self._quote = SeenQuote(a_quote(price - 1, price + 1), 0)
            if self.process is not None:
                self.process.quotes.seen[AAPL.symbol] = self._quote
                self.process.context.run(self.process.desk.release.quoted, AAPL.symbol)

    async def _strangers(self) -> None:
        """Another program trades with the same key."""
        for _ in range(self.chance.choice((0, 0, 1, 2))):
            await asyncio.sleep(self.chance.uniform(0, STORM_S / 2))
            side = self.chance.choice(tuple(Side))
            quantity = self.chance.randint(1, 5) * ONE
            self.exchange.take(None, VenueTerms("AAPL", side, OrderType.MARKET, TimeInForce.DAY, quantity))

    async def _operator(self) -> None:
        """Somebody cancels everything at times."""
        for _ in range(self.chance.choice((0, 0, 1, 2))):
            await asyncio.sleep(self.chance.uniform(0, STORM_S / 2))
            if self.process is not None:
                self._is_operated = True
                with contextlib.suppress(Unavailable):
                    self.process.context.run(self.process.desk.cancel.cancel_all)

    async def _last_crash(self) -> None:
        """The service dies, the venue trades on without it and then closes, and everything under way arrives."""
        assert self._supervisor is not None
        assert self._market is not None
        for task in (self._supervisor, self._market):
            task.cancel()
            await asyncio.wait((task,))
        self.crash()
        await asyncio.sleep(_ON_THE_WAY_S)
        self.exchange.freeze()

    async def _aftermath(self) -> Evidence:
        """One pass converges, a second finds nothing, and in the end nothing is left open that should not be."""
        self._supervisor = asyncio.create_task(self._supervise())
        await asyncio.sleep(0)
        if self.process is None:
            await self._supervisor  # it raises what went wrong
        assert self.process is not None, "the service starts at once"
        desk = self.process.desk
        try:
            async with asyncio.timeout(5):
                await desk.gate.until_open()
        except TimeoutError:
            self.surprises.append("I7 it took more than 5 s to take orders again")
            return self._evidence(desk)
        self._compare_with_venue(desk, "after one pass")
        self._expect_nothing_new(await self.call(lambda each: each.reconcile.everything()), "a second pass")
        await asyncio.sleep(_PROOF_S)
        before = len(self.log.entries)
        for question in (desk.reconcile.everything, desk.reconcile.open_orders, desk.reconcile.in_flight):
            self._expect_nothing_new(await question(), "a last pass")
        await desk.journal.finish()
        if len(self.log.entries) != before:
            self.surprises.append("I4 the last passes wrote events")
        if not await desk.relay.until_empty(5):
            self.surprises.append("I5 the outbox does not drain")
        await desk.journal.finish()
        return self._evidence(desk)

    def _compare_with_venue(self, desk: Desk, when: str) -> None:
        for order_id, found in by_order(order.view() for order in self.exchange.orders).items():
            live = desk.blotter.get(order_id)
            difference = unlike_the_venue(live.order, found) if live else None
            if difference:
                self.surprises.append(f"I7 {when}: {difference}")

    def _expect_nothing_new(self, changes: int, what: str) -> None:
        if changes:
            self.surprises.append(f"I7 {what} found {changes} differences")

    def _evidence(self, desk: Desk) -> Evidence:
        holdings = desk.blotter.holdings[MAIN]
        held = {name: each.quantity_nanos for name, each in holdings.positions.items() if each.quantity_nanos}
        return Evidence(
            acknowledged=self.acknowledged,
            events=[entry.event for entry in self.log.entries],
            venue_orders=[order.view() for order in self.exchange.orders],
            held=held,
            held_at_venue={symbol: quantity for symbol, quantity in self.exchange.positions().items() if quantity},
            outbox=len(self.log.waiting),
            published=self.stream.kept.keys(),
            ended_ns=self.clock.now_ns(),
            is_operated=self._is_operated,
            surprises=self.surprises,
        )


def simulate(seed: int, manner: Manner = CAREFUL) -> Outcome:
    """Run the world of a seed to its end and judge it."""
    loop = VirtualTimeLoop()
    try:
        with seeded_ids():
            return loop.run_until_complete(_judged(seed, loop, manner))
    finally:
        _bury(loop)


async def _judged(seed: int, loop: VirtualTimeLoop, manner: Manner) -> Outcome:
    IDS.set(Ids(f"{seed}", VirtualClock(loop)))
    world = World(seed, loop, manner)
    evidence = await world.run()
    digest = hashlib.sha256("".join(event.hash for event in evidence.events).encode()).hexdigest()
    found = violations(evidence)
    kinds = Counter[str](event.kind for event in evidence.events)
    return Outcome(seed, digest, found, kinds, len(world.lives) - 1, world.steps, loop.time())


async def _awaited(answer: Awaitable[AnswerT]) -> AnswerT:
    return await answer


async def _lived(desk: Desk) -> None:
    """A process from its start on."""
    await desk.lead()


def _bury(loop: VirtualTimeLoop) -> None:
    """End whatever still runs, so that nothing of this world reaches the next."""
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.set_exception_handler(lambda _loop, _context: None)
    for _ in range(100):
        if not asyncio.all_tasks(loop):
            break
        loop.run_until_complete(asyncio.sleep(0.1))
    loop.close()
