"""Alpaca's bracket, oco, oto and trailing orders over real HTTP, and what the trading stream tells of them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import polars as pl
import pytest
from builders.binance_customer import call, signed
from builders.fault_script import Script
from websockets.sync.client import ClientConnection, connect

PATIENCE_S = 60
FIRST_NS = 1_700_000_000_000_000_000
GROUP = {"symbol": "AAPL", "qty": "10", "time_in_force": "gtc"}
BRACKET = GROUP | {
    "side": "buy",
    "type": "market",
    "order_class": "bracket",
    "take_profit": {"limit_price": "102.00"},
    "stop_loss": {"stop_price": "98.00"},
}


@pytest.fixture(scope="module")
def market(open_venue: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """AAPL and a coin at 99.99 to 100.01, in a market that has come to rest until a test says another price."""
    folder = tmp_path_factory.mktemp("market")
    files = []
    for name in ("AAPL", "BTC-USDT"):
        quotes = {"timestamp_ns": [FIRST_NS], "bid": [99.99], "bid_size": [300], "ask": [100.01], "ask_size": [300]}
        pl.DataFrame(quotes | {"symbol": [name]}).write_parquet(folder / f"{name}.parquet")
        files += ["--market", str(folder / f"{name}.parquet")]
    with open_venue(*files, "--speed", "max", "--repeat-s", "3600", "--admin", "--taker-fee-bps", "25") as venue:
        with connect(venue.alpaca["stream"], additional_headers=venue.headers, proxy=None) as socket:
            socket.send(json.dumps({"action": "subscribe", "quotes": ["AAPL"]}))
            while venue.stats()["replay"]["state"] != "finished":
                socket.recv(timeout=PATIENCE_S)
        yield venue


@pytest.fixture(autouse=True)
def still(market: Any) -> None:
    """Every test begins at 100 without open orders and positions."""
    say(market, 100)
    market.call("DELETE", "/v2/positions", params={"cancel_orders": "true"})
    assert market.get("/v2/positions") == market.get("/v2/orders") == []


def say(venue: Any, price: float, symbol: str = "AAPL") -> None:
    """Let the market stand a cent around a price at which it has just traded."""
    said = [{"symbol": symbol, "bid": round(price - 0.01, 2), "ask": round(price + 0.01, 2), "last": price}]
    assert Script(venue.line["admin"]).call("POST", "/market", json=said).status_code == 200


@contextmanager
def updates(venue: Any) -> Iterator[ClientConnection]:
    with connect(venue.alpaca["trading_stream"], additional_headers=venue.headers, proxy=None) as socket:
        socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        socket.recv(timeout=PATIENCE_S)
        yield socket


def heard(socket: ClientConnection, count: int) -> list[tuple[str, str]]:
    """Events with the id of their order."""
    messages = [json.loads(socket.recv(timeout=PATIENCE_S))["data"] for _ in range(count)]
    return [(each["event"], each["order"]["id"]) for each in messages]


def submit(venue: Any, **body: Any) -> dict[str, Any]:
    answer = venue.call("POST", "/v2/orders", json=body)
    assert answer.status_code == 200, answer.text
    accepted: dict[str, Any] = answer.json()
    return accepted


def test_a_bracket_lives_from_entry_to_profit(market: Any) -> None:
    with updates(market) as socket:
        entry = submit(market, **BRACKET, client_order_id="mine")
        profit, loss = entry["legs"]
        working = market.get(f"/v2/orders/{entry['id']}")
        say(market, 102.5)
        told = heard(socket, 7)
    final = market.get(f"/v2/orders/{entry['id']}")
    activities = market.get("/v2/account/activities/FILL", page_size=2)

    ids = {entry["id"]: "entry", profit["id"]: "profit", loss["id"]: "loss"}
    assert (entry["order_class"], entry["status"]) == ("bracket", "pending_new")
    assert [(leg["type"], leg["side"], leg["status"]) for leg in entry["legs"]] == [
        ("limit", "sell", "held"),
        ("stop", "sell", "held"),
    ]
    assert (working["status"], [leg["status"] for leg in working["legs"]]) == ("filled", ["new", "held"])
    assert [(event, ids[order_id]) for event, order_id in told] == [
        ("new", "entry"),
        ("held", "profit"),
        ("held", "loss"),
        ("fill", "entry"),
        ("new", "profit"),
        ("fill", "profit"),
        ("canceled", "loss"),
    ]
    assert [leg["status"] for leg in final["legs"]] == ["filled", "canceled"]
    assert [each["order_id"] for each in activities] == [profit["id"], entry["id"]]


def test_the_stop_of_a_bracket_is_held_until_it_triggers(market: Any) -> None:
    with updates(market) as socket:
        profit, loss = submit(market, **BRACKET)["legs"]
        say(market, 97.5)
        told = heard(socket, 8)

    assert [event for event, order_id in told if order_id == loss["id"]] == ["held", "new", "fill"]
    assert [event for event, order_id in told if order_id == profit["id"]] == ["held", "new", "canceled"]


def test_an_oco_is_a_limit_order_with_a_held_stop(market: Any) -> None:
    submit(market, **GROUP, side="buy", type="market")
    exits = {"take_profit": {"limit_price": "105"}, "stop_loss": {"stop_price": "98", "limit_price": "90"}}
    pair = submit(market, **GROUP, side="sell", type="limit", order_class="oco", **exits)
    listed = market.get("/v2/orders")
    nested = market.get("/v2/orders", nested="true")
    say(market, 97.5)
    closed = market.get(f"/v2/orders/{pair['id']}")

    assert (pair["type"], pair["limit_price"], pair["legs"][0]["type"]) == ("limit", "105", "stop_limit")
    assert {(each["id"], each["status"]) for each in listed} == {(pair["id"], "new"), (pair["legs"][0]["id"], "held")}
    assert [(each["id"], each["legs"][0]["id"]) for each in nested] == [(pair["id"], pair["legs"][0]["id"])]
    assert (closed["status"], closed["legs"][0]["status"]) == ("canceled", "filled")


def test_an_oto_has_one_leg_and_goes_with_its_parent(market: Any) -> None:
    oto = {"side": "buy", "type": "limit", "limit_price": "90", "order_class": "oto"}
    parent = submit(market, **GROUP, **oto, stop_loss={"stop_price": "85"})
    canceled = market.call("DELETE", f"/v2/orders/{parent['id']}")

    assert [leg["status"] for leg in parent["legs"]] == ["held"]
    assert (canceled.status_code, market.get("/v2/orders")) == (204, [])


def test_cancelling_all_answers_for_every_order_of_a_group(market: Any) -> None:
    entry = submit(market, **BRACKET | {"type": "limit", "limit_price": "99"})
    answer = market.call("DELETE", "/v2/orders")

    assert answer.status_code == 207
    assert [(each["id"], each["body"]["status"]) for each in answer.json()] == [
        (order_id, "canceled") for order_id in (entry["id"], *(leg["id"] for leg in entry["legs"]))
    ]


def test_a_stop_limit_triggers_and_then_rests_at_its_limit(market: Any) -> None:
    terms = {"side": "buy", "type": "stop_limit", "stop_price": "101", "limit_price": "100.50"}
    order = submit(market, **GROUP, **terms)
    say(market, 101)
    triggered = market.get(f"/v2/orders/{order['id']}")
    say(market, 100.49)
    filled = market.get(f"/v2/orders/{order['id']}")

    assert (order["type"], triggered["status"]) == ("stop_limit", "new")
    assert (filled["status"], filled["filled_avg_price"]) == ("filled", "100.5")


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"stop_loss": None}, 40010001, "bracket orders require stop_loss"),
        ({"stop_loss": {"stop_price": "100.01"}}, 42210000, "stop_loss.stop_price must be <= base_price - 0.01"),
        ({"take_profit": {"limit_price": "100"}}, 42210000, "take_profit.limit_price must be >= base_price + 0.01"),
        ({"take_profit": {"limit_price": "98"}}, 40010001, "must be better than"),
        ({"take_profit": {}}, 40010001, "limit orders require limit price"),
        ({"time_in_force": "ioc"}, 40010001, "bracket orders must be day or gtc"),
        ({"extended_hours": True}, 40010001, "extended_hours"),
        ({"order_class": "oto"}, 40010001, "either take_profit or stop_loss"),
        ({"order_class": "oco"}, 40010001, "oco orders must be limit orders"),
        ({"qty": "1000000"}, 40310000, "insufficient buying power"),
    ],
)
def test_a_group_that_makes_no_sense_is_refused_whole(
    market: Any, changes: dict[str, Any], code: int, message: str
) -> None:
    refused = market.call("POST", "/v2/orders", json=BRACKET | changes).json()

    assert refused["code"] == code
    assert message in refused["message"]
    assert market.get("/v2/orders") == []


def test_coins_have_no_groups(market: Any) -> None:
    refused = market.call("POST", "/v2/orders", json=BRACKET | {"symbol": "BTC/USD"})

    assert (refused.status_code, refused.json()["code"]) == (422, 42210000)


def test_a_trailing_stop_tells_where_it_stands(market: Any) -> None:
    submit(market, **GROUP, side="buy", type="market")
    stop = submit(market, **GROUP, side="sell", type="trailing_stop", trail_percent="2")
    say(market, 104)
    say(market, 103)
    moved = market.get(f"/v2/orders/{stop['id']}")
    say(market, 101.9)
    filled = market.get(f"/v2/orders/{stop['id']}")

    assert (stop["type"], stop["trail_percent"], stop["trail_price"]) == ("trailing_stop", "2", None)
    assert (moved["hwm"], moved["stop_price"], moved["status"]) == ("104", "101.92", "new")
    assert (filled["status"], filled["filled_avg_price"]) == ("filled", "101.89")


def test_a_trailing_stop_is_replaced_by_its_trail(market: Any) -> None:
    submit(market, **GROUP, side="buy", type="market")
    stop = submit(market, **GROUP, side="sell", type="trailing_stop", trail_price="5")
    moved = market.call("PATCH", f"/v2/orders/{stop['id']}", json={"trail": "3"}).json()
    plain = submit(market, **GROUP, side="buy", type="limit", limit_price="50")
    refused = market.call("PATCH", f"/v2/orders/{plain['id']}", json={"trail": "3"})
    now = market.get(f"/v2/orders/{moved['id']}")

    assert (moved["trail_price"], moved["replaces"], now["stop_price"]) == ("3", stop["id"], "97")
    assert (refused.status_code, refused.json()["code"]) == (422, 40010001)


def test_a_replacement_that_is_refused_is_told(market: Any) -> None:
    with updates(market) as socket:
        order = submit(market, **GROUP, side="buy", type="limit", limit_price="50")
        refused = market.call("PATCH", f"/v2/orders/{order['id']}", json={"qty": "9000000"})
        told = heard(socket, 2)

    assert refused.status_code == 403
    assert told == [("new", order["id"]), ("order_replace_rejected", order["id"])]


def test_fees_are_activities_of_their_own_in_what_was_received(market: Any) -> None:
    bought = submit(market, **GROUP | {"symbol": "BTC/USD"}, side="buy", type="market")
    held = market.get("/v2/positions/BTCUSD")["qty"]
    sold = submit(market, **GROUP | {"symbol": "BTC/USD", "qty": held}, side="sell", type="market")
    coins = market.get("/v2/account/activities/CFEE")
    money = [each for each in market.get("/v2/account/activities/FEE") if each["order_id"] == sold["id"]]
    everything = market.get("/v2/account/activities", direction="asc")
    pages, token = [], None
    while page := market.get(
        "/v2/account/activities", direction="asc", page_size=2, **({"page_token": token} if token else {})
    ):
        pages += page
        token = page[-1]["id"]

    assert held == "9.975"
    assert [(each["qty"], each["net_amount"], each["order_id"]) for each in coins] == [("-0.025", "0", bought["id"])]
    assert [(each["qty"], each["net_amount"]) for each in money] == [("0", "-2.49350062")]
    assert pages == everything
    assert len({each["id"] for each in everything}) == len(everything)


def test_ids_and_times_of_fills_do_not_change(market: Any) -> None:
    order = submit(market, **GROUP, side="buy", type="market")
    first, second = (
        [each for each in market.get("/v2/account/activities") if each["order_id"] == order["id"]] for _ in range(2)
    )

    assert first == second != []


def test_a_replay_keeps_its_own_time(market: Any) -> None:
    assert market.get("/v2/clock")["timestamp"] == "2023-11-14T22:13:20Z"


def test_what_another_program_places_is_an_order_like_any_other(market: Any) -> None:
    """The other program speaks another protocol, with the same key."""
    keys = market.line["binance"]
    with updates(market) as socket:
        terms = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
        placed = call(keys, "POST", "order", signed(keys, **terms, quantity="1", price="90", newClientOrderId="theirs"))
        told = heard(socket, 1)
        listed = market.get("/v2/orders")

    assert placed.status_code == 200
    assert [(each["client_order_id"], each["symbol"]) for each in listed] == [("theirs", "BTC/USD")]
    assert told == [("new", listed[0]["id"])]


def test_a_halt_refuses_orders_on_every_protocol_until_it_ends(market: Any) -> None:
    script, keys = Script(market.line["admin"]), market.line["binance"]
    rests = submit(market, **GROUP, side="buy", type="limit", limit_price="99")
    assert script.call("POST", "/halts", json={"symbols": ["AAPL", "BTCUSDT"]}).json() == {
        "halted": ["AAPL", "BTC-USDT"]
    }
    refused = market.call("POST", "/v2/orders", json=GROUP | {"side": "buy", "type": "market"})
    query = signed(keys, symbol="BTCUSDT", side="BUY", type="MARKET", quantity="1")
    closed = call(keys, "POST", "order", query).json()
    status = call(keys, "GET", "exchangeInfo").json()["symbols"][0]["status"]
    say(market, 98)
    waiting = market.get(f"/v2/orders/{rests['id']}")["status"]
    for symbol in ("AAPL", "BTC/USD"):
        script.call("DELETE", f"/halts/{symbol}")

    assert (refused.status_code, refused.json()["code"]) == (422, 42210000)
    assert (closed, status) == ({"code": -2010, "msg": "Market is closed."}, "HALT")
    assert (waiting, market.get(f"/v2/orders/{rests['id']}")["status"]) == ("new", "filled")
    assert script.call("GET", "/halts").json() == {"halted": []}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/market", [{"symbol": "NOPE", "last": 1}]),
        ("/market", [{"symbol": "AAPL", "last": "much"}]),
        ("/market", {"symbol": "AAPL"}),
        ("/market", " " * 70_000),
        ("/halts", {"symbols": ["NOPE"]}),
        ("/halts", {"symbol": "AAPL"}),
    ],
)
def test_what_the_floor_does_not_understand_changes_nothing(market: Any, path: str, body: Any) -> None:
    script = Script(market.line["admin"])

    assert script.call("POST", path, json=body).status_code == 400
    assert script.call("DELETE", "/halts/NOPE").status_code == 404
    assert script.call("GET", "/halts").json() == {"halted": []}
