"""Orders, events, instruments and quotes for the tests of execution, each with a sensible default for everything."""

from typing import Any

from services.execution.domain.chain import seal
from services.execution.domain.holdings import Holdings
from services.execution.domain.limits import RiskLimits
from services.execution.domain.order import (
    INITIALIZED,
    EventKind,
    Execution,
    Fact,
    Order,
    OrderEvent,
    OrderTerms,
    apply,
)
from services.execution.domain.request import OrderRequest
from services.execution.domain.risk import Intent, Situation
from services.execution.domain.venue import VenueOrder, VenueUpdate
from trading.ids import AccountId, ClientOrderId, EventId, OrderId, VenueOrderId, new_id
from trading.instruments import Instrument, equity
from trading.market import Quote
from trading.money import ONE
from trading.order import OrderEventKind, OrderStatus, OrderType, Side, TimeInForce, TradingState

MAIN = AccountId("main")
AAPL = equity("AAPL")
NOW_NS = 1_750_000_000_000_000_000
LIMIT: dict[str, Any] = {"order_type": OrderType.LIMIT, "price_nanos": 100 * ONE}
"""Terms of an order that rests inside a market of 99/101."""


def terms(**changes: Any) -> OrderTerms:
    """A market order to buy ten AAPL."""
    order_id = changes.pop("order_id", OrderId(new_id()))
    given: dict[str, Any] = {
        "order_id": order_id,
        "client_order_id": ClientOrderId(order_id),
        "account": MAIN,
        "venue": "paper",
        "symbol": "AAPL",
        "side": Side.BUY,
        "order_type": OrderType.MARKET,
        "time_in_force": TimeInForce.DAY,
        "quantity_nanos": 10 * ONE,
        "fingerprint": "f" * 64,
    }
    return OrderTerms(**{**given, **changes})


def request(**changes: Any) -> OrderRequest:
    """A submit of a market order to buy ten AAPL."""
    given: dict[str, Any] = {
        "symbol": "AAPL",
        "side": Side.BUY,
        "order_type": OrderType.MARKET,
        "quantity_nanos": 10 * ONE,
    }
    return OrderRequest(**{**given, **changes})


def event(order: Order | None, kind: EventKind, **changes: Any) -> OrderEvent:
    """The next event of an order, sealed into its chain."""
    given: dict[str, Any] = {
        "event_id": EventId(new_id()),
        "order_id": order.order_id if order else changes["terms"].order_id,
        "kind": kind,
        "version": order.version + 1 if order else 1,
        "event_time_ns": NOW_NS,
        "receive_time_ns": NOW_NS,
    }
    return seal(OrderEvent(**{**given, **changes}), order.hash if order else "")


def life(*kinds: EventKind, of: OrderTerms | None = None, **changes: Any) -> list[OrderEvent]:
    """The events of an order from its creation on."""
    events = [event(None, INITIALIZED, terms=of or terms(**changes))]
    order = apply(None, events[0])
    for kind in kinds:
        events.append(event(order, kind, execution=execution() if kind == OrderEventKind.FILL else None))
        order = apply(order, events[-1])
    return events


def an_order(*kinds: EventKind, **changes: Any) -> Order:
    """An order after some events; without any it was just created."""
    order: Order | None = None
    for each in life(*kinds, **changes):
        order = apply(order, each)
    assert order is not None
    return order


def execution(quantity: int = 1, price: int = 100, **changes: Any) -> Execution:
    """A trade; quantity and price in whole units."""
    given: dict[str, Any] = {
        "execution_id": new_id(),
        "price_nanos": price * ONE,
        "quantity_nanos": quantity * ONE,
    }
    return Execution(**{**given, **changes})


def venue_order(order_id: OrderId | None, status: OrderStatus = OrderStatus.ACCEPTED, **changes: Any) -> VenueOrder:
    """The venue's view of an order."""
    given: dict[str, Any] = {"venue_order_id": VenueOrderId("v-1"), "event_time_ns": NOW_NS}
    return VenueOrder(order_id, status=status, **{**given, **changes})


def fill_update(order_id: OrderId, filled: int, quantity: int, price: int = 100, **changes: Any) -> VenueUpdate:
    """A fill of the venue's stream: `filled` is the cumulative quantity after it, in whole units."""
    found = venue_order(order_id, OrderStatus.PARTIALLY_FILLED, filled_nanos=filled * ONE, avg_price_nanos=price * ONE)
    trade = execution(quantity, price, cumulative_nanos=filled * ONE, **changes)
    return VenueUpdate(found, OrderEventKind.FILL, NOW_NS, trade)


def update(order_id: OrderId, kind: OrderEventKind) -> VenueUpdate:
    """A message of the venue's stream that is no fill."""
    return VenueUpdate(venue_order(order_id), kind, NOW_NS)


def fact(kind: EventKind, **changes: Any) -> Fact:
    """Something learnt about an order."""
    return Fact(kind, NOW_NS, **changes)


def a_quote(bid: int = 99, ask: int = 101, symbol: str = "AAPL") -> Quote:
    """A quote in whole units, a hundred on each side."""
    return Quote(symbol, bid * ONE, 100 * ONE, ask * ONE, 100 * ONE, NOW_NS, NOW_NS, "paper")


def an_intent(quote: Quote | None = None, instrument: Instrument = AAPL, age_ns: int = 0, **changes: Any) -> Intent:
    """An order on trial, judged by a quote of 99/101."""
    return Intent(
        terms(symbol=instrument.symbol, **changes), instrument, quote or a_quote(symbol=instrument.symbol), age_ns
    )


def a_situation(holdings: Holdings | None = None, **changes: Any) -> Situation:
    """An account with a million in cash, no limits, and a mark of 100 for every symbol."""
    limits = RiskLimits(MAIN, **{name: changes.pop(name) for name in list(changes) if name in _LIMITS})
    given: dict[str, Any] = {
        "limits": limits,
        "trading_state": TradingState.ACTIVE,
        "holdings": holdings or Holdings(),
        "opening_cash_nanos": 1_000_000 * ONE,
        "multiplier": 1,
        "mark": lambda symbol: 100 * ONE,
        "submits_last_second": 0,
        "now_ns": NOW_NS,
    }
    return Situation(**{**given, **changes})


_LIMITS = frozenset(RiskLimits.__slots__)
