"""binance-connector, unmodified, against a paper venue: run by its own interpreter with the addresses as JSON."""

import json
import queue
import sys
import time
from itertools import pairwise
from typing import Any

from binance.error import ClientError
from binance.lib.utils import get_timestamp, get_uuid, websocket_api_signature
from binance.spot import Spot
from binance.websocket.spot.websocket_api import SpotWebsocketAPIClient
from binance.websocket.spot.websocket_stream import SpotWebsocketStreamClient

VENUE = json.loads(sys.argv[1])
PATIENCE_S = 30


def streams() -> dict[str, Any]:
    """Subscribe by messages on a combined connection, list, unsubscribe."""
    heard: queue.Queue[str] = queue.Queue()
    client = SpotWebsocketStreamClient(VENUE["stream"], on_message=lambda _, text: heard.put(text), is_combined=True)
    seen: dict[str, int] = {}
    acknowledged, listed = 0, []
    try:
        client.subscribe(stream=["btcusdt@trade", "ethusdt@bookTicker"], id=1)
        client.mini_ticker(symbol="btcusdt", id=2)
        client.list_subscribe(id=3)
        while len(seen) < 3 or acknowledged < 3:
            message = json.loads(heard.get(timeout=PATIENCE_S))
            if "stream" in message:
                seen[message["stream"]] = seen.get(message["stream"], 0) + 1
            else:
                acknowledged += 1
                listed = message["result"] or listed
    finally:
        client.stop()
    return {"heard": sorted(seen), "listed": sorted(listed)}


def history(client: Spot) -> dict[str, Any]:
    """Walk klines by start time and trades by id."""
    start, opens = int(time.time() * 1000) - 3_000 * 60_000, []
    while page := client.klines("ETHUSDT", "1m", startTime=start, limit=1000):
        opens += [row[0] for row in page]
        start = page[-1][0] + 1
    first = client.agg_trades("BTCUSDT", fromId=1, limit=5)
    second = client.agg_trades("BTCUSDT", fromId=first[-1]["a"] + 1, limit=5)
    return {
        "klines": len(opens),
        "step_ms": sorted({b - a for a, b in pairwise(opens)}),
        "trade_ids": [row["a"] for row in first + second],
    }


def orders(client: Spot) -> dict[str, Any]:
    """The life of two orders over REST, and what the user data subscription tells of it."""
    heard: queue.Queue[str] = queue.Queue()
    user = SpotWebsocketAPIClient(VENUE["ws_api"], VENUE["key"], VENUE["secret"], lambda _, text: heard.put(text))
    try:
        signed = websocket_api_signature(VENUE["key"], VENUE["secret"], {"timestamp": get_timestamp()})
        user.send({"id": get_uuid(), "method": "userDataStream.subscribe.signature", "params": signed})
        subscribed = json.loads(heard.get(timeout=PATIENCE_S))
        bid = float(client.book_ticker("ETHUSDT")["bidPrice"])
        order = {"symbol": "ETHUSDT", "side": "BUY", "quantity": 0.5}
        placed = client.new_order(**order, type="LIMIT", timeInForce="GTC", price=round(bid * 0.9, 2))
        canceled = client.cancel_order("ETHUSDT", orderId=placed["orderId"])
        bought = client.new_order(**order, type="MARKET")
        user.new_order("ETHUSDT", "SELL", "MARKET", quantity=0.2, newOrderRespType="RESULT", id="over-ws")
        reports, over_ws = [], None
        while over_ws is None or len(reports) < 6:
            message = json.loads(heard.get(timeout=PATIENCE_S))
            event = message.get("event", {})
            if event.get("e") == "executionReport":
                reports.append([event["x"], event["X"]])
            elif message.get("id") == "over-ws":
                over_ws = message["result"]["status"]
    finally:
        user.stop()
    return {
        "subscription": subscribed["result"]["subscriptionId"],
        "placed": placed["status"],
        "canceled": canceled["status"],
        "bought": bought["status"],
        "over_ws": over_ws,
        "reports": reports,
        "fills": sum(float(fill["qty"]) for fill in client.my_trades("ETHUSDT") if fill["isBuyer"]),
    }


def order_lists(client: Spot) -> dict[str, Any]:
    """A pair around the market, told by the user data subscription, whose orders share one balance."""
    heard: queue.Queue[str] = queue.Queue()
    user = SpotWebsocketAPIClient(VENUE["ws_api"], VENUE["key"], VENUE["secret"], lambda _, text: heard.put(text))
    try:
        signed = websocket_api_signature(VENUE["key"], VENUE["secret"], {"timestamp": get_timestamp()})
        user.send({"id": get_uuid(), "method": "userDataStream.subscribe.signature", "params": signed})
        heard.get(timeout=PATIENCE_S)
        price = float(client.book_ticker("ETHUSDT")["bidPrice"])
        pair = client.sign_request(
            "POST",
            "/api/v3/orderList/oco",
            {
                "symbol": "ETHUSDT",
                "side": "SELL",
                "quantity": 0.1,
                "aboveType": "TAKE_PROFIT",
                "aboveStopPrice": round(price * 1.5, 2),
                "belowType": "STOP_LOSS",
                "belowStopPrice": round(price * 0.5, 2),
            },
        )
        locked = next(each["locked"] for each in client.account()["balances"] if each["asset"] == "ETH")
        listed = client.get_oco_open_orders()
        client.cancel_oco_order("ETHUSDT", orderListId=pair["orderListId"])
        told: list[str] = []
        while told[-1:] != ["ALL_DONE"]:
            event = json.loads(heard.get(timeout=PATIENCE_S)).get("event", {})
            told += [event.get("x") or event["l"]] if event.get("e") in ("executionReport", "listStatus") else []
    finally:
        user.stop()
    return {
        "types": [report["orderListId"] == pair["orderListId"] for report in pair["orderReports"]],
        "locked": float(locked),
        "listed": len(listed),
        "told": told,
    }


def refusals(client: Spot) -> list[list[int]]:
    """What the client makes of the venue's errors."""
    attempts = [
        lambda: client.depth("NOPE"),
        lambda: client.get_order("ETHUSDT", orderId=10**9),
        lambda: client.cancel_order("ETHUSDT", orderId=10**9),
        lambda: client.new_order("ETHUSDT", "BUY", "LIMIT", timeInForce="GTC", quantity=0.5, price=100.001),
        lambda: Spot(VENUE["key"], "wrong", base_url=VENUE["rest"]).account(),
    ]
    found = []
    for attempt in attempts:
        try:
            attempt()
        except ClientError as error:
            found.append([error.status_code, error.error_code])
    return found


def main() -> dict[str, Any]:
    """Everything that a user of the client would do."""
    client = Spot(VENUE["key"], VENUE["secret"], base_url=VENUE["rest"], show_limit_usage=False)
    signer = Spot(VENUE["key"], base_url=VENUE["rest"], private_key=VENUE["ed25519_key"])
    return {
        "streams": streams(),
        "history": history(client),
        "orders": orders(client),
        "order_lists": order_lists(client),
        "refusals": refusals(client),
        "ed25519": signer.account()["accountType"],
    }


print(json.dumps(main()))
