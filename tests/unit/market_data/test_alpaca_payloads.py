"""The payloads that the venue's own SDK tests with are understood."""

from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from builders.market import a_coin, a_share
from servers import REPOSITORY

from services.market_data.adapters.alpaca_assets import AlpacaAssets
from services.market_data.adapters.alpaca_columns import AlpacaColumns
from services.market_data.adapters.alpaca_history import AlpacaHistory, feed_of
from services.market_data.adapters.alpaca_messages import decode
from services.market_data.adapters.alpaca_rest import AlpacaRest
from services.market_data.domain.feed import FeedRefused
from trading.clock import ManualClock
from trading.errors import InvalidArgument, ResourceExhausted, TradingError, Unavailable
from trading.market import Interval

PAYLOADS = REPOSITORY.parent / "shared" / "payloads" / "alpaca" / "alpaca-py-tests"
recorded = pytest.mark.skipif(not PAYLOADS.exists(), reason="the recorded payloads are not on this machine")
DAY = Interval.ONE_DAY


def answering(*answers: httpx.Response) -> tuple[AlpacaRest, list[httpx.Request]]:
    """The REST adapter on a transport that gives these answers in turn."""
    asked: list[httpx.Request] = []
    rest = iter(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return next(rest)

    client = httpx.AsyncClient(base_url="http://venue", transport=httpx.MockTransport(answer))
    return AlpacaRest(client), asked


def body(name: str) -> bytes:
    return (PAYLOADS / name).read_bytes()


def recorded_ticks(kind: str) -> list[Path]:
    return [path for path in PAYLOADS.glob(f"*{kind}*.json") if "option" not in path.name]


@recorded
@pytest.mark.parametrize(("members", "tag"), [("quotes", "q"), ("trades", "t")])
def test_every_recorded_tick_becomes_a_row(members: str, tag: str) -> None:
    seen = 0
    for path in recorded_ticks(members):
        rows_by_symbol = msgspec.json.decode(path.read_bytes()).get(members) or {}
        for symbol, rows in rows_by_symbol.items():
            rows = rows if isinstance(rows, list) else [rows]
            frame = msgspec.json.encode([row | {"T": tag, "S": symbol} for row in rows]).decode()
            columns = AlpacaColumns("alpaca", {symbol: symbol})
            columns.add(*_with_time(decode(frame)))
            ticks = columns.drain()
            assert (ticks.count, ticks.refused) == (len(rows), 0), path.name
            seen += len(rows)
    assert seen >= 4


def _with_time(decoded: tuple[list[Any], int]) -> tuple[list[Any], int, int]:
    messages, refused = decoded
    return messages, 1, refused


@recorded
async def test_recorded_daily_bars_are_read_exactly() -> None:
    last = msgspec.json.encode({"bars": {}, "next_page_token": None})
    rest, asked = answering(
        httpx.Response(200, content=body("test_historical_stock_data__test_get_bars__1.json")),
        httpx.Response(200, content=last),
    )

    found = await AlpacaHistory("alpaca", rest, "iex").bars([a_share()], DAY, 0, 2 * 10**18, 1_000)

    first = found["AAPL"][0]
    assert (len(found["AAPL"]), first.timestamp_ns, first.open_nanos) == (2, 1_643_691_600_000_000_000, 174_000_000_000)
    assert (first.vwap_nanos, first.volume, first.trade_count) == (173_703_516_000, 85_998_033.0, 732_412)
    assert "page_token" not in asked[0].url.params
    assert asked[1].url.params["page_token"] == "QUFQTHxEfDIwMjItMDItMDJUMDU6MDA6MDAuMDAwMDAwMDAwWg=="


@recorded
async def test_a_recorded_asset_is_read() -> None:
    rest, asked = answering(httpx.Response(200, content=body("test_asset_routes__test_get_asset__1.json")))

    asset = await AlpacaAssets(rest, ManualClock()).asset(a_share())

    assert asset is not None
    assert (asset.name, asset.tradable, asset.lot_nanos) == ("Apple Inc. Common Stock", True, None)
    assert asked[0].url.path == "/v2/assets/AAPL"


async def test_a_question_names_the_tape_the_range_and_the_limit() -> None:
    rest, asked = answering(httpx.Response(200, json={"bars": None, "next_page_token": None}))

    assert await AlpacaHistory("paper", rest, "iex").bars([a_share()], Interval.ONE_HOUR, 0, 10**9, 50_000) == {}
    assert dict(asked[0].url.params) == {
        "symbols": "AAPL", "timeframe": "1Hour", "start": "1970-01-01T00:00:00.000000000Z",
        "end": "1970-01-01T00:00:00.999999999Z", "sort": "asc", "adjustment": "raw", "feed": "iex", "limit": "10000",
    }  # fmt: skip


async def test_reading_stops_at_the_limit_even_when_there_is_more() -> None:
    bar = {"t": "2026-01-01T00:00:00Z", "o": 1, "h": 1, "l": 1, "c": 1.5, "v": 0}
    pages = [httpx.Response(200, json={"bars": {"AAPL": [bar] * 2, "?": []}, "next_page_token": "n"}) for _ in range(2)]
    rest, asked = answering(*pages)

    found = await AlpacaHistory("paper", rest, "").bars([a_share()], DAY, 0, 10**18, 4)

    assert len(found["AAPL"]) == 4
    assert [request.url.params["limit"] for request in asked] == ["4", "2"]
    assert found["AAPL"][0].vwap_nanos == 1_500_000_000


async def test_shares_and_coins_are_asked_at_their_own_addresses() -> None:
    empty = {"bars": {}, "next_page_token": None}
    rest, asked = answering(httpx.Response(200, json=empty), httpx.Response(200, json=empty))

    await AlpacaHistory("paper", rest, "iex").bars([a_share(), a_coin()], DAY, 0, 10**18, 10)

    questions = {request.url.path: request.url.params for request in asked}
    assert questions["/v2/stocks/bars"]["symbols"] == "AAPL"
    assert questions["/v1beta3/crypto/us/bars"]["symbols"] == "BTC/USD"
    assert "feed" not in questions["/v1beta3/crypto/us/bars"]


async def test_a_bar_with_an_unreadable_time_is_the_venue_s_fault() -> None:
    bar = {"t": "noon", "o": 1, "h": 1, "l": 1, "c": 1, "v": 0}
    rest, _ = answering(httpx.Response(200, json={"bars": {"AAPL": [bar]}}))

    with pytest.raises(Unavailable):
        await AlpacaHistory("paper", rest, "").bars([a_share()], DAY, 0, 10**18, 4)


async def test_a_coin_s_slash_is_escaped_in_the_path() -> None:
    asset = {"symbol": "BTC/USD", "class": "crypto", "tradable": True, "min_order_size": "0.0001", "price_increment": 1}
    rest, asked = answering(httpx.Response(200, json=asset))

    found = await AlpacaAssets(rest, ManualClock()).asset(a_coin())

    assert asked[0].url.raw_path == b"/v2/assets/BTC%2FUSD"
    assert found is not None
    assert (found.min_quantity_nanos, found.tick_nanos, found.lot_nanos) == (100_000, 10**9, None)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404, json={"code": 40410000, "message": "asset not found"}),
        httpx.Response(200, json={"symbol": "AAPL", "class": "us_option"}),
        httpx.Response(200, json={"symbol": "AAPL", "class": "us_equity", "status": "inactive"}),
    ],
)
async def test_an_asset_that_is_missing_retired_or_something_else_is_not_listed(answer: httpx.Response) -> None:
    rest, _ = answering(answer)

    assert await AlpacaAssets(rest, ManualClock()).asset(a_share()) is None


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (httpx.Response(401, json={"message": "unauthorized"}), FeedRefused, "401: unauthorized"),
        (httpx.Response(403, text="forbidden."), FeedRefused, "403: forbidden."),
        (httpx.Response(422, json={"code": 1, "message": "invalid symbol"}), InvalidArgument, "invalid symbol"),
        (httpx.Response(429, json={"message": "too many requests."}), ResourceExhausted, "too many"),
        (httpx.Response(503), Unavailable, "503: Service Unavailable"),
        (httpx.Response(200, text="<html>"), Unavailable, "unreadable"),
    ],
)
async def test_a_refusal_says_what_the_venue_said(answer: httpx.Response, error: type[TradingError], says: str) -> None:
    rest, _ = answering(answer)

    with pytest.raises(error, match=says):
        await rest.get("/v2/assets/AAPL", dict[str, Any])


@pytest.mark.parametrize(("header", "wait_s"), [({"retry-after": "7"}, 7.0), ({}, 3.0), ({"retry-after": "soon"}, 3.0)])
async def test_a_rate_limit_says_when_to_come_back(header: dict[str, str], wait_s: float) -> None:
    rest, _ = answering(httpx.Response(429, headers=header))

    with pytest.raises(ResourceExhausted) as limited:
        await rest.get("/", dict[str, Any])

    assert limited.value.metadata["retry_after_s"] == wait_s


async def test_a_venue_that_does_not_answer_is_unavailable() -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    client = httpx.AsyncClient(base_url="http://venue", transport=httpx.MockTransport(fail))

    with pytest.raises(Unavailable, match=r"http://venue.*refused"):
        await AlpacaRest(client).get("/", dict[str, Any])


@pytest.mark.parametrize(
    ("url", "feed"),
    [("wss://x/v2/iex", "iex"), ("wss://x/v2/sip/", "sip"), ("wss://x/v1beta3/crypto/us", ""), ("", "")],
)
def test_the_tape_is_named_by_the_stream_s_address(url: str, feed: str) -> None:
    assert feed_of(url) == feed
