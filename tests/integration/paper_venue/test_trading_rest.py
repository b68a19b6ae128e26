"""The trading and data APIs, answer by answer, over real HTTP."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from websockets.asyncio.client import connect


@pytest.fixture(scope="module")
def still(open_venue: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A market that has come to rest: AAPL 99.99 × 300 / 100.01 × 200, with a print at 100."""
    folder: Path = tmp_path_factory.mktemp("market")
    times = [1_700_000_000_000_000_000 + n * 60_000_000_000 for n in range(3)]
    quotes = {"timestamp_ns": times, "bid": [99.99] * 3, "bid_size": [300] * 3, "ask": [100.01] * 3}
    pl.DataFrame(quotes | {"ask_size": [200] * 3}).write_parquet(folder / "aapl-quotes.parquet")
    trades = {"timestamp_ns": times, "price": [100.0] * 3, "size": [10, 20, 30], "id": [1, 2, 3]}
    pl.DataFrame(trades).write_parquet(folder / "aapl-trades.parquet")
    files = [flag for name in ("aapl-quotes", "aapl-trades") for flag in ("--market", str(folder / f"{name}.parquet"))]
    with open_venue(*files, "--speed", "max", "--no-position-flips") as venue:
        asyncio.run(_play(venue))
        yield venue


async def _play(venue: Any) -> None:
    """Listen until the recording has ended."""
    async with connect(venue.alpaca["stream"], additional_headers=venue.headers, proxy=None) as socket:
        await socket.send(json.dumps({"action": "subscribe", "quotes": ["AAPL"]}))
        while venue.stats()["replay"]["state"] != "finished":
            await asyncio.wait_for(socket.recv(), 60)


@pytest.fixture(autouse=True)
def flat(still: Any) -> None:
    """Every test begins without open orders and positions."""
    still.call("DELETE", "/v2/positions", params={"cancel_orders": "true"})
    still.call("DELETE", "/v2/orders")
    assert still.get("/v2/positions") == []


def order(**changes: Any) -> dict[str, Any]:
    body = {"symbol": "AAPL", "qty": "10", "side": "buy", "type": "market", "time_in_force": "day"}
    return {name: value for name, value in (body | changes).items() if value is not None}


def submit(venue: Any, **changes: Any) -> dict[str, Any]:
    response = venue.call("POST", "/v2/orders", json=order(**changes))
    assert response.status_code == 200, response.text
    accepted: dict[str, Any] = response.json()
    return accepted


def limit(**changes: Any) -> dict[str, Any]:
    return {"type": "limit", "limit_price": "90.00"} | changes


def test_a_market_order_is_accepted_then_filled(still: Any) -> None:
    accepted = submit(still, qty=250, client_order_id="walk-1")
    filled = still.get(f"/v2/orders/{accepted['id']}")

    assert (accepted["status"], accepted["filled_qty"]) == ("pending_new", "0")
    assert (filled["status"], filled["filled_qty"], filled["filled_avg_price"]) == ("filled", "250", "100.012")
    assert filled["client_order_id"] == "walk-1"
    assert still.get("/v2/orders:by_client_order_id", client_order_id="walk-1") == filled


def test_numbers_are_strings_and_times_rfc3339(still: Any) -> None:
    accepted = submit(still, **limit(limit_price=90.5, qty=1.5))

    assert (accepted["limit_price"], accepted["qty"], accepted["stop_price"]) == ("90.5", "1.5", None)
    assert accepted["created_at"].endswith("Z")
    assert accepted["order_type"] == accepted["type"] == "limit"


def test_money_can_be_asked_for_instead_of_a_quantity(still: Any) -> None:
    accepted = submit(still, qty=None, notional="1000.1")

    assert (accepted["notional"], accepted["qty"]) == ("1000.1", None)
    assert still.get(f"/v2/orders/{accepted['id']}")["filled_qty"] == "10"


@pytest.mark.parametrize(
    ("changes", "status", "code", "message"),
    [
        ({"symbol": "NOPE"}, 422, 42210000, 'asset "NOPE" not found'),
        ({"qty": "-1"}, 422, 40010001, "qty must be > 0"),
        ({"qty": "ten"}, 422, 40010001, "invalid qty"),
        ({"qty": "1.0000000001"}, 422, 40010001, "invalid qty"),
        ({"qty": None}, 422, 40010001, "qty must be > 0"),
        ({"side": "hold"}, 422, 40010001, "invalid side"),
        ({"type": "guess"}, 422, 40010001, "invalid type"),
        ({"time_in_force": "later"}, 422, 40010001, "invalid time_in_force"),
        ({"side": None}, 422, 40010001, "side"),
        ({"symbol": 5}, 422, 40010001, "symbol"),
        ({"limit_price": "5"}, 422, 40010001, "market orders require no stop or limit price"),
        (limit(limit_price=None), 422, 40010001, "limit orders require limit price"),
        (limit(limit_price="90.001"), 422, 40010001, "sub-penny"),
        ({"order_class": "bracket"}, 422, 40010001, "bracket orders require take_profit"),
        ({"order_class": "mleg"}, 422, 40010001, "invalid order_class"),
        ({"take_profit": {"limit_price": "110"}}, 422, 40010001, "order_class"),
        ({"type": "trailing_stop"}, 422, 40010001, "trailing stop orders require"),
        ({"type": "trailing_stop", "trail_price": "1", "trail_percent": "1"}, 422, 40010001, "only one of"),
        ({"type": "trailing_stop", "trail_percent": "100"}, 422, 40010001, "trail must be"),
        ({"client_order_id": "x" * 129}, 422, 40010001, "client_order_id"),
        ({"extended_hours": True}, 422, 40010001, "extended hours"),
        ({"qty": "1000000"}, 403, 40310000, "insufficient buying power"),
    ],
)
def test_a_refused_order_says_why(still: Any, changes: dict[str, Any], status: int, code: int, message: str) -> None:
    refused = still.call("POST", "/v2/orders", json=order(**changes))

    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert message in refused.json()["message"]
    assert still.get("/v2/positions") == []


def test_a_refusal_for_money_tells_the_numbers(still: Any) -> None:
    refused = still.call("POST", "/v2/orders", json=order(qty="1000000")).json()

    assert float(refused["cost_basis"]) > float(refused["buying_power"]) > 0


def test_a_body_that_is_no_json_is_malformed(still: Any) -> None:
    refused = still.call("POST", "/v2/orders", content=b"{nope")

    assert (refused.status_code, refused.json()["code"]) == (400, 40010000)


def test_the_same_client_order_id_is_refused(still: Any) -> None:
    submit(still, client_order_id="only-once")
    refused = still.call("POST", "/v2/orders", json=order(client_order_id="only-once"))

    assert refused.status_code == 422
    assert refused.json() == {"code": 40010001, "message": "client_order_id must be unique"}


def test_a_wash_trade_is_refused(still: Any) -> None:
    resting = submit(still, **limit(side="sell", limit_price="100.50"))
    refused = still.call("POST", "/v2/orders", json=order(**limit(limit_price="100.60")))

    assert (refused.status_code, refused.json()["existing_order_id"]) == (403, resting["id"])


def test_selling_more_than_there_is_is_refused_where_flips_are_off(still: Any) -> None:
    submit(still, qty="5")
    refused = still.call("POST", "/v2/orders", json=order(side="sell", qty="7")).json()

    assert refused == {
        "code": 40310000,
        "message": "insufficient qty available for order (requested: 7, available: 5)",
        "symbol": "AAPL",
        "available": "5",
        "existing_qty": "5",
        "held_for_orders": "0",
    }


def test_cancel_is_204_once_and_422_afterwards(still: Any) -> None:
    path = f"/v2/orders/{submit(still, **limit())['id']}"

    assert still.call("DELETE", path).status_code == 204
    again = still.call("DELETE", path)
    assert (again.status_code, again.json()["message"]) == (422, 'order is already in "canceled" state')
    assert still.get(path)["canceled_at"] is not None


def test_cancel_all_reports_each(still: Any) -> None:
    ids = {submit(still, **limit())["id"] for _ in range(3)}
    answer = still.call("DELETE", "/v2/orders")

    assert answer.status_code == 207
    assert {(each["id"], each["status"]) for each in answer.json()} == {(order_id, 200) for order_id in ids}
    assert still.get("/v2/orders") == []


def test_replace_answers_with_the_new_order(still: Any) -> None:
    old = submit(still, **limit())
    new = still.call("PATCH", f"/v2/orders/{old['id']}", json={"limit_price": "91", "qty": "4"})

    assert new.status_code == 200
    assert (new.json()["replaces"], new.json()["limit_price"], new.json()["qty"]) == (old["id"], "91", "4")
    assert still.get(f"/v2/orders/{old['id']}")["status"] == "replaced"


def test_an_unknown_order_is_404(still: Any) -> None:
    for method in ("GET", "DELETE", "PATCH"):
        answer = still.call(method, "/v2/orders/nope", **({"json": {}} if method == "PATCH" else {}))
        assert (answer.status_code, answer.json()["code"]) == (404, 40410000)


def test_orders_are_listed_by_status_symbol_side_and_time(still: Any) -> None:
    first, second = submit(still, **limit()), submit(still, **limit(limit_price="91.00"))
    closed = submit(still)

    def ids(**query: Any) -> list[str]:
        return [each["id"] for each in still.get("/v2/orders", **query)]

    assert ids() == [second["id"], first["id"]]
    assert ids(direction="asc", limit=1) == [first["id"]]
    assert closed["id"] in ids(status="closed", limit=500)
    assert ids(status="all", after=first["created_at"])[-2:] == [closed["id"], second["id"]]
    assert ids(until=second["created_at"]) == [first["id"]]
    assert ids(symbols="MSFT") == ids(side="sell") == []
    assert len(ids(symbols="AAPL", side="buy")) == 2


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": 501}, {"limit": "x"}, {"status": "odd"}, {"direction": "up"}, {"after": "then"}]
)
def test_odd_queries_are_422(still: Any, query: dict[str, Any]) -> None:
    assert still.call("GET", "/v2/orders", params=query).status_code == 422


def test_a_position_shows_what_it_cost_and_is_worth(still: Any) -> None:
    submit(still, qty="100")
    position = still.get("/v2/positions/AAPL")

    assert (position["qty"], position["side"], position["avg_entry_price"]) == ("100", "long", "100.01")
    assert (position["market_value"], position["cost_basis"], position["unrealized_pl"]) == ("10000", "10001", "-1")
    assert still.get(f"/v2/positions/{position['asset_id']}") == position
    assert still.get("/v2/positions") == [position]


def test_positions_close_in_part_and_whole(still: Any) -> None:
    submit(still, qty="100")
    still.call("DELETE", "/v2/positions/AAPL", params={"qty": "30"})
    assert still.get("/v2/positions/AAPL")["qty"] == "70"
    still.call("DELETE", "/v2/positions/AAPL", params={"percentage": "50"})
    assert still.get("/v2/positions/AAPL")["qty"] == "35"
    closing = still.call("DELETE", "/v2/positions/AAPL").json()

    assert (closing["side"], closing["qty"]) == ("sell", "35")
    gone = still.call("GET", "/v2/positions/AAPL")
    assert (gone.status_code, gone.json()["message"]) == (404, "position does not exist")
    assert still.call("DELETE", "/v2/positions/NOPE").status_code == 404


def test_a_position_that_an_order_is_selling_cannot_be_closed_beside_it(still: Any) -> None:
    submit(still, qty="10")
    submit(still, **limit(side="sell", qty="4", limit_price="120"))
    answer = still.call("DELETE", "/v2/positions")

    assert answer.status_code == 207
    assert (answer.json()[0]["status"], answer.json()[0]["body"]["available"]) == (403, "6")


def test_short_positions_are_negative_and_closed_by_buying(still: Any) -> None:
    submit(still, side="sell", qty="10")
    assert (still.get("/v2/positions/AAPL")["qty"], still.get("/v2/positions/AAPL")["side"]) == ("-10", "short")

    assert still.call("DELETE", "/v2/positions/AAPL").json()["side"] == "buy"


def test_the_account_adds_up(still: Any) -> None:
    submit(still, qty="100")
    account = still.get("/v2/account")

    value = float(account["long_market_value"]) + float(account["short_market_value"])
    assert float(account["equity"]) == pytest.approx(float(account["cash"]) + value)
    assert account["status"] == "ACTIVE"
    assert account["multiplier"] == "4"


def test_fills_are_activities_in_pages(still: Any) -> None:
    submit(still, qty="450")
    newest = still.get("/v2/account/activities/FILL", page_size=3)
    oldest_first = still.get("/v2/account/activities", activity_types="FILL", direction="asc", page_size=100)
    second = still.get("/v2/account/activities/FILL", page_size=2, page_token=newest[0]["id"])

    assert [each["price"] for each in newest] == ["100.03", "100.02", "100.01"]
    assert [each["type"] for each in newest] == ["fill", "partial_fill", "partial_fill"]
    assert [each["cum_qty"] for each in newest] == ["450", "400", "200"]
    assert second == newest[1:]
    assert [each["id"] for each in oldest_first] == sorted(each["id"] for each in oldest_first)
    assert still.get("/v2/account/activities/DIV") == []
    assert still.get("/v2/account/activities/FILL", after=newest[0]["transaction_time"]) == []
    assert len(still.get("/v2/account/activities/FILL", date=newest[0]["transaction_time"][:10])) > 2


def test_the_clock_is_open_and_the_calendar_has_weekdays(still: Any) -> None:
    assert still.get("/v2/clock")["is_open"] is True
    days = still.get("/v2/calendar", start="2026-03-02", end="2026-03-08")

    assert [day["date"][-2:] for day in days] == ["02", "03", "04", "05", "06"]
    assert days[0] == {"date": "2026-03-02", "open": "09:30", "close": "16:00"}
    assert still.call("GET", "/v2/calendar", params={"start": "soon"}).status_code == 422


def test_assets_are_found_by_symbol_and_id(still: Any) -> None:
    asset = still.get("/v2/assets/AAPL")

    assert (asset["class"], asset["tradable"], asset["price_increment"]) == ("us_equity", True, "0.01")
    assert still.get(f"/v2/assets/{asset['id']}") == asset
    assert still.get("/v2/assets", asset_class="us_equity") == [asset]
    assert still.get("/v2/assets", asset_class="crypto") == still.get("/v2/assets", status="inactive") == []
    assert still.call("GET", "/v2/assets/NOPE").status_code == 404


@pytest.mark.parametrize("headers", [{}, {"APCA-API-KEY-ID": "x", "APCA-API-SECRET-KEY": "y"}])
def test_strangers_are_turned_away(still: Any, headers: dict[str, str]) -> None:
    trading = still.call("GET", "/v2/account", headers=headers)
    data = still.call("GET", "/v2/stocks/bars", headers=headers)

    assert (trading.status_code, trading.json()["code"]) == (401, 40110000)
    assert (data.status_code, data.json()) == (403, {"message": "forbidden."})


def test_basic_authentication_is_accepted(still: Any) -> None:
    import httpx

    auth = httpx.BasicAuth(still.alpaca["key"], still.alpaca["secret"])
    assert still.call("GET", "/v2/account", headers={}, auth=auth).status_code == 200
    assert still.call("GET", "/v2/account", headers={"Authorization": "Basic ???"}).status_code == 401


def test_every_answer_tells_the_rate_limit(open_venue: Any) -> None:
    with open_venue("--rate-limit", "2", "--symbols", "AAPL") as venue:
        answers = [venue.call("GET", "/v2/clock") for _ in range(6)]

    assert {answer.headers["X-RateLimit-Limit"] for answer in answers} == {"2"}
    assert answers[0].headers["X-RateLimit-Remaining"] == "1"
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused[-1].json()["code"] == 42910000
    assert int(refused[-1].headers["X-RateLimit-Reset"]) > 0


def test_ticks_of_the_past_come_in_pages(still: Any) -> None:
    query = {"symbols": "AAPL,NOPE", "start": "2023-11-14", "limit": 2}
    first = still.get("/v2/stocks/trades", **query)
    second = still.get("/v2/stocks/trades", **query, page_token=first["next_page_token"])

    assert [trade["i"] for trade in first["trades"]["AAPL"]] == [1, 2]
    assert [trade["i"] for trade in second["trades"]["AAPL"]] == [3]
    assert second["next_page_token"] is None
    newest = still.get("/v2/stocks/trades", **query, sort="desc")["trades"]["AAPL"]
    assert [trade["i"] for trade in newest] == [3, 2]


def test_intervals_include_both_ends(still: Any) -> None:
    quotes = still.get("/v2/stocks/quotes", symbols="AAPL", start="2023-11-14T22:13:20Z", end="2023-11-14T22:14:20Z")

    assert [quote["t"] for quote in quotes["quotes"]["AAPL"]] == ["2023-11-14T22:13:20Z", "2023-11-14T22:14:20Z"]


def test_the_latest_of_everything(still: Any) -> None:
    assert still.get("/v2/stocks/trades/latest", symbols="AAPL")["trades"]["AAPL"]["i"] == 3
    assert still.get("/v2/stocks/quotes/latest", symbols="AAPL")["quotes"]["AAPL"]["ap"] == 100.01
    assert still.get("/v2/stocks/bars/latest", symbols="AAPL")["bars"]["AAPL"]["v"] == 30.0
    snapshot = still.get("/v2/stocks/snapshots", symbols="AAPL,NOPE")
    assert list(snapshot) == ["AAPL"]
    assert set(snapshot["AAPL"]) == {"latestTrade", "latestQuote", "minuteBar", "dailyBar", "prevDailyBar"}
    assert snapshot["AAPL"]["dailyBar"]["t"] > snapshot["AAPL"]["prevDailyBar"]["t"]


@pytest.mark.parametrize(
    "query",
    [
        {"timeframe": "1Min"},
        {"symbols": "AAPL"},
        {"symbols": "AAPL", "timeframe": "61Min"},
        {"symbols": "AAPL", "timeframe": "2Day"},
        {"symbols": "AAPL", "timeframe": "1Day", "page_token": "?"},
        {"symbols": "AAPL", "timeframe": "1Day", "sort": "odd"},
        {"symbols": "AAPL", "timeframe": "1Day", "start": "2026-01-02", "end": "2026-01-01"},
    ],
)
def test_odd_data_queries_are_400_with_a_message_alone(still: Any, query: dict[str, str]) -> None:
    answer = still.call("GET", "/v2/stocks/bars", params=query)

    assert answer.status_code == 400
    assert list(answer.json()) == ["message"]
