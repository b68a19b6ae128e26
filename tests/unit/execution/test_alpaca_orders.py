"""Alpaca's orders in words of the trade, and ours in Alpaca's."""

from typing import Any

import pytest
from builders.orders import terms

from services.execution.adapters.alpaca_orders import order_body, parse_time, venue_account, venue_order, venue_update
from services.execution.domain.order import Execution
from services.execution.domain.venue import VenueAccount
from trading.errors import InvalidArgument
from trading.ids import OrderId
from trading.money import ONE
from trading.order import OrderEventKind, OrderStatus, OrderType, Side, TimeInForce

OURS = OrderId("01a2059b-3789-75da-981c-246d9030a35a")
ORDER = {
    "id": "v-1",
    "client_order_id": OURS.replace("-", ""),
    "status": "partially_filled",
    "filled_qty": "3.5",
    "filled_avg_price": "190.01",
    "created_at": "2026-02-03T15:04:05Z",
    "updated_at": "2026-02-03T15:04:06.000000007Z",
}
FILL = {"event": "fill", "execution_id": "e-1", "price": "190.01", "qty": "1.5", "order": ORDER}


@pytest.mark.parametrize(
    ("order", "body"),
    [
        ({}, {"type": "market", "time_in_force": "day"}),
        (
            {"order_type": OrderType.LIMIT, "price_nanos": 5 * ONE // 2, "time_in_force": TimeInForce.GTC},
            {"type": "limit", "limit_price": "2.5", "time_in_force": "gtc"},
        ),
        (
            {"order_type": OrderType.STOP, "stop_price_nanos": 2 * ONE, "time_in_force": TimeInForce.IOC},
            {"type": "stop", "stop_price": "2", "time_in_force": "ioc"},
        ),
    ],
)
def test_an_order_is_put_in_alpacas_words(order: dict[str, Any], body: dict[str, str]) -> None:
    """Amounts as text, our id as 32 hex digits."""
    asked = terms(order_id=OURS, side=Side.SELL, quantity_nanos=ONE // 2, **order)
    ours = {"symbol": "AAPL", "qty": "0.5", "side": "sell", "client_order_id": "01a2059b378975da981c246d9030a35a"}
    assert order_body(asked) == {**ours, **body}


def test_a_coin_has_alpacas_spelling() -> None:
    """BTC/USD."""
    assert order_body(terms(venue_symbol="BTC/USD"))["symbol"] == "BTC/USD"


def test_an_order_of_ours_is_recognised() -> None:
    """By the id we gave it."""
    found = venue_order(ORDER)
    assert (found.order_id, found.venue_order_id, found.status) == (OURS, "v-1", OrderStatus.PARTIALLY_FILLED)
    assert (found.filled_nanos, found.avg_price_nanos) == (3_500_000_000, 190_010_000_000)
    assert found.event_time_ns == parse_time("2026-02-03T15:04:06.000000007Z")


@pytest.mark.parametrize("name", ["", "not-ours", "x" * 32])
def test_an_order_of_another_desk_is_nobodys(name: str) -> None:
    """Its client order id is no id of ours."""
    assert venue_order({**ORDER, "client_order_id": name}).order_id is None


def test_nothing_filled_may_be_left_out() -> None:
    """As in Alpaca's answers."""
    found = venue_order({**ORDER, "status": "new", "filled_qty": "0", "filled_avg_price": None})
    assert (found.status, found.filled_nanos, found.avg_price_nanos) == (OrderStatus.ACCEPTED, 0, 0)


@pytest.mark.parametrize("broken", [{}, {**ORDER, "status": "odd"}, {**ORDER, "updated_at": "yesterday"}, [], None])
def test_what_is_no_order_is_refused(broken: Any) -> None:
    """With the words that came."""
    with pytest.raises(InvalidArgument):
        venue_order(broken)


def test_a_fill_carries_its_execution() -> None:
    """And the cumulative quantity of the order."""
    told = venue_update({**FILL, "timestamp": "2026-02-03T15:04:07Z"})
    assert told is not None
    assert told.kind is OrderEventKind.FILL
    assert told.execution == Execution("e-1", 190_010_000_000, 1_500_000_000, 0, 3_500_000_000)
    assert told.event_time_ns == parse_time("2026-02-03T15:04:07Z")


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("new", OrderEventKind.ACCEPTED),
        ("accepted", OrderEventKind.ACCEPTED),
        ("partial_fill", OrderEventKind.FILL),
        ("canceled", OrderEventKind.CANCELED),
        ("expired", OrderEventKind.EXPIRED),
        ("rejected", OrderEventKind.REJECTED),
        ("order_cancel_rejected", OrderEventKind.CANCEL_REJECTED),
    ],
)
def test_alpacas_events_are_ours(event: str, kind: OrderEventKind) -> None:
    """At the order's own time when none is given."""
    told = venue_update({**FILL, "event": event})
    assert told is not None
    assert (told.kind, told.event_time_ns) == (kind, parse_time(ORDER["updated_at"]))


@pytest.mark.parametrize("event", ["pending_new", "pending_cancel", "calculated", "something_new"])
def test_alpacas_own_affairs_are_none_of_ours(event: str) -> None:
    """They change nothing."""
    assert venue_update({**FILL, "event": event}) is None


@pytest.mark.parametrize("broken", [{}, {**FILL, "price": None}, {"event": "fill"}, {**FILL, "timestamp": "odd"}])
def test_what_is_no_update_is_refused(broken: dict[str, Any]) -> None:
    """With the words that came."""
    with pytest.raises(InvalidArgument):
        venue_update(broken)


def test_an_account_is_read() -> None:
    """Cash, buying power, multiplier."""
    told = {"currency": "USD", "cash": "100.5", "buying_power": "201", "multiplier": "2"}
    assert venue_account(told) == VenueAccount("USD", 100_500_000_000, 201 * ONE, 2)
    assert venue_account({**told, "multiplier": ""}).multiplier == 1
    with pytest.raises(InvalidArgument):
        venue_account({})


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000_000),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T00:00:01.000000001+00:00", 1_000_000_001),
        ("1970-01-01T01:00:00.25+01:00", 250_000_000),
    ],
)
def test_times_are_exact_to_the_nanosecond(text: str, ns: int) -> None:
    """Whatever the number of decimals and the zone."""
    assert parse_time(text) == ns


@pytest.mark.parametrize("text", ["", "1970-01-01", "1970-01-01T00:00:01", "1970-01-01T00:00:01.1234567890Z", "now"])
def test_a_time_without_a_zone_or_beyond_nanoseconds_is_refused(text: str) -> None:
    """It would be a guess."""
    with pytest.raises(ValueError, match="RFC 3339"):
        parse_time(text)
