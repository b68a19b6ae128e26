"""The core of execution on fakes: everything between the calls and the ports, running."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from builders.orders import AAPL, MAIN, a_quote, request
from fakes.order_stores import FakeChargeStore, FakeControlStore, FakeOrderStore
from fakes.orders import FakeBell, FakeBroker, FakeCatalogue, FakeLease, FakePublisher, FakeQuotes

from fleet.metrics import Metrics
from services.execution.domain.limits import RiskLimits, SignalTrading
from services.execution.domain.submission import Origin, Patience, Submitted, Wait
from services.execution.domain.venue import StreamOpened
from services.execution.ports.market import SeenQuote
from services.execution.translate import events
from services.execution.usecases import desk
from services.execution.usecases.blotter import LiveOrder
from services.execution.usecases.collect_charges import ChargeRhythm
from services.execution.usecases.desk import Outside, Rules
from services.execution.usecases.journal import JournalBounds
from services.execution.usecases.reconcile import Rhythm
from trading.clock import SystemClock
from trading.ids import OrderId
from trading.instruments import crypto
from trading.money import ONE

PATIENCE_S = 60.0
"""Long: what is met costs nothing of it, and a machine may be busy with much else."""
SOON_S = 0.05
QUICK = JournalBounds(intent_patience_s=PATIENCE_S, retry_wait_s=0.01, idle_flush_s=0.01, linger_s=0.001)
RHYTHM = Rhythm(in_flight_every_s=0.01, in_flight_age_s=0.0, open_every_s=0.02, misses=2, miss_apart_s=0.02)


@dataclass
class FakeOutside:
    """The ports of a desk, all in memory."""

    store: FakeOrderStore
    controls: FakeControlStore
    broker: FakeBroker
    charges: FakeChargeStore
    lease: FakeLease = field(default_factory=FakeLease)
    catalogue: FakeCatalogue = field(default_factory=lambda: FakeCatalogue(AAPL, crypto("BTC")))
    quotes: FakeQuotes = field(default_factory=lambda: FakeQuotes({"AAPL": SeenQuote(a_quote(), 0)}))
    publisher: FakePublisher = field(default_factory=FakePublisher)
    bell: FakeBell = field(default_factory=FakeBell)
    clock: SystemClock = field(default_factory=SystemClock)


class Desk(desk.Desk):
    """One execution service without its wire; `broker` and `store` may be kept over a restart."""

    def __init__(self, outside: FakeOutside, rules: Rules) -> None:
        metrics = Metrics()
        super().__init__(
            Outside(
                outside.store,
                outside.controls,
                outside.charges,
                outside.lease,
                outside.broker,
                outside.catalogue,
                outside.quotes,
                outside.publisher,
                outside.bell,
                events.order_event_bytes,
                outside.clock,
                metrics,
                structlog.get_logger(),
            ),
            rules,
        )
        self.store = outside.store
        self.controls = outside.controls
        self.record_of_charges = outside.charges
        self.broker = outside.broker
        self.catalogue = outside.catalogue
        self.quotes = outside.quotes
        self.publisher = outside.publisher
        self.bell = outside.bell
        self.clock = outside.clock
        self.metrics = metrics

    async def buy(self, wait: Wait | None = Wait.NONE, timeout_s: float = PATIENCE_S, **order: Any) -> Submitted:
        """Submit an order, by default a market order to buy ten AAPL, and wait for nothing but its intent."""
        return await self.submit(request(**order), Patience(wait, timeout_s), Origin(self.clock.monotonic_ns()))

    async def sent(self, **order: Any) -> Submitted:
        """Submit an order and wait until the venue has answered."""
        return await self.buy(Wait.ACCEPTED, **order)

    @contextlib.contextmanager
    def waiting_in_vain(self, *, log: bool = False) -> Iterator[None]:
        """Meanwhile nobody waits long for the venue's answer to a cancel or a change, or for a log that is away."""
        if log:
            self.journal._bounds = replace(QUICK, intent_patience_s=SOON_S)
        else:
            self.cancel._wait_s = self.modify._wait_s = SOON_S
        yield
        self.journal._bounds = QUICK
        self.cancel._wait_s = self.modify._wait_s = PATIENCE_S

    def quote(self, bid: int, ask: int, symbol: str = "AAPL") -> None:
        """The market moves, in whole units."""
        self.quotes.seen[symbol] = SeenQuote(a_quote(bid, ask, symbol), 0)
        self.release.quoted(symbol)

    def live(self, order_id: OrderId) -> LiveOrder:
        """An order in memory."""
        found = self.blotter.get(order_id)
        assert found is not None
        return found

    @property
    def account(self) -> Any:
        """The main account."""
        return self.accounts.get("")


def assemble(
    store: FakeOrderStore | None = None,
    controls: FakeControlStore | None = None,
    broker: FakeBroker | None = None,
    charges: FakeChargeStore | None = None,
    *,
    bounds: JournalBounds = QUICK,
    rhythm: Rhythm = RHYTHM,
    capacity: int = 64,
    closed_in_memory: int = 100,
    cancel_wait_s: float = PATIENCE_S,
    drain_s: float = PATIENCE_S,
) -> Desk:
    """Build a desk; a quote of 99/101 is known for AAPL, nothing runs yet."""
    log = store or FakeOrderStore()
    record = FakeChargeStore(log, list(charges.rows), set(charges.paid), set(charges.told)) if charges else None
    outside = FakeOutside(log, controls or FakeControlStore(), broker or FakeBroker(), record or FakeChargeStore(log))
    rules = Rules(
        accounts=(MAIN,),
        venue="paper",
        limits=RiskLimits(MAIN),
        signals=SignalTrading(enabled=True, notional_nanos=1_000 * ONE, min_confidence=0.5, account=MAIN),
        bounds=bounds,
        rhythm=rhythm,
        in_flight=capacity,
        closed_in_memory=closed_in_memory,
        outbox_retry_s=0.01,
        venue_retry_s=0.01,
        cancel_wait_s=cancel_wait_s,
        drain_s=drain_s,
        charges=ChargeRhythm(every_s=0.01),
        expire_every_s=0.01,
        losses_every_s=0.01,
        leg_rest_s=0.02,
    )
    return Desk(outside, rules)


@contextlib.asynccontextmanager
async def at_work(desk: Desk) -> AsyncIterator[Desk]:
    """The desk as a service runs it: recalled, reconciled, taking orders; drained at the end."""
    await desk.lease.take()
    await desk.start()
    async with running(desk):
        desk.broker.stream.put_nowait(StreamOpened())
        async with asyncio.timeout(PATIENCE_S):
            await desk.gate.until_open()
        yield desk


@contextlib.asynccontextmanager
async def running(desk: Desk) -> AsyncIterator[None]:
    """Only the loop that moves orders."""
    task = asyncio.create_task(desk.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def a_desk(**parts: Any) -> AsyncIterator[Desk]:
    """A fresh desk at work."""
    async with at_work(assemble(**parts)) as desk:
        yield desk


async def until(condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    """Let the others run until a condition holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - whatever makes it true has no event to wait for
            await asyncio.sleep(0.001)


def after_crash(desk: Desk, rhythm: Rhythm = RHYTHM) -> Desk:
    """The next process after a kill -9: the log, the controls and the venue are all that is left."""
    kept = desk.store
    store = FakeOrderStore(list(kept.entries), dict(kept.timings), dict(kept.trailed), list(kept.waiting))
    broker = FakeBroker(
        dict(desk.broker.book),
        dict(desk.broker.terms),
        unworked=desk.broker.unworked,
        charged=list(desk.broker.charged),
    )
    return assemble(store, desk.controls, broker, desk.record_of_charges, rhythm=rhythm)
