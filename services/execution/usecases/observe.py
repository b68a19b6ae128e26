"""Measure orders: how long each took, and what the service has done since its start."""

from dataclasses import dataclass, field

from fleet.latency import LatencyWindow
from fleet.metrics import Metrics
from services.execution.domain.submission import Timings
from services.execution.usecases.blotter import LiveOrder
from services.execution.usecases.journal import Journal
from trading.clock import SECOND_NS, Clock


@dataclass(slots=True)
class Tally:
    """What happened since the start; the windows hold receipt to reply, validation, the venue's answer to what it
    was sent, and tick to venue's answer."""

    orders: int = 0
    fills: int = 0
    signals: int = 0
    submit: LatencyWindow = field(default_factory=LatencyWindow)
    validation: LatencyWindow = field(default_factory=LatencyWindow)
    venue: LatencyWindow = field(default_factory=LatencyWindow)
    tick_to_order_reply: LatencyWindow = field(default_factory=LatencyWindow)


class Observer:
    """Takes the time of orders and counts them."""

    def __init__(self, journal: Journal, clock: Clock, metrics: Metrics) -> None:
        self.tally = Tally()
        self._journal = journal
        self._clock = clock
        self._metrics = metrics
        journal.on_append = self.appended

    def appended(self, duration_ns: int) -> None:
        """A transaction of the log is durable."""
        self._metrics.append_seconds.observe(duration_ns / SECOND_NS)

    def validated(self, live: LiveOrder) -> None:
        """Risk has spoken."""
        self.tally.orders += 1
        if live.received_ns is not None:
            taken = max(self._clock.monotonic_ns() - live.received_ns, 1)
            live.timings = Timings(live.timings.total_ns, taken, live.timings.execution_ns)
            self.tally.validation.record(taken)

    def answered(self, live: LiveOrder) -> None:
        """The venue has said something about the order; only its first word counts."""
        if live.sent_ns is None or live.timings.execution_ns:
            return
        taken = max(self._clock.monotonic_ns() - live.sent_ns, 1)
        live.timings = Timings(live.timings.total_ns, live.timings.validation_ns, taken)
        self.tally.venue.record(taken)
        if live.tick_receive_time_ns is not None:
            self.tally.tick_to_order_reply.record(self._clock.now_ns() - live.tick_receive_time_ns)
        self._note_total(live)

    def replied(self, live: LiveOrder) -> None:
        """The submit is answered."""
        self._metrics.orders_total.labels(live.order.status).inc()
        if live.received_ns is not None:
            taken = self._clock.monotonic_ns() - live.received_ns
            self.tally.submit.record(taken)
            self._metrics.order_accept_seconds.observe(taken / SECOND_NS)
            self._note_total(live)

    def filled(self, live: LiveOrder) -> None:
        """A fill was recorded."""
        self.tally.fills += 1
        self._metrics.fills_total.inc()
        if live.received_ns is not None:
            self._metrics.order_to_fill_seconds.observe((self._clock.monotonic_ns() - live.received_ns) / SECOND_NS)

    def discrepancy(self) -> None:
        """Reconciliation found a difference."""
        self._metrics.reconcile_discrepancies_total.inc()

    def charged(self, kind: str) -> None:
        """A charge of the venue was recorded."""
        self._metrics.charges_total.labels(kind).inc()

    def unprotected(self) -> None:
        """A position has lost a leg of its bracket, and no attempt is left."""
        self._metrics.unprotected_positions_total.inc()

    def _note_total(self, live: LiveOrder) -> None:
        if live.received_ns is not None:
            total = max(self._clock.monotonic_ns() - live.received_ns, live.timings.total_ns)
            live.timings = Timings(total, live.timings.validation_ns, live.timings.execution_ns)
            self._journal.note_timings(live.order.order_id, live.timings)
