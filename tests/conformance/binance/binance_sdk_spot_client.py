"""binance-sdk-spot, unmodified, against a paper venue: run by its own interpreter with the addresses as JSON."""

import asyncio
import json
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from binance_common.configuration import (
    ConfigurationRestAPI,
    ConfigurationWebSocketAPI,
    ConfigurationWebSocketStreams,
)
from binance_common.errors import BadRequestError
from binance_sdk_spot.spot import Spot

VENUE = json.loads(sys.argv[1])
PATIENCE_S = 30


def spot() -> Spot:
    """The client with the venue's addresses: REST signed by HMAC, the WebSocket API by the Ed25519 key."""
    return Spot(
        ConfigurationRestAPI(VENUE["key"], VENUE["secret"], base_path=VENUE["rest"]),
        ConfigurationWebSocketAPI(VENUE["key"], private_key=VENUE["ed25519_key"], stream_url=VENUE["ws_api"]),
        ConfigurationWebSocketStreams(stream_url=VENUE["stream"]),
    )


async def enough(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - the client calls back from many places, and sets no event
            await asyncio.sleep(0.02)


async def streams(client: Spot) -> dict[str, Any]:
    """Subscribe through the client's handles until each stream has spoken."""
    heard: dict[str, list[Any]] = {"trade": [], "bookTicker": [], "depth": [], "kline": []}
    connection = await client.websocket_streams.create_connection()
    try:
        handles = {
            "trade": await connection.trade(symbol="btcusdt"),
            "bookTicker": await connection.book_ticker(symbol="btcusdt"),
            "depth": await connection.diff_book_depth(symbol="ethusdt"),
            "kline": await connection.kline(symbol="btcusdt", interval="1m"),
        }
        for name, handle in handles.items():
            handle.on("message", heard[name].append)
        await enough(lambda: all(len(rows) > 1 for rows in heard.values()))
        for handle in handles.values():
            await handle.unsubscribe()
    finally:
        await connection.close_connection(close_session=True)
    depth = heard["depth"]
    return {
        "heard": sorted(heard),
        "trade_ids_contiguous": all(b.t == a.t + 1 for a, b in pairwise(heard["trade"])),
        "depth_contiguous": all(a.u + 1 == b.U for a, b in pairwise(depth)),
    }


def history(client: Spot) -> dict[str, Any]:
    """Klines page by page, trades by id."""
    newest = client.rest_api.klines("BTCUSDT", "1m", limit=1).data()[0][0]
    start, opens = newest - 2_499 * 60_000, []
    while page := client.rest_api.klines("BTCUSDT", "1m", start_time=start, end_time=newest, limit=1000).data():
        opens += [row[0] for row in page]
        start = page[-1][0] + 1
    trades = client.rest_api.agg_trades("BTCUSDT", from_id=1, limit=5).data()
    return {
        "klines": len(opens),
        "step_ms": sorted({b - a for a, b in pairwise(opens)}),
        "trade_ids": [trade.a for trade in trades],
    }


async def orders(client: Spot) -> dict[str, Any]:
    """Log on, subscribe to user data, trade on the same connection, read the account by REST."""
    events: list[Any] = []
    connection = await client.websocket_api.create_connection()
    try:
        await connection.session_logon()
        subscribed = await connection.user_data_stream_subscribe()
        subscribed.stream.on("message", events.append)
        bid = float(client.rest_api.ticker_book_ticker(symbol="ETHUSDT").data().actual_instance.bid_price)
        placed = await connection.order_place(
            symbol="ETHUSDT", side="BUY", type="LIMIT", time_in_force="GTC", quantity=0.5, price=round(bid * 0.9, 2)
        )
        number = placed.data().result.order_id
        canceled = await connection.order_cancel(symbol="ETHUSDT", order_id=number)
        bought = await connection.order_place(symbol="ETHUSDT", side="BUY", type="MARKET", quantity=0.5)
        over_rest = client.rest_api.new_order("ETHUSDT", "SELL", "MARKET", quantity=0.5).data()
        await enough(lambda: len(_reports(events)) >= 6)
        limits = placed.rate_limits if hasattr(placed, "rate_limits") else None
    finally:
        await connection.close_connection(close_session=True)
    return {
        "subscription": subscribed.response.data().result.subscription_id,
        "placed": number > 0,
        "limits_told": bool(limits),
        "canceled": canceled.data().result.status,
        "bought": bought.data().result.status,
        "over_rest": over_rest.status,
        "reports": [[report.x, report.X] for report in _reports(events)],
    }


def _reports(events: list[Any]) -> list[Any]:
    """The execution reports among the client's typed events."""
    return [e.actual_instance for e in events if type(e.actual_instance).__name__ == "ExecutionReport"]


def refusal(client: Spot) -> str:
    """What the client makes of an error."""
    try:
        client.rest_api.klines("NOPE", "1m")
    except BadRequestError as error:
        return str(error)
    return ""


async def main() -> dict[str, Any]:
    """Everything that a user of the client would do."""
    client = spot()
    return {
        "filters": len(client.rest_api.exchange_info(symbol="BTCUSDT").data().symbols[0].filters),
        "streams": await streams(client),
        "history": history(client),
        "orders": await orders(client),
        "refusal": refusal(client),
    }


print(json.dumps(asyncio.run(main())))
