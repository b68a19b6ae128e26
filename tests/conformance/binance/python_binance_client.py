"""python-binance, unmodified, against a paper venue: run by its own interpreter with the venue's addresses as JSON."""

import asyncio
import json
import sys
from itertools import pairwise
from typing import Any

from binance import AsyncClient, BinanceSocketManager
from binance.exceptions import BinanceAPIException

VENUE = json.loads(sys.argv[1])


class LocalClient(AsyncClient):
    """The client with the venue's addresses in place of Binance's."""

    API_URL = VENUE["rest"] + "/api"
    WS_API_URL = VENUE["ws_api"]


class LocalSockets(BinanceSocketManager):
    """The sockets with the venue's address in place of Binance's."""

    STREAM_URL = VENUE["stream"] + "/"


async def streams(sockets: BinanceSocketManager) -> dict[str, Any]:
    """Receive from a combined socket of five streams until each has spoken."""
    names = ["btcusdt@trade", "btcusdt@bookTicker", "ethusdt@depth@100ms", "btcusdt@kline_1m", "ethusdt@aggTrade"]
    seen: dict[str, list[Any]] = {name: [] for name in names}
    async with sockets.multiplex_socket(names) as socket, asyncio.timeout(30):
        while any(len(rows) < 2 for rows in seen.values()):
            message = await socket.recv()
            seen[message["stream"]].append(message["data"])
    trades, diffs = seen["btcusdt@trade"], seen["ethusdt@depth@100ms"]
    return {
        "heard": sorted(name for name, rows in seen.items() if rows),
        "trade_ids_contiguous": all(b["t"] == a["t"] + 1 for a, b in pairwise(trades)),
        "depth_contiguous": all(b["U"] == a["u"] + 1 for a, b in pairwise(diffs)),
    }


async def history(client: AsyncClient) -> dict[str, Any]:
    """Two days of minutes through the client's own paging, which asks for the first kline ever before it starts."""
    rows = await client.get_historical_klines("BTCUSDT", "1m", "2 days ago UTC")
    opens = [row[0] for row in rows]
    return {
        "klines": len(rows),
        "distinct": len(set(opens)),
        "step_ms": sorted({b - a for a, b in pairwise(opens)}),
        "width": len(rows[0]),
    }


async def orders(client: AsyncClient, sockets: BinanceSocketManager) -> dict[str, Any]:
    """A limit order that rests, is found and cancelled; a market order that fills; a refusal; all of it reported."""
    events: list[dict[str, Any]] = []
    async with sockets.user_socket() as user, asyncio.timeout(30):
        ticker = await client.get_orderbook_ticker(symbol="BTCUSDT")
        price = f"{float(ticker['bidPrice']) * 0.9:.2f}"
        placed = await client.order_limit_buy(symbol="BTCUSDT", quantity="0.01", price=price, newClientOrderId="rest-1")
        found = await client.get_order(symbol="BTCUSDT", origClientOrderId="rest-1")
        waiting = await client.get_open_orders(symbol="BTCUSDT")
        canceled = await client.cancel_order(symbol="BTCUSDT", orderId=placed["orderId"])
        bought = await client.order_market_buy(symbol="BTCUSDT", quantity="0.02", newClientOrderId="rest-1")
        over_ws = await client.ws_create_order(symbol="BTCUSDT", side="SELL", type="MARKET", quantity="0.01")
        while sum(event["e"] == "executionReport" for event in events) < 6:
            events.append(await user.recv())
    try:
        await client.order_limit_buy(symbol="BTCUSDT", quantity="0.00001", price=price)
        refusal = None
    except BinanceAPIException as error:
        refusal = [error.status_code, error.code, error.message]
    account = await client.get_account()
    fills = await client.get_my_trades(symbol="BTCUSDT")
    return {
        "placed": placed["status"],
        "found": found["status"],
        "waiting": [order["clientOrderId"] for order in waiting],
        "canceled": [canceled["status"], canceled["origClientOrderId"]],
        "bought": [bought["status"], bought["executedQty"], len(bought["fills"]) > 0],
        "over_ws": over_ws["status"],
        "reports": [[e["x"], e["X"]] for e in events if e["e"] == "executionReport"],
        "balances_told": any(event["e"] == "outboundAccountPosition" for event in events),
        "refusal": refusal,
        "btc": next(float(b["free"]) for b in account["balances"] if b["asset"] == "BTC"),
        "bought_in_fills": sum(float(fill["qty"]) for fill in fills if fill["isBuyer"]),
        "all_orders": len(await client.get_all_orders(symbol="BTCUSDT")),
    }


async def order_lists(client: AsyncClient) -> dict[str, Any]:
    """A pair around the market that is found and cancelled, an amended order, a maker's order, a trailing stop."""
    ticker = await client.get_orderbook_ticker(symbol="BTCUSDT")
    price = float(ticker["bidPrice"])
    high, low, far = (f"{price * factor:.2f}" for factor in (1.5, 0.5, 0.4))
    pair = await client.create_oco_order(
        symbol="BTCUSDT",
        side="SELL",
        quantity="0.01",
        aboveType="LIMIT_MAKER",
        abovePrice=high,
        belowType="STOP_LOSS_LIMIT",
        belowStopPrice=low,
        belowPrice=far,
        belowTimeInForce="GTC",
    )
    waiting = await client.get_open_oco_orders()
    canceled = await client.v3_delete_order_list(symbol="BTCUSDT", orderListId=pair["orderListId"])
    maker = await client.create_order(
        symbol="BTCUSDT", side="BUY", type="LIMIT_MAKER", quantity="0.03", price=low, newOrderRespType="RESULT"
    )
    amended = await client._put(
        "order/amend/keepPriority",
        True,
        data={"symbol": "BTCUSDT", "orderId": maker["orderId"], "newQty": "0.02"},
        version=client.PRIVATE_API_VERSION,
    )
    trailing = await client.create_order(
        symbol="BTCUSDT", side="BUY", type="STOP_LOSS", quantity="0.01", trailingDelta=2000, newOrderRespType="RESULT"
    )
    return {
        "pair": [pair["contingencyType"], [report["type"] for report in pair["orderReports"]]],
        "waiting": [each["orderListId"] for each in waiting] == [pair["orderListId"]],
        "canceled": [canceled["listOrderStatus"], [report["status"] for report in canceled["orderReports"]]],
        "maker": [maker["type"], maker["status"]],
        "amended": [amended["amendedOrder"]["qty"], amended["amendedOrder"]["orderId"] == maker["orderId"]],
        "trailing": [trailing["trailingDelta"], trailing["status"]],
    }


async def ed25519() -> str:
    """The same account through a client that signs with the Ed25519 key."""
    client = await LocalClient.create(VENUE["key"], private_key=VENUE["ed25519_key"])
    try:
        account = await client.get_account()
    finally:
        await client.close_connection()
    return str(account["accountType"])


async def main() -> dict[str, Any]:
    """Everything that a user of the client would do."""
    client = await LocalClient.create(VENUE["key"], VENUE["secret"])
    try:
        sockets = LocalSockets(client)
        info = await client.get_symbol_info("BTCUSDT")
        return {
            "filters": sorted(each["filterType"] for each in info["filters"]),
            "streams": await streams(sockets),
            "history": await history(client),
            "orders": await orders(client, sockets),
            "order_lists": await order_lists(client),
            "ed25519": await ed25519(),
        }
    finally:
        await client.close_connection()


print(json.dumps(asyncio.run(main())))
