"""A desk: every story of execution put together over its ports, the same in the service and in its tests."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fleet.metrics import Metrics
from services.execution.domain.limits import RiskLimits, SignalTrading
from services.execution.ports.charges import ChargeStore
from services.execution.ports.controls import ControlStore
from services.execution.ports.log import Lease, OrderStore
from services.execution.ports.market import Catalogue, Quotes
from services.execution.ports.publishing import EventPublisher, OutboxBell
from services.execution.ports.venue import Broker
from services.execution.usecases.accounts import Accounts
from services.execution.usecases.background import Background
from services.execution.usecases.blotter import Blotter
from services.execution.usecases.brackets import Brackets
from services.execution.usecases.cancel import Cancel
from services.execution.usecases.collect_charges import ChargeRhythm, CollectCharges
from services.execution.usecases.control import Control
from services.execution.usecases.expire import Expire
from services.execution.usecases.flatten import Flatten
from services.execution.usecases.follow_venue import FollowVenue
from services.execution.usecases.gate import Gate
from services.execution.usecases.journal import Encode, Journal, JournalBounds
from services.execution.usecases.judge import Judge
from services.execution.usecases.lead import HoldLease, Lead, LeaseRhythm
from services.execution.usecases.look_up import LookUp
from services.execution.usecases.market import Market
from services.execution.usecases.modify import Modify
from services.execution.usecases.observe import Observer
from services.execution.usecases.orders import Orders
from services.execution.usecases.recall import recall
from services.execution.usecases.reconcile import Reconcile, Rhythm
from services.execution.usecases.record_venue_event import RecordVenueEvent
from services.execution.usecases.relay_outbox import RelayOutbox
from services.execution.usecases.release import Release
from services.execution.usecases.run_orders import RunOrders
from services.execution.usecases.send import Send
from services.execution.usecases.state import State
from services.execution.usecases.submit import Submit
from services.execution.usecases.tell_charges import TellCharges
from services.execution.usecases.trade_signals import TradeSignals
from services.execution.usecases.watch_losses import WatchLosses
from trading.clock import Clock
from trading.ids import AccountId


@dataclass(frozen=True, slots=True)
class Outside:
    """What a desk needs of the outside world."""

    store: OrderStore
    controls: ControlStore
    charges: ChargeStore
    lease: Lease
    broker: Broker
    catalogue: Catalogue
    quotes: Quotes
    publisher: EventPublisher
    bell: OutboxBell
    encode: Encode
    clock: Clock
    metrics: Metrics
    log: Any


@dataclass(frozen=True, slots=True)
class Rules:
    """How a desk is run: its accounts (the first is the venue's own), its bounds, and its waits in seconds."""

    accounts: tuple[AccountId, ...]
    venue: str
    limits: RiskLimits
    signals: SignalTrading
    bounds: JournalBounds = field(default_factory=JournalBounds)
    rhythm: Rhythm = field(default_factory=Rhythm)
    charges: ChargeRhythm = field(default_factory=ChargeRhythm)
    lease: LeaseRhythm = field(default_factory=LeaseRhythm)
    in_flight: int = 512
    sending: int = 32
    closed_in_memory: int = 10_000
    outbox_capacity: int = 20_000
    outbox_linger_s: float = 0.002
    outbox_retry_s: float = 0.2
    venue_retry_s: float = 0.5
    cancel_wait_s: float = 2.0
    drain_s: float = 10.0
    account_refresh_s: float = 10.0
    expire_every_s: float = 0.5
    losses_every_s: float = 0.5
    leg_rest_s: float = 1.0


class Desk:
    """Orders from their submit to their end. `start` recalls the log; `run` moves orders until it is canceled."""

    def __init__(self, outside: Outside, rules: Rules) -> None:
        clock, log, broker, store = outside.clock, outside.log, outside.broker, outside.store
        self.gate = Gate()
        self.background = Background(rules.in_flight)
        self.blotter = Blotter(rules.accounts, rules.closed_in_memory)
        self.journal = Journal(store, self.blotter, clock, outside.encode, rules.bounds)
        self.observer = Observer(self.journal, clock, outside.metrics)
        self.orders = Orders(store, self.blotter, self.journal)
        self.market = Market(outside.catalogue, outside.quotes)
        self.accounts = Accounts(
            rules.accounts, rules.venue, rules.limits, outside.controls, self.blotter.holdings, clock
        )
        self.judge = Judge(self.market, self.blotter, clock)
        self.lease = HoldLease(outside.lease, clock, rules.lease, log)
        send = Send(
            broker,
            self.journal,
            self.background,
            self.observer,
            self.lease,
            self.accounts.trading_state,
            clock,
            connections=rules.sending,
        )
        self.submit = Submit(
            rules.venue,
            broker,
            self.market,
            self.orders,
            self.accounts,
            self.judge,
            send,
            self.observer,
            self.gate,
            clock,
        )
        self.record = RecordVenueEvent(
            self.accounts.primary, rules.venue, self.orders, self.market, self.observer, clock, log
        )
        self.reconcile = Reconcile(
            broker, self.orders, self.record, self.market, self.observer, clock, rules.rhythm, log
        )
        self.charges = CollectCharges(
            rules.venue,
            broker,
            outside.charges,
            self.orders,
            self.market,
            self.accounts,
            self.observer,
            clock,
            rules.charges,
            log,
        )
        self.reconcile.before_positions = self.charges  # a fee in coins is no difference
        tell_charges = TellCharges(outside.charges, outside.publisher, log, retry_wait_s=rules.outbox_retry_s)
        self.charges.on_recorded = tell_charges.wake
        self.cancel = Cancel(broker, self.orders, self.background, clock, log, wait_s=rules.cancel_wait_s)
        self.modify = Modify(
            broker,
            self.market,
            self.orders,
            self.accounts,
            self.judge,
            self.record,
            self.background,
            self.gate,
            clock,
            log,
            wait_s=rules.cancel_wait_s,
        )
        self.brackets = Brackets(
            self.orders, self.cancel, self.background, self.observer, clock, log, rest_s=rules.leg_rest_s
        )
        self.release = Release(
            self.market,
            self.orders,
            self.accounts,
            self.judge,
            self.submit,
            self.brackets,
            self.background,
            clock,
            log,
        )
        self.losses = WatchLosses(self.accounts, self.judge, self.cancel, log, every_s=rules.losses_every_s)
        self.submit.on_begun = self.brackets.begin
        self.submit.on_daily_loss = self.losses.look
        self.control = Control(
            self.accounts,
            self.cancel,
            Flatten(self.market, self.blotter, self.submit, clock, log),
            self.background,
            broker,
            outside.controls,
            cancel_wait_s=rules.cancel_wait_s,
        )
        self.relay = RelayOutbox(
            store,
            outside.publisher,
            self.journal,
            log,
            capacity=rules.outbox_capacity,
            retry_wait_s=rules.outbox_retry_s,
            linger_s=rules.outbox_linger_s,
        )
        self.signals = TradeSignals(
            rules.signals,
            outside.controls,
            self.submit,
            self.blotter,
            self.market,
            self.accounts,
            self.background,
            clock,
            log,
        )
        self.look_up = LookUp(
            self.orders,
            outside.charges,
            self.accounts,
            outside.catalogue,
            self.observer,
            self.background,
            self.relay,
            clock,
        )
        self.state = State(broker, self.market, self.orders, self.accounts, outside.charges, self.charges, clock)
        follow = FollowVenue(
            broker,
            self.record,
            self.reconcile,
            self.accounts,
            self.charges,
            self.gate,
            log,
            retry_wait_s=rules.venue_retry_s,
        )
        self.run = RunOrders(
            self.journal,
            self.relay,
            self.background,
            self.gate,
            watching=(
                follow.listen,
                follow.catch_up,
                self.reconcile.forever,
                Expire(self.blotter, self.journal, self.cancel, clock, every_s=rules.expire_every_s).forever,
                self.losses.forever,
                partial(self.relay.listen, outside.bell),
                self.charges.forever,
                tell_charges.forever,
                partial(self.accounts.refresh_forever, broker, rules.account_refresh_s),
            ),
            drain_s=rules.drain_s,
        )
        self._store, self._charges = store, outside.charges
        self.lead = Lead(self.lease, self.gate, self.start, self.run)

    async def start(self) -> None:
        """Recall everything from the log and the controls; orders are taken after the first reconciliation."""
        self.journal.epoch = self.lease.epoch
        await recall(self._store, self._charges, self.blotter, self.journal)
        await self.charges.load()
        self.orders.are_recalled = True
        await self.accounts.load()
        await self.signals.load()
        await self.relay.load()
        await self.brackets.restore()
        self.release.resume()
