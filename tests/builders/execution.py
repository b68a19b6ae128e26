"""The core of execution on fakes: everything between the calls and the ports, running."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import structlog
from builders.orders import AAPL, MAIN, a_quote, request
from fakes.orders import FakeBroker, FakeCatalogue, FakeControlStore, FakeOrderStore, FakePublisher, FakeQuotes

from fleet.metrics import Metrics
from services.execution import translate
from services.execution.domain.limits import RiskLimits, SignalTrading
from services.execution.domain.submission import Origin, Patience, Submitted, Wait
from services.execution.domain.venue import StreamOpened
from services.execution.ports import SeenQuote
from services.execution.usecases.accounts import Accounts
from services.execution.usecases.background import Background
from services.execution.usecases.blotter import Blotter
from services.execution.usecases.cancel import Cancel
from services.execution.usecases.control import Control
from services.execution.usecases.follow_venue import FollowVenue
from services.execution.usecases.gate import Gate
from services.execution.usecases.journal import Journal, JournalBounds
from services.execution.usecases.look_up import LookUp
from services.execution.usecases.market import Market
from services.execution.usecases.observe import Observer
from services.execution.usecases.orders import Orders
from services.execution.usecases.recall import recall
from services.execution.usecases.reconcile import Reconcile, Rhythm
from services.execution.usecases.record_venue_event import RecordVenueEvent
from services.execution.usecases.relay_outbox import RelayOutbox
from services.execution.usecases.run_orders import RunOrders
from services.execution.usecases.send import Send
from services.execution.usecases.submit import Submit
from services.execution.usecases.trade_signals import TradeSignals
from trading.clock import SystemClock
from trading.instruments import crypto
from trading.money import ONE

QUICK = JournalBounds(intent_patience_s=0.5, retry_wait_s=0.01, idle_flush_s=0.01, linger_s=0.001)
RHYTHM = Rhythm(in_flight_every_s=0.01, in_flight_age_s=0.0, open_every_s=0.02, misses=2, miss_apart_s=0.02)


@dataclass
class Desk:
    """One execution service without its wire; `broker` and `store` may be kept over a restart."""

    store: FakeOrderStore
    controls: FakeControlStore
    broker: FakeBroker
    quotes: FakeQuotes
    publisher: FakePublisher
    clock: SystemClock
    gate: Gate
    background: Background
    blotter: Blotter
    journal: Journal
    observer: Observer
    orders: Orders
    accounts: Accounts
    submit: Submit
    record: RecordVenueEvent
    reconcile: Reconcile
    cancel: Cancel
    control: Control
    relay: RelayOutbox
    signals: TradeSignals
    look_up: LookUp
    run: RunOrders

    async def buy(self, wait: Wait | None = Wait.NONE, timeout_s: float = 1.0, **order: Any) -> Submitted:
        """Submit an order, by default a market order to buy ten AAPL, and wait for nothing but its intent."""
        return await self.submit(request(**order), Patience(wait, timeout_s), Origin(self.clock.monotonic_ns()))

    async def sent(self, **order: Any) -> Submitted:
        """Submit an order and wait until the venue has answered."""
        return await self.buy(Wait.ACCEPTED, **order)

    @property
    def account(self) -> Any:
        """The main account."""
        return self.accounts.get("")


def assemble(
    store: FakeOrderStore | None = None,
    controls: FakeControlStore | None = None,
    broker: FakeBroker | None = None,
    *,
    bounds: JournalBounds = QUICK,
    rhythm: Rhythm = RHYTHM,
    capacity: int = 64,
    closed_in_memory: int = 100,
) -> Desk:
    """Build a desk; a quote of 99/101 is known for AAPL, nothing runs yet."""
    store, controls, broker = store or FakeOrderStore(), controls or FakeControlStore(), broker or FakeBroker()
    clock, gate, log = SystemClock(), Gate(), structlog.get_logger()
    quotes = FakeQuotes({"AAPL": SeenQuote(a_quote(), 0)})
    background, blotter = Background(capacity), Blotter([MAIN], closed_in_memory)
    journal = Journal(store, blotter, clock, translate.order_event_bytes, bounds)
    observer = Observer(journal, clock, Metrics())
    orders = Orders(store, blotter, journal)
    accounts = Accounts((MAIN,), "paper", RiskLimits(MAIN), controls, clock)
    market = Market(FakeCatalogue(AAPL, crypto("BTC")), quotes)
    send = Send(broker, journal, background, observer, clock)
    submit = Submit("paper", broker.protocol, market, orders, accounts, send, observer, gate, clock)
    record = RecordVenueEvent(MAIN, "paper", orders, market, observer, clock, log)
    reconcile = Reconcile(broker, orders, record, observer, clock, rhythm, log)
    publisher = FakePublisher()
    relay = RelayOutbox(store, publisher, journal, log, retry_wait_s=0.01)
    cancel = Cancel(broker, orders, background, clock, log, wait_s=0.3)
    follow = FollowVenue(broker, record, reconcile, accounts, gate, log, retry_wait_s=0.01)
    switch = SignalTrading(enabled=True, notional_nanos=1_000 * ONE, min_confidence=0.5, account=MAIN)
    return Desk(
        store=store,
        controls=controls,
        broker=broker,
        quotes=quotes,
        publisher=publisher,
        clock=clock,
        gate=gate,
        background=background,
        blotter=blotter,
        journal=journal,
        observer=observer,
        orders=orders,
        accounts=accounts,
        submit=submit,
        record=record,
        reconcile=reconcile,
        cancel=cancel,
        control=Control(accounts, cancel, broker),
        relay=relay,
        signals=TradeSignals(switch, controls, submit, blotter, market, accounts, background, clock, log),
        look_up=LookUp(orders, accounts, market.catalogue, observer, background, relay, clock),
        run=RunOrders(journal, relay, background, follow, reconcile, gate, drain_s=1.0),
    )


@contextlib.asynccontextmanager
async def at_work(desk: Desk) -> AsyncIterator[Desk]:
    """The desk as a service runs it: recalled, reconciled, taking orders; drained at the end."""
    await recall(desk.store, desk.blotter, desk.journal)
    await desk.accounts.load()
    await desk.signals.load()
    await desk.relay.load()
    async with running(desk):
        desk.broker.stream.put_nowait(StreamOpened())
        async with asyncio.timeout(2):
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


async def until(condition: Callable[[], bool], timeout_s: float = 2.0) -> None:
    """Let the others run until a condition holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - whatever makes it true has no event to wait for
            await asyncio.sleep(0.001)


def after_crash(desk: Desk, rhythm: Rhythm = RHYTHM) -> Desk:
    """The next process after a kill -9: the log, the controls and the venue are all that is left."""
    store = FakeOrderStore(list(desk.store.entries), dict(desk.store.timings), list(desk.store.waiting))
    broker = FakeBroker(dict(desk.broker.book), dict(desk.broker.terms))
    return assemble(store, desk.controls, broker, rhythm=rhythm)
