"""Binance's orders in words of the trade, and ours in Binance's."""

from typing import Any

import pytest
from builders.orders import terms

from services.execution.adapters.binance_orders import (
    amended_order,
    canceled_order,
    making_room,
    order_params,
    place_of,
    venue_account,
    venue_order,
    venue_positions,
    venue_update,
)
from services.execution.domain.venue import VenueAccount, VenuePosition, VenueTerms
from trading.errors import InvalidArgument
from trading.ids import OrderId, VenueOrderId
from trading.money import ONE
from trading.order import Liquidity, OrderEventKind, OrderStatus, OrderType, Side, TimeInForce

OURS = OrderId("01a2059b-3789-75da-981c-246d9030a35a")
NAME = "01a2059b378975da981c246d9030a35a"
ORDER: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "orderId": 28,
    "clientOrderId": NAME,
    "price": "62000.00000000",
    "origQty": "0.50000000",
    "executedQty": "0.20000000",
    "cummulativeQuoteQty": "12399.80000000",
    "status": "PARTIALLY_FILLED",
    "timeInForce": "GTC",
    "type": "LIMIT",
    "side": "BUY",
    "stopPrice": "0.00000000",
    "time": 1760000000000000,
    "updateTime": 1760000000123456,
}
REPORT: dict[str, Any] = {
    "e": "executionReport",
    "s": "BTCUSDT",
    "c": NAME,
    "S": "BUY",
    "o": "LIMIT",
    "f": "GTC",
    "q": "0.50000000",
    "p": "62000.00000000",
    "P": "0.00000000",
    "C": "",
    "x": "NEW",
    "X": "NEW",
    "r": "NONE",
    "i": 28,
    "l": "0.00000000",
    "z": "0.00000000",
    "L": "0.00000000",
    "n": "0",
    "N": None,
    "T": 1760000000123,
    "t": -1,
    "w": True,
    "m": False,
    "Z": "0.00000000",
}
TRADE = REPORT | {
    "x": "TRADE",
    "X": "PARTIALLY_FILLED",
    "l": "0.20000000",
    "z": "0.30000000",
    "L": "61999.00000000",
    "Z": "18599.80000000",
    "t": 77,
}


@pytest.mark.parametrize(
    ("asked", "params"),
    [
        ({}, {"type": "MARKET"}),
        (
            {"order_type": OrderType.LIMIT, "price_nanos": 5 * ONE // 2, "time_in_force": TimeInForce.DAY},
            {"type": "LIMIT", "price": "2.5", "timeInForce": "GTC"},
        ),
        (
            {"order_type": OrderType.LIMIT, "price_nanos": ONE, "time_in_force": TimeInForce.GTD, "expire_time_ns": 9},
            {"type": "LIMIT", "price": "1", "timeInForce": "GTC"},
        ),
        (
            {"order_type": OrderType.LIMIT, "price_nanos": ONE, "time_in_force": TimeInForce.IOC},
            {"type": "LIMIT", "price": "1", "timeInForce": "IOC"},
        ),
        (
            {"order_type": OrderType.LIMIT, "price_nanos": ONE, "post_only": True},
            {"type": "LIMIT_MAKER", "price": "1"},
        ),
        ({"order_type": OrderType.STOP, "stop_price_nanos": 2 * ONE}, {"type": "STOP_LOSS", "stopPrice": "2"}),
        (
            {
                "order_type": OrderType.STOP_LIMIT,
                "stop_price_nanos": 2 * ONE,
                "price_nanos": 3 * ONE,
                "time_in_force": TimeInForce.FOK,
            },
            {"type": "STOP_LOSS_LIMIT", "stopPrice": "2", "price": "3", "timeInForce": "FOK"},
        ),
        ({"order_type": OrderType.TRAILING_STOP, "trail_bps": 150}, {"type": "STOP_LOSS", "trailingDelta": "150"}),
    ],
)
def test_an_order_is_put_in_binances_words(asked: dict[str, Any], params: dict[str, str]) -> None:
    """Neither DAY nor GTD, a time in force only where there is a limit, our id as 32 hex digits."""
    order = terms(order_id=OURS, side=Side.SELL, quantity_nanos=ONE // 2, venue_symbol="BTCUSDT", **asked)
    ours = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "quantity": "0.5",
        "newClientOrderId": NAME,
        "newOrderRespType": "RESULT",
    }
    assert order_params(order) == {**ours, **params}


def test_a_replacement_asks_for_what_is_left_under_its_own_name() -> None:
    """Binance counts its quantity anew."""
    params = order_params(terms(order_id=OURS, quantity_nanos=5 * ONE), 2, 3 * ONE)
    assert (params["quantity"], params["newClientOrderId"]) == ("3", f"{NAME}-2")


def test_an_order_of_ours_is_recognised() -> None:
    """By the id we gave it; the mean price is what was paid, divided."""
    found = venue_order(ORDER)
    assert (found.order_id, found.venue_order_id, found.replacement) == (OURS, "BTCUSDT:28", 0)
    assert (found.status, found.filled_nanos) == (OrderStatus.PARTIALLY_FILLED, ONE // 5)
    assert (found.avg_price_nanos, found.event_time_ns) == (61_999 * ONE, 1_760_000_000_123_456_000)
    limit, half = 62_000 * ONE, ONE // 2
    assert found.terms == VenueTerms("BTCUSDT", Side.BUY, OrderType.LIMIT, TimeInForce.GTC, half, limit)


def test_orders_of_two_symbols_never_share_an_id() -> None:
    """Binance numbers each symbol's by themselves."""
    assert venue_order(ORDER).venue_order_id != venue_order({**ORDER, "symbol": "ETHUSDT"}).venue_order_id
    assert place_of(VenueOrderId("ETHUSDT:28"), "BTCUSDT") == {"symbol": "ETHUSDT", "orderId": "28"}


def test_a_strangers_order_has_no_id_of_ours() -> None:
    """But a venue's id."""
    found = venue_order({**ORDER, "clientOrderId": "web_1234"})
    assert (found.order_id, found.venue_order_id) == (None, "BTCUSDT:28")


@pytest.mark.parametrize(
    ("status", "ours"),
    [
        ("NEW", OrderStatus.ACCEPTED),
        ("PENDING_NEW", OrderStatus.ACCEPTED),
        ("FILLED", OrderStatus.FILLED),
        ("CANCELED", OrderStatus.CANCELED),
        ("PENDING_CANCEL", OrderStatus.PENDING_CANCEL),
        ("REJECTED", OrderStatus.REJECTED),
        ("EXPIRED", OrderStatus.EXPIRED),
        ("EXPIRED_IN_MATCH", OrderStatus.EXPIRED),
    ],
)
def test_each_status_has_a_word_of_ours(status: str, ours: OrderStatus) -> None:
    """All of Binance's."""
    assert venue_order({**ORDER, "status": status}).status is ours


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"type": "LIMIT_MAKER"}, OrderType.LIMIT),
        ({"type": "STOP_LOSS", "stopPrice": "7"}, OrderType.STOP),
        ({"type": "STOP_LOSS", "trailingDelta": 100}, OrderType.TRAILING_STOP),
        ({"type": "STOP_LOSS_LIMIT", "stopPrice": "7"}, OrderType.STOP_LIMIT),
        ({"type": "TAKE_PROFIT"}, None),
        ({"origQty": "0.00000000"}, None),
    ],
)
def test_what_it_asks_for_is_read_where_we_have_words_for_it(changes: dict[str, Any], kind: OrderType | None) -> None:
    """A take-profit is none of our types, and an order by money has no quantity."""
    found = venue_order({**ORDER, **changes}).terms
    assert (found.order_type if found else None) is kind


def test_an_order_older_than_binances_memory_has_its_limit_as_price() -> None:
    """Its quote quantity is told as negative."""
    assert venue_order({**ORDER, "cummulativeQuoteQty": "-1.00000000"}).avg_price_nanos == 62_000 * ONE


def test_the_answer_to_a_cancel_names_the_order_second() -> None:
    """First comes the cancel's own name."""
    gone = canceled_order({**ORDER, "clientOrderId": "theirs", "origClientOrderId": NAME, "status": "CANCELED"})
    assert (gone.order_id, gone.status) == (OURS, OrderStatus.CANCELED)


def test_the_answer_to_an_amendment_is_an_order_too() -> None:
    """In spellings of its own."""
    amended = {
        name: ORDER[name] for name in ("symbol", "orderId", "price", "executedQty", "timeInForce", "type", "side")
    }
    amended |= {"clientOrderId": f"{NAME}-1", "origClientOrderId": NAME, "qty": "0.40000000", "status": "NEW"}
    found = amended_order({"transactTime": 1760, "amendedOrder": {**amended, "cumulativeQuoteQty": "12399.8"}})
    assert (found.order_id, found.replacement, found.venue_order_id) == (OURS, 1, "BTCUSDT:28")
    assert found.terms is not None
    assert (found.terms.quantity_nanos, found.avg_price_nanos) == (4 * ONE // 10, 61_999 * ONE)


@pytest.mark.parametrize(
    ("report", "kind", "replacement"),
    [
        ({}, OrderEventKind.ACCEPTED, 0),
        ({"c": f"{NAME}-1"}, OrderEventKind.UPDATED, 1),
        ({"x": "REPLACED", "c": f"{NAME}-2", "C": ""}, OrderEventKind.UPDATED, 2),
        ({"x": "CANCELED", "X": "CANCELED", "c": "any", "C": f"{NAME}-1"}, OrderEventKind.CANCELED, 1),
        ({"x": "CANCELED", "X": "CANCELED"}, OrderEventKind.CANCELED, 0),
        ({"x": "EXPIRED", "X": "EXPIRED_IN_MATCH"}, OrderEventKind.EXPIRED, 0),
        ({"x": "TRADE_PREVENTION", "X": "EXPIRED_IN_MATCH"}, OrderEventKind.EXPIRED, 0),
        ({"o": "STOP_LOSS_LIMIT"}, OrderEventKind.TRIGGERED, 0),
        ({"o": "STOP_LOSS", "w": False}, OrderEventKind.ACCEPTED, 0),
    ],
)
def test_a_report_is_put_in_our_words(report: dict[str, Any], kind: OrderEventKind, replacement: int) -> None:
    """Whose it is says `C` in a cancel, else `c`; a stop that is in the book was triggered."""
    told = venue_update({**REPORT, **report})
    assert told is not None
    assert (told.kind, told.order.order_id, told.order.replacement) == (kind, OURS, replacement)
    assert (told.event_time_ns, told.execution) == (1_760_000_000_123_000_000, None)


@pytest.mark.parametrize(
    "report",
    [
        {"x": "CANCELED", "X": "CANCELED", "c": making_room(OURS, 1), "C": NAME},
        {"x": "TRADE_PREVENTION", "X": "PARTIALLY_FILLED"},
        {"x": "SOMETHING_NEW"},
    ],
)
def test_what_ends_nothing_is_no_news(report: dict[str, Any]) -> None:
    """Above all the cancel that only makes room for a replacement."""
    assert venue_update({**REPORT, **report}) is None


def test_a_refusal_says_why() -> None:
    """In `r`; an end, in `eR`."""
    refused = venue_update({**REPORT, "x": "REJECTED", "X": "REJECTED", "r": "INSUFFICIENT_BALANCES"})
    assert refused is not None
    assert (refused.kind, refused.order.reason) == (OrderEventKind.REJECTED, "INSUFFICIENT_BALANCES")
    ended = venue_update({**REPORT, "x": "EXPIRED", "X": "EXPIRED", "eR": "UNFILLED_IOC_QUANTITY_EXPIRED"})
    assert ended is not None
    assert ended.order.reason == "UNFILLED_IOC_QUANTITY_EXPIRED"


@pytest.mark.parametrize(
    ("amount", "asset", "fee"),
    [("12.4", "USDT", 12_400_000_000), ("0.0002", "BTC", 0), ("0.01", "BNB", 0), ("0", None, 0)],
)
def test_only_a_fee_in_money_is_a_fee_of_the_fill(amount: str, asset: str | None, fee: int) -> None:
    """Coins are told as charges: counted here too, they would be paid twice."""
    report = {**TRADE, "n": amount, "N": asset, "m": True}
    told = venue_update(report)
    assert told is not None
    assert told.execution is not None
    assert (told.kind, told.execution.execution_id) == (OrderEventKind.FILL, "BTCUSDT:77")
    assert (told.execution.quantity_nanos, told.execution.cumulative_nanos) == (ONE // 5, 3 * ONE // 10)
    assert (told.execution.fee_nanos, told.execution.liquidity) == (fee, Liquidity.MAKER)


BALANCES = [
    {"asset": "USDT", "free": "900.5", "locked": "99.5"},
    {"asset": "BTC", "free": "0.25", "locked": "0.25"},
    {"asset": "ETH", "free": "0.00000000", "locked": "0.00000000"},
    {"asset": "PEPE", "free": "20000000000", "locked": "0"},
]


def test_an_account_is_its_dollars_and_its_coins() -> None:
    """What open orders hold back is cash that buys nothing; more of a coin than nanos can count is left out."""
    assert venue_account({"balances": BALANCES}) == VenueAccount("USD", 1_000 * ONE, 900 * ONE + ONE // 2)
    assert venue_account({"balances": []}) == VenueAccount("USD", 0, 0)
    assert venue_positions({"balances": BALANCES}) == [VenuePosition("BTCUSDT", ONE // 2)]


@pytest.mark.parametrize("body", [{}, {**ORDER, "status": "UNHEARD_OF"}, {**ORDER, "executedQty": "x"}])
def test_what_is_no_order_is_refused(body: dict[str, Any]) -> None:
    """With the beginning of what it was."""
    with pytest.raises(InvalidArgument):
        venue_order(body)


@pytest.mark.parametrize("report", [{}, {"x": "TRADE", "o": "LIMIT", "c": NAME}, {**REPORT, "X": "UNHEARD_OF"}])
def test_what_is_no_report_is_refused(report: dict[str, Any]) -> None:
    """And nothing of it is guessed."""
    with pytest.raises(InvalidArgument):
        venue_update(report)


@pytest.mark.parametrize("account", [{}, {"balances": [{}]}, {"balances": [{"asset": "USDT", "free": "x"}]}])
def test_what_is_no_account_is_refused(account: dict[str, Any]) -> None:
    """Neither cash nor coins are made up."""
    with pytest.raises(InvalidArgument):
        venue_account(account)
