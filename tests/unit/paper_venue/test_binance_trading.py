"""Orders as Binance's customers know them: numbers, names, statuses, refusals, reports."""

import json

import pytest
from builders.binance_desk import SYMBOL, Desk, refused
from builders.paper_venue import a_request

from services.paper_venue.binance.errors import ApiError
from services.paper_venue.binance.texts import TimeUnit
from services.paper_venue.binance.user_data import Subscriber


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_an_order_rests_is_found_by_both_its_names_and_is_cancelled(desk: Desk) -> None:
    placed = desk.place(newClientOrderId="mine")
    by_number = desk.call(desk.api.status, orderId=placed["orderId"])
    by_name = desk.call(desk.api.status, origClientOrderId="mine")
    canceled = desk.call(desk.api.cancel, orderId=placed["orderId"], newClientOrderId="away")

    assert placed["status"] == "NEW"
    assert placed["fills"] == []
    assert by_number == by_name
    assert by_number["isWorking"] is True
    assert (canceled["status"], canceled["clientOrderId"], canceled["origClientOrderId"]) == (
        "CANCELED",
        "away",
        "mine",
    )
    assert desk.call(desk.api.open_orders) == []


def test_a_market_order_tells_its_fills(desk: Desk) -> None:
    bought = desk.place(kind="MARKET", quantity=7)

    assert (bought["status"], bought["timeInForce"], bought["type"]) == ("FILLED", "GTC", "MARKET")
    assert [(fill["price"], fill["qty"], fill["tradeId"]) for fill in bought["fills"]] == [
        ("101.00000000", "5.00000000", 1),
        ("101.01000000", "2.00000000", 2),
    ]
    assert bought["cummulativeQuoteQty"] == "707.02000000"
    assert [fill["id"] for fill in desk.call(desk.api.fills, fromId=2)] == [2]
    assert [fill["isMaker"] for fill in desk.call(desk.api.fills)] == [False, False]


def test_a_sum_of_money_buys_at_the_touch(desk: Desk) -> None:
    bought = desk.call(desk.api.place, side="BUY", type="MARKET", quoteOrderQty=202)
    assert (bought["executedQty"], bought["origQuoteOrderQty"]) == ("2.00000000", "202.00000000")


def test_a_resting_order_is_filled_as_a_maker(desk: Desk) -> None:
    placed = desk.place(price=99)
    desk.driver.now_ns = desk.clock.now_ns() + 1
    desk.driver.quote(98, 5, 99, 5, SYMBOL)

    assert desk.call(desk.api.status, orderId=placed["orderId"])["status"] == "FILLED"
    assert desk.call(desk.api.fills)[0]["isMaker"] is True
    assert desk.reports[-1]["m"] is True


@pytest.mark.parametrize("in_force", ["IOC", "FOK"])
def test_what_may_not_rest_expires(desk: Desk, in_force: str) -> None:
    assert desk.place(timeInForce=in_force, price=90)["status"] == "EXPIRED"
    assert [(report["x"], report["X"]) for report in desk.reports] == [("NEW", "NEW"), ("EXPIRED", "EXPIRED")]


def test_reports_tell_the_life_of_an_order(desk: Desk) -> None:
    placed = desk.place(newClientOrderId="mine")
    desk.call(desk.api.cancel, orderId=placed["orderId"], newClientOrderId="away")
    new, gone = desk.reports

    assert (new["c"], new["C"], new["x"], new["w"], new["t"]) == ("mine", "", "NEW", True, -1)
    assert (gone["c"], gone["C"], gone["x"], gone["X"]) == ("away", "mine", "CANCELED", "CANCELED")
    assert new["i"] == gone["i"] == placed["orderId"]


def test_balances_follow_what_an_order_holds_and_spends(desk: Desk) -> None:
    desk.place(price=90)
    desk.place(kind="MARKET", quantity=2)
    held, _, spent = (event["B"] for event in desk.heard if event["e"] == "outboundAccountPosition")

    assert held[0] == {"a": "USDT", "f": "999910.00000000", "l": "90.00000000"}
    assert spent[0] == {"a": "USDT", "f": "999708.00000000", "l": "90.00000000"}
    assert spent[1] == {"a": "BTC", "f": "2.00000000", "l": "0.00000000"}
    assert {"asset": "BTC", "free": "2.00000000", "locked": "0.00000000"} in desk.call(desk.account.account)["balances"]


def test_a_name_is_unique_among_open_orders_only(desk: Desk) -> None:
    first = desk.place(newClientOrderId="mine")
    assert refused(desk, desk.api.place, side="BUY", type="MARKET", quantity=1, newClientOrderId="mine") == (
        -2010,
        "Duplicate order sent.",
    )
    desk.call(desk.api.cancel, orderId=first["orderId"])
    second = desk.place(newClientOrderId="mine")
    third_place = desk.call(desk.api.cancel, origClientOrderId="mine")
    third = desk.place(newClientOrderId="mine")

    assert third_place["orderId"] == second["orderId"] != first["orderId"]
    assert second["clientOrderId"] == third["clientOrderId"] == "mine"
    assert desk.call(desk.api.status, origClientOrderId="mine")["orderId"] == third["orderId"]


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"symbol": "NOPE"}, -1121),
        ({"symbol": "AAPL"}, -1121),
        ({"side": "UP"}, -1117),
        ({"type": "PEGGED"}, -1116),
        ({"type": "TAKE_PROFIT"}, -1106),
        ({"type": "STOP_LOSS", "timeInForce": "", "price": ""}, -1102),
        ({"type": "STOP_LOSS", "timeInForce": "", "price": "", "trailingDelta": 5}, -1013),
        ({"type": "STOP_LOSS", "timeInForce": "", "price": "", "stopPrice": 100}, -2010),
        ({"type": "TAKE_PROFIT", "timeInForce": "", "price": "", "stopPrice": 102}, -2010),
        ({"trailingDelta": 50}, -1106),
        ({"timeInForce": "DAY"}, -1115),
        ({"price": ""}, -1102),
        ({"quantity": ""}, -1102),
        ({"stopPrice": 90}, -1106),
        ({"quoteOrderQty": 90}, -1106),
        ({"icebergQty": 1}, -1106),
        ({"price": "90.001"}, -1013),
        ({"quantity": "0.00001"}, -1013),
        ({"quantity": "0.01"}, -1013),
        ({"quantity": "-1"}, -1100),
        ({"quantity": "9000", "price": "101000"}, -1013),
        ({"newClientOrderId": "not allowed~"}, -1100),
        ({"newOrderRespType": "ALL"}, -1130),
        ({"side": "SELL"}, -2010),
        ({"quantity": "9000", "price": "999"}, -2010),
    ],
)
def test_each_bad_order_has_its_code(desk: Desk, values: dict[str, object], code: int) -> None:
    order: dict[str, object] = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": 1, "price": 90}
    assert refused(desk, desk.api.place, **(order | values))[0] == code
    assert desk.driver.exchange.open_orders() == []


def test_unknown_orders_have_two_codes(desk: Desk) -> None:
    closed = desk.place(kind="MARKET")
    assert refused(desk, desk.api.status, orderId=99) == (-2013, "Order does not exist.")
    assert refused(desk, desk.api.cancel, orderId=99) == (-2011, "Unknown order sent.")
    assert refused(desk, desk.api.cancel, orderId=closed["orderId"])[0] == -2011
    assert refused(desk, desk.api.cancel_all)[0] == -2011
    assert refused(desk, desk.api.status)[0] == -1102


def test_a_maker_does_not_take(desk: Desk) -> None:
    rests = desk.place(kind="LIMIT_MAKER", price=100, newOrderRespType="RESULT")

    assert (rests["status"], rests["type"]) == ("NEW", "LIMIT_MAKER")
    code, words = refused(desk, desk.api.place, side="BUY", type="LIMIT_MAKER", quantity=1, price=101)
    assert (code, words) == (-2010, "Order would immediately match and take.")


def test_a_stop_waits_and_then_takes(desk: Desk) -> None:
    desk.place(kind="MARKET", quantity=1)
    stop = desk.place(side="SELL", kind="STOP_LOSS", stopPrice=95)
    waiting = desk.call(desk.api.status, orderId=stop["orderId"])
    desk.driver.trade(95, symbol=SYMBOL)

    assert set(stop) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    assert (waiting["isWorking"], waiting["type"], waiting["stopPrice"]) == (False, "STOP_LOSS", "95.00000000")
    assert desk.call(desk.api.status, orderId=stop["orderId"])["status"] == "FILLED"


def test_all_orders_are_paged_by_their_number(desk: Desk) -> None:
    numbers = [desk.place(price=90 + step)["orderId"] for step in range(5)]

    assert [order["orderId"] for order in desk.call(desk.api.all_orders, limit=2)] == numbers[-2:]
    assert [order["orderId"] for order in desk.call(desk.api.all_orders, orderId=numbers[1], limit=2)] == numbers[1:3]
    assert len(desk.call(desk.api.cancel_all)) == 5


def test_replacing_cancels_then_places(desk: Desk) -> None:
    old = desk.place(newClientOrderId="old")
    order: dict[str, object] = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": 1, "price": 91}
    done = desk.call(
        desk.api.cancel_replace, cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=old["orderId"], **order
    )

    assert (done["cancelResult"], done["newOrderResponse"]["status"]) == ("SUCCESS", "NEW")


@pytest.mark.parametrize(
    ("is_open", "price", "mode", "code", "results"),
    [
        (False, 91, "STOP_ON_FAILURE", -2022, ("FAILURE", "NOT_ATTEMPTED")),
        (False, 91, "ALLOW_FAILURE", -2021, ("FAILURE", "SUCCESS")),
        (False, 900_000, "ALLOW_FAILURE", -2022, ("FAILURE", "FAILURE")),
        (True, 900_000, "STOP_ON_FAILURE", -2021, ("SUCCESS", "FAILURE")),
    ],
)
def test_half_a_replacement_is_told_in_full(
    desk: Desk, is_open: bool, price: int, mode: str, code: int, results: tuple[str, str]
) -> None:
    old = desk.place()
    if not is_open:
        desk.call(desk.api.cancel, orderId=old["orderId"])
    order = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": 1_000, "price": price}
    with pytest.raises(ApiError) as refusal:
        desk.call(desk.api.cancel_replace, cancelReplaceMode=mode, cancelOrderId=old["orderId"], **order)
    data = refusal.value.body["data"]
    assert isinstance(data, dict)
    assert (refusal.value.code, refusal.value.status) == (code, 409 if code == -2021 else 400)
    assert (data["cancelResult"], data["newOrderResult"]) == results


def test_a_cancel_may_be_for_orders_only_that_have_not_traded(desk: Desk) -> None:
    old = desk.place()
    no = refused(desk, desk.api.cancel, orderId=old["orderId"], cancelRestrictions="ONLY_PARTIALLY_FILLED")
    assert no == (-2011, "Order was not canceled due to cancel restrictions.")
    assert refused(desk, desk.api.cancel, orderId=old["orderId"], cancelRestrictions="ONLY_OLD")[0] == -1145
    gone = desk.call(desk.api.cancel, orderId=old["orderId"], cancelRestrictions="ONLY_NEW")
    assert gone["status"] == "CANCELED"


def test_a_test_order_is_only_checked(desk: Desk) -> None:
    assert desk.call(desk.api.test, side="BUY", type="MARKET", quantity=1) == {}
    assert refused(desk, desk.api.test, side="BUY", type="MARKET", quantity="0.00001")[0] == -1013
    assert list(desk.driver.exchange.orders()) == []


def test_shares_are_not_told_on_this_protocol(desk: Desk) -> None:
    desk.driver.quote(10, 100, 10.02, 100)
    desk.driver.submit(a_request())

    assert desk.heard == []
    assert desk.call(desk.api.fills) == []


def test_a_connection_subscribes_once_and_numbers_go_on(desk: Desk) -> None:
    said: list[str] = []
    subscriber = Subscriber(said.append, TimeUnit.MILLISECOND)

    assert subscriber.subscribe() == 0
    with pytest.raises(ApiError) as again:
        subscriber.subscribe()
    assert again.value.code == -2035
    desk.user_data.end(subscriber)
    assert json.loads(said[0])["event"]["e"] == "eventStreamTerminated"
    assert subscriber.subscribe() == 1
