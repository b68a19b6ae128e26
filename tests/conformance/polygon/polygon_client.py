"""massive, or polygon-api-client under its older name, unmodified, against a paper venue.

Run by the client's own interpreter with the name of its package and the addresses as JSON.
"""

import asyncio
import importlib
import itertools
import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

PACKAGE = importlib.import_module(sys.argv[1])
VENUE = json.loads(sys.argv[2])
PATIENCE_S = 90
NOW = datetime.now(UTC)


async def stream(market: str, topics: list[str], wanted: set[str]) -> dict[str, Any]:
    """Subscribe, and listen until every kind of event has come."""
    feed = VENUE["stream"].removeprefix("ws://")
    client = PACKAGE.WebSocketClient(VENUE["key"], feed=feed, market=market, secure=False, subscriptions=topics[:1])
    client.subscribe(*topics[1:])
    heard: dict[str, list[Any]] = {}

    async def take(events: list[Any]) -> None:
        for event in events:
            heard.setdefault(event.event_type, []).append(event)
        if wanted <= set(heard):
            await client.close()

    await asyncio.wait_for(client.connect(take), PATIENCE_S)
    trades = heard.get("T") or heard["XT"]
    quotes = heard.get("Q") or heard["XQ"]
    return {
        "heard": sorted(heard),
        "names": sorted({getattr(trade, "symbol", None) or trade.pair for trade in trades}),
        "ids_grow": all(int(a.id) < int(b.id) for a, b in itertools.pairwise(trades)),
        "uncrossed": all(quote.bid_price < quote.ask_price for quote in quotes),
    }


async def is_refused() -> str:
    """What the client makes of a key that nobody has."""
    feed = VENUE["stream"].removeprefix("ws://")
    client = PACKAGE.WebSocketClient("nobody", feed=feed, market="stocks", secure=False, subscriptions=["T.*"])
    try:
        await asyncio.wait_for(client.connect(lambda events: asyncio.sleep(0)), PATIENCE_S)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "welcome"


def history(client: Any) -> dict[str, Any]:
    """Aggregates, trades and quotes over many pages each."""
    start = NOW - timedelta(days=2)
    minutes = [agg.timestamp for agg in client.list_aggs("X:BTCUSD", 1, "minute", start, NOW, limit=300)]
    hours = list(client.list_aggs("X:BTCUSD", 1, "hour", start, NOW, limit=300))
    days = list(client.list_aggs("AAPL", 1, "day", "2024-01-01", NOW.date(), sort="desc", limit=100))
    until = client.get_last_trade("AAPL").sip_timestamp
    trades = [trade.id for trade in client.list_trades("AAPL", timestamp_lte=until, order="asc", limit=3)]
    quotes = [quote.sequence_number for quote in itertools.islice(client.list_quotes("AAPL", limit=7), 50)]
    return {
        "minutes": len(minutes),
        "minute_steps_ms": sorted({b - a for a, b in itertools.pairwise(minutes)}),
        "hours": len(hours),
        "hours_traded": sum(hour.volume for hour in hours) > 0,
        "days": len(days),
        "days_fall": all(a.timestamp > b.timestamp for a, b in itertools.pairwise(days)),
        "trades": len(trades),
        "trades_distinct": len(set(trades)) == len(trades),
        "quotes_fall": all(a > b for a, b in itertools.pairwise(quotes)),
    }


def answers(client: Any) -> dict[str, Any]:
    """Every other answer, as the client's own models read it."""
    previous = client.get_previous_close_agg("AAPL")[0]
    day = datetime.fromtimestamp(previous.timestamp / 1000, UTC).date()
    opened = client.get_daily_open_close_agg("AAPL", day)
    quote = client.get_last_quote("AAPL")
    snapshot = client.get_snapshot_ticker("stocks", "AAPL")
    return {
        "close_agrees": previous.close == opened.close,
        "grouped": sorted(row.ticker for row in client.get_grouped_daily_aggs(day)),
        "last_trade": client.get_last_trade("AAPL").price > 0,
        "last_quote": quote.bid_price < quote.ask_price,
        "last_coin_trade": client.get_last_crypto_trade("BTC", "USD").size > 0,
        "snapshot": [snapshot.ticker, snapshot.prev_day.close == previous.close, snapshot.min.close > 0],
        "snapshots": sorted(each.ticker for each in client.get_snapshot_all("crypto")),
        "tickers": [ticker.ticker for ticker in client.list_tickers(limit=2)],
        "details": client.get_ticker_details("AAPL").name,
        "market": client.get_market_status().market,
    }


def refusals(client: Any) -> list[str]:
    """What the client makes of the venue's errors."""
    attempts = [
        lambda: client.get_ticker_details("NOPE"),
        lambda: client.get_last_quote("O:SPY251219C00650000"),
        lambda: client.get_aggs("AAPL", 1, "moment", "2024-01-01", "2024-01-02"),
        lambda: PACKAGE.RESTClient("nobody", base=VENUE["rest"]).get_last_trade("AAPL"),
    ]
    found = []
    for attempt in attempts:
        try:
            attempt()
        except PACKAGE.exceptions.BadResponse as error:
            found.append(json.loads(str(error))["status"])
    return found


async def main() -> dict[str, Any]:
    """Everything that a user of the client would do."""
    client = PACKAGE.RESTClient(VENUE["key"], base=VENUE["rest"])
    return {
        "stocks": await stream("stocks", ["T.AAPL", "T.MSFT", "Q.*", "A.*", "AM.*"], {"T", "Q", "A", "AM"}),
        "crypto": await stream("crypto", ["XT.BTC-USD", "XQ.*", "XAS.*", "XA.*"], {"XT", "XQ", "XAS", "XA"}),
        "stranger": await is_refused(),
        "history": history(client),
        "answers": answers(client),
        "refusals": refusals(client),
    }


print(json.dumps(asyncio.run(main())))
