"""A rebalance: orders that move a book to its target weights, and how far their execution is.

    PROPOSED ─┬─> EXECUTING ─┬─> DONE       every order has filled
              │              ├─> FAILED     one was denied, rejected or left unfilled
              └──────────────┴─> CANCELED   somebody ended it

Sells go first; buys follow when every sell has filled. Once an end was chosen (`ending`), nothing more is sent. It is
reached when nothing works any longer, and that is only sure after execution was asked about every order whose submit
was never answered (`doubtful`): it may have been placed all the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from trading.errors import FailedPrecondition
from trading.ids import hashed_id, parse_client_order_id
from trading.money import format_nanos

_CLOSED = frozenset({"DENIED", "REJECTED", "CANCELED", "EXPIRED", "FILLED"})
_REFUSED = frozenset({"DENIED", "REJECTED"})
_LONGEST_ID = 64


class State(StrEnum):
    """How far a rebalance is."""

    PROPOSED = "PROPOSED"
    EXECUTING = "EXECUTING"
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


_ENDED = frozenset({State.DONE, State.FAILED, State.CANCELED})


@dataclass(frozen=True, slots=True)
class Rules:
    """What weights become orders by; the amount in nanos of the account's currency."""

    account: str
    targets: Mapping[str, float] = field(default_factory=dict)
    drift_band: float = 0.0
    min_trade_value_nanos: int = 0
    turnover_limit: float | None = None
    keep_others: bool = False


class OrderReport(NamedTuple):
    """What execution says of an order, in its own words; quantities in nanos."""

    order_id: str
    status: str
    filled_nanos: int
    problem: str


@dataclass(frozen=True, slots=True)
class Order:
    """One order of a rebalance: a signed quantity, negative sells, and what became of it."""

    symbol: str
    quantity_nanos: int
    price_nanos: int
    weight_before: float
    weight_target: float
    client_order_id: str = ""
    is_always_open: bool = False
    order_id: str = ""
    status: str = ""
    filled_nanos: int = 0
    problem: str = ""

    @property
    def is_sell(self) -> bool:
        return self.quantity_nanos < 0

    @property
    def is_sent(self) -> bool:
        return bool(self.status)

    @property
    def is_closed(self) -> bool:
        return self.status in _CLOSED

    @property
    def is_filled(self) -> bool:
        return self.filled_nanos >= abs(self.quantity_nanos)

    @property
    def failure(self) -> str:
        """Why it ended without filling; empty while it works and when it has filled."""
        if not self.is_closed or (self.is_filled and self.status not in _REFUSED):
            return ""
        if self.status in _REFUSED:
            return f"{self.symbol} was {self.status.lower()}: {self.problem or 'no reason was given'}"
        filled, wanted = format_nanos(self.filled_nanos), format_nanos(abs(self.quantity_nanos))
        return f"{self.symbol} ended {self.status} with {filled} of {wanted} filled."

    def reported(self, report: OrderReport) -> "Order":
        """The order after execution's word."""
        return replace(self, **report._asdict())


@dataclass(frozen=True, slots=True)
class Rebalance:
    """A proposal and its execution; `version` grows with each change, `weights` are those of the whole book then."""

    id: str
    account: str
    state: State
    rules: Rules
    orders: tuple[Order, ...]
    left_alone: Mapping[str, str]
    weights: Mapping[str, float]
    equity_nanos: int
    turnover: float
    created_time_ns: int
    updated_time_ns: int
    version: int = 1
    scheduled: bool = False
    ending: State | None = None
    error: str = ""

    @property
    def is_ended(self) -> bool:
        return self.state in _ENDED

    @property
    def working(self) -> tuple[Order, ...]:
        """Orders that were sent and have not ended."""
        return tuple(order for order in self.orders if order.is_sent and not order.is_closed)

    @property
    def doubtful(self) -> tuple[Order, ...]:
        """Orders that nobody has told of: not sent, or sent and not answered."""
        return tuple(order for order in self.orders if not order.is_sent)

    @property
    def sendable(self) -> tuple[Order, ...]:
        """Orders that go next: the sells, and after the last of them has ended the buys."""
        if self.state is not State.EXECUTING or self.ending:
            return ()
        sells = [order for order in self.orders if order.is_sell]
        unsent = tuple(order for order in sells if not order.is_sent)
        if unsent or not all(order.is_closed for order in sells):
            return unsent
        return tuple(order for order in self.orders if not order.is_sell and not order.is_sent)

    def started(self, now_ns: int) -> "Rebalance":
        """Under way; raises FailedPrecondition REBALANCE_CLOSED for one that was canceled."""
        if self.state is State.CANCELED or self.ending is State.CANCELED:
            raise FailedPrecondition(f"Rebalance {self.id} was canceled.", reason="REBALANCE_CLOSED", id=self.id)
        return self._changed(now_ns, state=State.EXECUTING)._done(now_ns)

    def canceled(self, now_ns: int) -> "Rebalance":
        """About to end, or ended when it never began; raises FailedPrecondition REBALANCE_CLOSED after its end."""
        if self.is_ended:
            raise FailedPrecondition(
                f"Rebalance {self.id} is {self.state} already.", reason="REBALANCE_CLOSED", id=self.id, state=self.state
            )
        if self.state is State.PROPOSED:
            return self._changed(now_ns, state=State.CANCELED)
        return self if self.ending else self._changed(now_ns, ending=State.CANCELED)

    def reported(self, reports: Mapping[str, OrderReport], now_ns: int) -> "Rebalance":
        """After execution's word on some orders, by client order id; the first failure chooses the end."""
        orders = tuple(
            order.reported(reports[order.client_order_id]) if order.client_order_id in reports else order
            for order in self.orders
        )
        if orders == self.orders:
            return self
        failure = next((order.failure for order in orders if order.failure), "")
        told = self._changed(now_ns, orders=orders, error=self.error or ("" if self.ending else failure))
        if failure and not self.ending:
            told = replace(told, ending=State.FAILED)
        return told._done(now_ns)

    def closed(self, now_ns: int) -> "Rebalance":
        """At the end that was chosen, unless something works; to be called when no order is in doubt any longer."""
        if not self.ending or self.working or self.is_ended:
            return self
        return self._changed(now_ns, state=self.ending)

    def _done(self, now_ns: int) -> "Rebalance":
        if self.state is not State.EXECUTING or self.ending or self.working or self.sendable:
            return self
        return replace(self, state=State.DONE, updated_time_ns=now_ns)

    def _changed(self, now_ns: int, **words: object) -> "Rebalance":
        return replace(self, version=self.version + 1, updated_time_ns=now_ns, **words)  # type: ignore[arg-type]


def client_order_id(rebalance_id: str, symbol: str) -> str:
    """The idempotency key of an order: the same proposal and symbol, the same order."""
    key = f"{rebalance_id.replace('-', '')}.{symbol}"
    is_allowed = len(key) <= _LONGEST_ID and all(letter.isalnum() or letter in "._-" for letter in key)
    return parse_client_order_id(key if is_allowed else hashed_id(rebalance_id, symbol))
