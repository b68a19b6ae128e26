"""Order lists, amendments, trailing stops and commissions as Binance's customers know them."""

from typing import Any

import pytest
from builders.binance_desk import SYMBOL, Desk, refused
from builders.paper_venue import a_request, nanos

from services.paper_venue.domain.account import AccountRules
from services.paper_venue.domain.fees import FeeRules


@pytest.fixture
def desk() -> Desk:
    """A customer who has five coins; the market stands at 100 to 101."""
    found = Desk()
    found.place(kind="MARKET", quantity=5)
    found.heard.clear()
    return found


def oco(desk: Desk, **values: object) -> Any:
    """A pair around the market that sells a coin."""
    usual: dict[str, object] = {
        "side": "SELL",
        "quantity": 1,
        "aboveType": "LIMIT_MAKER",
        "abovePrice": 110,
        "aboveClientOrderId": "gain",
        "belowType": "STOP_LOSS",
        "belowStopPrice": 95,
        "belowClientOrderId": "loss",
        "listClientOrderId": "pair",
    }
    return desk.call(desk.lists.place_oco, **(usual | values))


def working(**values: object) -> dict[str, object]:
    """An entry below the market."""
    usual: dict[str, object] = {
        "workingType": "LIMIT",
        "workingSide": "BUY",
        "workingPrice": 90,
        "workingQuantity": 1,
        "workingTimeInForce": "GTC",
    }
    return usual | values


def told(desk: Desk) -> list[tuple[str, ...]]:
    """Reports as (execution type, status, name), and changes of lists."""
    return [
        (event["x"], event["X"], event["c"]) if event["e"] == "executionReport" else (event["l"], event["L"])
        for event in desk.heard
        if event["e"] in ("executionReport", "listStatus")
    ]


def test_a_pair_is_placed_found_and_told(desk: Desk) -> None:
    placed = oco(desk)
    names = [order["clientOrderId"] for order in placed["orders"]]

    assert (placed["contingencyType"], placed["listOrderStatus"], placed["orderListId"]) == ("OCO", "EXECUTING", 0)
    assert names == ["gain", "loss"]
    assert [(r["type"], r["status"], r["orderListId"]) for r in placed["orderReports"]] == [
        ("LIMIT_MAKER", "NEW", 0),
        ("STOP_LOSS", "NEW", 0),
    ]
    without_reports = {name: value for name, value in placed.items() if name != "orderReports"}
    assert desk.call(desk.lists.status, origClientOrderId="pair") == without_reports
    assert desk.call(desk.lists.open_lists) == desk.call(desk.lists.all_lists) == [without_reports]
    assert told(desk) == [("NEW", "NEW", "gain"), ("NEW", "NEW", "loss"), ("EXEC_STARTED", "EXECUTING")]
    assert {event["g"] for event in desk.heard if "g" in event} == {0}


def test_the_gain_expires_the_loss(desk: Desk) -> None:
    oco(desk)
    desk.heard.clear()
    desk.driver.quote(110, 5, 111, 5, SYMBOL)

    assert told(desk) == [("TRADE", "FILLED", "gain"), ("EXPIRED", "EXPIRED", "loss"), ("ALL_DONE", "ALL_DONE")]
    assert [event.get("eR") for event in desk.reports] == [None, "OCO_TRIGGER"]
    assert desk.call(desk.lists.open_lists) == []
    assert desk.call(desk.api.fills)[-1]["orderListId"] == 0


def test_the_loss_expires_the_gain_before_it_trades(desk: Desk) -> None:
    oco(desk)
    desk.heard.clear()
    desk.driver.trade(95, symbol=SYMBOL)

    assert told(desk)[:2] == [("EXPIRED", "EXPIRED", "gain"), ("TRADE", "FILLED", "loss")]


@pytest.mark.parametrize("how", ["list", "order", "all"])
def test_a_list_is_cancelled_whole(desk: Desk, how: str) -> None:
    oco(desk)
    if how == "order":
        desk.call(desk.api.cancel, origClientOrderId="loss", newClientOrderId="away")
    else:
        answer = desk.call(desk.lists.cancel if how == "list" else desk.api.cancel_all, orderListId=0)
        canceled = answer if how == "list" else answer[0]
        assert (canceled["listStatusType"], len(canceled["orderReports"])) == ("ALL_DONE", 2)
        assert {report["status"] for report in canceled["orderReports"]} == {"CANCELED"}

    assert desk.call(desk.api.open_orders) == []
    assert told(desk)[-1] == ("ALL_DONE", "ALL_DONE")
    assert refused(desk, desk.lists.cancel, listClientOrderId="pair")[0] == -2011


def test_a_pair_locks_its_coins_once(desk: Desk) -> None:
    oco(desk, quantity=4)
    balances = {each["asset"]: each for each in desk.call(desk.account.account)["balances"]}

    assert (balances["BTC"]["free"], balances["BTC"]["locked"]) == ("1.00000000", "4.00000000")


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"abovePrice": 99}, -2010),
        ({"belowStopPrice": 102}, -2010),
        ({"aboveType": "STOP_LOSS", "aboveStopPrice": 110, "abovePrice": ""}, -1130),
        ({"belowType": "LIMIT_MAKER", "belowPrice": 90, "belowStopPrice": ""}, -1130),
        ({"belowType": ""}, -1102),
        ({"belowClientOrderId": "gain"}, -2010),
        ({"quantity": 6}, -2010),
        ({"quantity": "0.00001"}, -1013),
        ({"symbol": "AAPL"}, -1121),
    ],
)
def test_each_bad_list_has_its_code(desk: Desk, values: dict[str, object], code: int) -> None:
    before = desk.driver.exchange.open_orders()
    with pytest.raises(Exception) as refusal:  # noqa: PT011 the code says which
        oco(desk, **values)

    assert getattr(refusal.value, "code", None) == code
    assert desk.driver.exchange.open_orders() == before


def test_the_name_of_a_list_is_unique_while_it_executes(desk: Desk) -> None:
    oco(desk)
    with pytest.raises(Exception, match="Duplicate order sent"):
        oco(desk, aboveClientOrderId="other", belowClientOrderId="another")
    desk.call(desk.lists.cancel, listClientOrderId="pair")

    assert oco(desk)["orderListId"] == 1
    assert desk.call(desk.lists.status, origClientOrderId="pair")["orderListId"] == 1
    assert refused(desk, desk.lists.status, orderListId=7) == (-2018, "Order list does not exist.")
    assert refused(desk, desk.lists.status)[0] == -1102


def test_a_pending_order_waits_for_the_working_one(desk: Desk) -> None:
    pending = {"pendingType": "LIMIT", "pendingSide": "SELL", "pendingPrice": 120, "pendingQuantity": 1}
    placed = desk.call(desk.lists.place_oto, **working(), **pending, pendingTimeInForce="GTC")
    assert [report["status"] for report in placed["orderReports"]] == ["NEW", "PENDING_NEW"]
    desk.heard.clear()
    desk.driver.quote(88, 5, 89, 5, SYMBOL)

    assert [each[:2] for each in told(desk)] == [("TRADE", "FILLED"), ("NEW", "NEW")]
    assert [order["type"] for order in desk.call(desk.api.open_orders)] == ["LIMIT"]


def test_a_working_order_brings_a_pair(desk: Desk) -> None:
    pair = {
        "pendingSide": "SELL",
        "pendingQuantity": 1,
        "pendingAboveType": "TAKE_PROFIT",
        "pendingAboveStopPrice": 120,
        "pendingBelowType": "STOP_LOSS_LIMIT",
        "pendingBelowStopPrice": 80,
        "pendingBelowPrice": 79,
        "pendingBelowTimeInForce": "GTC",
    }
    placed = desk.call(desk.lists.place_otoco, **working(), **pair)
    desk.driver.quote(88, 5, 89, 5, SYMBOL)
    desk.driver.trade(121, symbol=SYMBOL)
    statuses = [desk.call(desk.api.status, orderId=order["orderId"])["status"] for order in placed["orders"]]

    assert placed["contingencyType"] == "OTO"
    assert statuses == ["FILLED", "FILLED", "EXPIRED"]
    assert refused(desk, desk.lists.place_otoco, **working(workingType="MARKET"), **pair)[0] == -1130


def test_an_order_is_amended_in_its_place(desk: Desk) -> None:
    placed = desk.place(quantity=5, newClientOrderId="big")
    done = desk.call(desk.api.amend, origClientOrderId="big", newQty=2, newClientOrderId="small")
    report = desk.reports[-1]

    amended = done["amendedOrder"]
    assert (amended["orderId"], amended["qty"], amended["origClientOrderId"]) == (
        placed["orderId"],
        "2.00000000",
        "big",
    )
    assert (report["x"], report["X"], report["q"], report["c"]) == ("REPLACED", "NEW", "2.00000000", "small")
    assert report["I"] == done["executionId"]
    assert desk.call(desk.api.status, origClientOrderId="small")["origQty"] == "2.00000000"
    assert desk.heard[-1]["B"][0]["l"] == "180.00000000"


def test_an_amendment_of_a_pair_makes_both_smaller(desk: Desk) -> None:
    oco(desk, quantity=3)
    done = desk.call(desk.api.amend, origClientOrderId="gain", newQty=2, newClientOrderId="gain")

    assert done["listStatus"]["listClientOrderId"] == "pair"
    assert [order["origQty"] for order in desk.call(desk.api.open_orders)] == ["2.00000000", "2.00000000"]
    assert ("UPDATED", "EXECUTING") in told(desk)


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"newQty": 5}, -2038),
        ({"newQty": ""}, -1102),
        ({"newQty": "0.00001"}, -1013),
        ({"newQty": 1, "origClientOrderId": "nobody"}, -2038),
        ({"newQty": 1, "newClientOrderId": "other"}, -2038),
    ],
)
def test_each_bad_amendment_has_its_code(desk: Desk, values: dict[str, object], code: int) -> None:
    desk.place(quantity=5, newClientOrderId="big")
    desk.place(quantity=1, newClientOrderId="other")

    assert refused(desk, desk.api.amend, **({"origClientOrderId": "big"} | values))[0] == code
    assert desk.call(desk.api.status, origClientOrderId="big")["origQty"] == "5.00000000"


def test_a_trailing_stop_tells_its_distance_and_since_when_it_follows(desk: Desk) -> None:
    desk.driver.trade(100, symbol=SYMBOL)
    stop = desk.place(
        "SELL", "STOP_LOSS_LIMIT", timeInForce="GTC", price=90, trailingDelta=500, newOrderRespType="RESULT"
    )
    assert (stop["type"], stop["trailingDelta"], stop["status"]) == ("STOP_LOSS_LIMIT", 500, "NEW")
    assert (desk.reports[-1]["d"], desk.reports[-1]["P"]) == (500, "0.00000000")
    desk.driver.trade(200, symbol=SYMBOL)
    desk.driver.trade("190.01", symbol=SYMBOL)
    waiting = desk.call(desk.api.status, orderId=stop["orderId"])
    desk.driver.trade(190, symbol=SYMBOL)

    assert (waiting["isWorking"], waiting["trailingTime"] > 0) == (False, True)
    assert desk.call(desk.api.status, orderId=stop["orderId"])["status"] == "FILLED"


def test_a_take_profit_is_called_so(desk: Desk) -> None:
    placed = desk.place("SELL", "TAKE_PROFIT", stopPrice=110, newOrderRespType="RESULT")

    assert (placed["type"], placed["stopPrice"], placed["timeInForce"]) == ("TAKE_PROFIT", "110.00000000", "GTC")


def test_commissions_are_told_in_what_was_received() -> None:
    desk = Desk(AccountRules(fees=FeeRules(maker_bps=10, taker_bps=20)))
    bought = desk.place(kind="MARKET", quantity=2)
    desk.place("SELL", price=105, quantity=1)
    desk.driver.quote(105, 5, 106, 5, SYMBOL)
    account = desk.call(desk.account.account)
    by_fill = [(fill["commission"], fill["commissionAsset"]) for fill in desk.call(desk.api.fills)]
    reports = [(report["n"], report["N"]) for report in desk.reports if report["x"] == "TRADE"]

    assert (bought["fills"][0]["commission"], bought["fills"][0]["commissionAsset"]) == ("0.00400000", "BTC")
    assert by_fill == reports == [("0.00400000", "BTC"), ("0.10500000", "USDT")]
    assert {each["asset"]: each["free"] for each in account["balances"]} == {
        "USDT": "999902.89500000",
        "BTC": "0.99600000",
    }
    assert (account["makerCommission"], account["commissionRates"]["taker"]) == (10, "0.00200000")
    assert desk.call(desk.account.commission)["standardCommission"]["maker"] == "0.00100000"


def test_a_halted_pair_is_a_closed_market(desk: Desk) -> None:
    desk.driver.exchange.halt(SYMBOL)

    assert refused(desk, desk.api.place, side="BUY", type="MARKET", quantity=1) == (-2010, "Market is closed.")


def test_orders_of_another_program_are_seen(desk: Desk) -> None:
    """What the other protocol places on the same account is an order like any other here."""
    desk.driver.submit(a_request(quantity=1, limit=90.0, symbol=SYMBOL, client_order_id="elsewhere"))

    assert [order["clientOrderId"] for order in desk.call(desk.api.open_orders)] == ["elsewhere"]
    assert desk.reports[-1]["c"] == "elsewhere"
    assert desk.call(desk.api.cancel, origClientOrderId="elsewhere")["status"] == "CANCELED"


def test_every_report_has_an_execution_id_of_its_own(desk: Desk) -> None:
    desk.place(kind="MARKET", quantity=nanos(7) // nanos(1))
    oco(desk)
    ids = [report["I"] for report in desk.reports]

    assert len(ids) > 4
    assert ids == sorted(set(ids))
