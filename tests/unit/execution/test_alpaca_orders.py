"""Alpaca's orders in words of the trade, and ours in Alpaca's."""

from typing import Any

import pytest
from builders.orders import AAPL, terms

from services.execution.adapters.alpaca_orders import (
    order_body,
    parse_time,
    replacement_body,
    venue_account,
    venue_order,
    venue_position,
    venue_update,
    works,
)
from services.execution.domain.order import Execution
from services.execution.domain.venue import VenueAccount, VenuePosition, VenueTerms
from trading.errors import InvalidArgument
from trading.ids import OrderId
from trading.instruments import crypto
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
TRAILING: dict[str, Any] = {"order_type": OrderType.TRAILING_STOP}
TRAILING_BODY = {"type": "trailing_stop", "time_in_force": "day"}
ASKED = {
    "symbol": "AAPL",
    "side": "sell",
    "type": "stop_limit",
    "time_in_force": "gtc",
    "qty": "10",
    "limit_price": "189.5",
    "stop_price": "190",
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
        (
            {"order_type": OrderType.STOP_LIMIT, "price_nanos": 3 * ONE, "stop_price_nanos": 2 * ONE},
            {"type": "stop_limit", "limit_price": "3", "stop_price": "2", "time_in_force": "day"},
        ),
        ({**TRAILING, "trail_nanos": ONE // 4}, {**TRAILING_BODY, "trail_price": "0.25"}),
        ({**TRAILING, "trail_bps": 125}, {**TRAILING_BODY, "trail_percent": "1.25"}),
        (
            {"time_in_force": TimeInForce.GTD, "expire_time_ns": 1},
            {"type": "market", "time_in_force": "gtc"},
        ),
        (
            {"time_in_force": TimeInForce.DAY, "expire_time_ns": 1},
            {"type": "market", "time_in_force": "gtc"},
        ),
        (
            {"order_type": OrderType.LIMIT, "price_nanos": ONE, "post_only": True, "take_profit_nanos": 2 * ONE},
            {"type": "limit", "limit_price": "1", "time_in_force": "day"},
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
        ("order_replace_rejected", OrderEventKind.MODIFY_REJECTED),
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


@pytest.mark.parametrize(
    ("order", "body"),
    [
        ({}, {}),
        ({"order_type": OrderType.LIMIT, "price_nanos": 5 * ONE // 2}, {"limit_price": "2.5"}),
        ({"order_type": OrderType.STOP, "stop_price_nanos": 2 * ONE}, {"stop_price": "2"}),
        (
            {"order_type": OrderType.STOP_LIMIT, "price_nanos": 3 * ONE, "stop_price_nanos": 2 * ONE},
            {"limit_price": "3", "stop_price": "2"},
        ),
        ({**TRAILING, "trail_nanos": ONE // 4}, {"trail": "0.25"}),
        ({**TRAILING, "trail_bps": 125}, {"trail": "1.25"}),
    ],
)
def test_a_change_says_how_the_order_shall_be(order: dict[str, Any], body: dict[str, str]) -> None:
    """The whole quantity and its prices, under our id and the number of the replacement."""
    wished = terms(order_id=OURS, quantity_nanos=12 * ONE, **order)
    expected = {"qty": "12", "client_order_id": "01a2059b378975da981c246d9030a35a-3", **body}
    assert replacement_body(wished, 3) == expected


def test_a_replacement_is_our_order_under_its_number() -> None:
    """Its own `new` tells that the change took place; of the one that is gone nothing is told."""
    new = {**ORDER, "id": "v-2", "client_order_id": f"{ORDER['client_order_id']}-2", "status": "new"}
    found = venue_order(new)
    assert (found.order_id, found.venue_order_id, found.replacement) == (OURS, "v-2", 2)
    told = venue_update({"event": "new", "order": new})
    assert told is not None
    assert (told.kind, told.order.replacement) == (OrderEventKind.UPDATED, 2)
    assert venue_update({"event": "replaced", "order": {**ORDER, "status": "replaced"}}) is None
    assert venue_order({**ORDER, "status": "replaced"}).status is OrderStatus.CANCELED


def test_a_fill_of_a_replacement_is_a_fill_of_ours() -> None:
    """Counted by the replacement's own sum."""
    told = venue_update({**FILL, "order": {**ORDER, "client_order_id": f"{ORDER['client_order_id']}-1"}})
    assert told is not None
    assert (told.kind, told.order.order_id, told.order.replacement) == (OrderEventKind.FILL, OURS, 1)


@pytest.mark.parametrize(
    ("status", "ours"),
    [("pending_replace", OrderStatus.PENDING_UPDATE), ("pending_cancel", OrderStatus.PENDING_CANCEL)],
)
def test_what_the_venue_is_about_to_do_is_said(status: str, ours: OrderStatus) -> None:
    """So that nobody takes it for a refusal."""
    assert venue_order({**ORDER, "status": status}).status is ours


def test_an_order_says_what_it_asks_for() -> None:
    """So that a stranger's can be adopted."""
    assert venue_order({**ORDER, **ASKED}).terms == VenueTerms(
        "AAPL", Side.SELL, OrderType.STOP_LIMIT, TimeInForce.GTC, 10 * ONE, 189_500_000_000, 190 * ONE
    )
    bare = venue_order({**ORDER, **ASKED, "type": "market", "limit_price": None, "stop_price": None}).terms
    assert bare is not None
    assert (bare.price_nanos, bare.stop_price_nanos) == (None, None)


@pytest.mark.parametrize("change", [{"type": "odd"}, {"time_in_force": "opg"}, {"qty": None}, {"qty": ""}])
def test_an_order_in_other_words_has_no_terms(change: dict[str, Any]) -> None:
    """By notional, at the opening auction, of a type to come: it is an order all the same."""
    found = venue_order({**ORDER, **ASKED, **change})
    assert (found.terms, found.venue_order_id) == (None, "v-1")


@pytest.mark.parametrize(
    ("told", "position"),
    [
        ({"symbol": "AAPL", "qty": "10", "side": "long", "avg_entry_price": "90.5"}, (10 * ONE, 90_500_000_000)),
        ({"symbol": "AAPL", "qty": "-10", "side": "short", "avg_entry_price": "90.5"}, (-10 * ONE, 90_500_000_000)),
        ({"symbol": "AAPL", "qty": "10", "side": "short"}, (-10 * ONE, 0)),
        ({"symbol": "AAPL", "qty": "0.000000001"}, (1, 0)),
    ],
)
def test_a_position_is_read(told: dict[str, str], position: tuple[int, int]) -> None:
    """A short is negative, whether the sign says it or the side."""
    assert venue_position(told) == VenuePosition("AAPL", *position)


@pytest.mark.parametrize("broken", [{}, {"symbol": "AAPL"}, {"symbol": "AAPL", "qty": "many"}, None])
def test_what_is_no_position_is_refused(broken: Any) -> None:
    """With the words that came."""
    with pytest.raises(InvalidArgument):
        venue_position(broken)


@pytest.mark.parametrize("kind", list(OrderType))
def test_alpaca_works_every_order_in_shares_and_some_in_coins(kind: OrderType) -> None:
    """Coins know neither stops to market nor trailing ones."""
    asked = terms(order_type=kind)
    assert works(asked, AAPL)
    assert works(asked, crypto("BTC")) is (kind not in (OrderType.STOP, OrderType.TRAILING_STOP))


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
