"""ccxt and ccxt.pro, unmodified, against a paper venue: run by their own interpreter with the addresses as JSON."""

import asyncio
import json
import sys
import time
from itertools import pairwise
from typing import Any

import ccxt.pro

VENUE = json.loads(sys.argv[1])
SYMBOL = "BTC/USDT"
PATIENCE_S = 30


def exchange() -> ccxt.pro.binance:
    """ccxt's binance for spot only, with the venue's addresses in place of Binance's."""
    made = ccxt.pro.binance(
        {
            "apiKey": VENUE["key"],
            "secret": VENUE["secret"],
            "options": {
                "fetchMarkets": {"types": ["spot"]},
                "fetchCurrencies": False,
                "fetchMargins": False,
                "defaultType": "spot",
            },
        }
    )
    made.urls["api"]["public"] = made.urls["api"]["private"] = VENUE["rest"] + "/api/v3"
    made.urls["api"]["ws"]["spot"] = VENUE["stream"] + "/ws"
    made.urls["api"]["ws"]["ws-api"]["spot"] = VENUE["ws_api"]
    return made


async def watched(client: ccxt.pro.binance) -> dict[str, Any]:
    """Trades, and a book that the client builds from a snapshot and differences."""
    async with asyncio.timeout(PATIENCE_S):
        trades = await client.watch_trades(SYMBOL)
        book = await client.watch_order_book(SYMBOL)
        for _ in range(5):
            book = await client.watch_order_book(SYMBOL)
        ticker = await client.watch_ticker(SYMBOL)
    best_first = book["bids"][0][0] > book["bids"][1][0] and book["asks"][0][0] < book["asks"][1][0]
    return {
        "trades": len(trades) > 0,
        "uncrossed": book["bids"][0][0] < book["asks"][0][0] and best_first,
        "ticker": ticker["last"] > 0,
    }


async def history(client: ccxt.pro.binance) -> dict[str, Any]:
    """Walk minutes by `since`, as ccxt's users do."""
    since, rows = int(time.time() * 1000) - 2_500 * 60_000, []
    while page := await client.fetch_ohlcv(SYMBOL, "1m", since, 1000):
        rows += page
        since = page[-1][0] + 1
    times = [row[0] for row in rows]
    return {"rows": len(rows), "step_ms": sorted({b - a for a, b in pairwise(times)})}


async def orders(client: ccxt.pro.binance) -> dict[str, Any]:
    """The life of two orders, watched."""
    reports: list[list[str]] = []

    async def watch() -> None:
        while ["closed", "market"] not in reports:
            reports.extend([order["status"], order["type"]] for order in await client.watch_orders(SYMBOL))

    watching = asyncio.create_task(watch())
    await asyncio.sleep(2)  # ccxt tells nobody when its user data subscription stands
    async with asyncio.timeout(PATIENCE_S):
        bid = (await client.fetch_order_book(SYMBOL, 5))["bids"][0][0]
        placed = await client.create_order(SYMBOL, "limit", "buy", 0.01, bid * 0.9)
        waiting = await client.fetch_open_orders(SYMBOL)
        canceled = await client.cancel_order(placed["id"], SYMBOL)
        bought = await client.create_order(SYMBOL, "market", "buy", 0.01)
        await watching
    try:
        await client.create_order(SYMBOL, "limit", "buy", 100, bid * 0.9)
        refusal = ""
    except ccxt.InsufficientFunds as error:
        refusal = type(error).__name__
    return {
        "placed": placed["status"],
        "waiting": len(waiting),
        "canceled": canceled["status"],
        "bought": bought["status"],
        "reports": reports,
        "refusal": refusal,
        "btc": (await client.fetch_balance())["BTC"]["total"],
        "trades": len(await client.fetch_my_trades(SYMBOL)) > 0,
    }


async def main() -> dict[str, Any]:
    """Everything that a user of the client would do."""
    client = exchange()
    try:
        markets = await client.load_markets()
        return {
            "markets": sorted(markets),
            "precision": markets[SYMBOL]["precision"]["price"],
            "watched": await watched(client),
            "history": await history(client),
            "orders": await orders(client),
        }
    finally:
        await client.close()


print(json.dumps(asyncio.run(main())))
