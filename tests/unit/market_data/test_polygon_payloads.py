"""The payloads that Polygon itself publishes and tests with are understood."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
from builders.market import a_coin, a_share
from servers import REPOSITORY

from services.market_data.adapters.polygon_assets import PolygonAssets
from services.market_data.adapters.polygon_columns import CoinColumns, StockColumns
from services.market_data.adapters.polygon_history import PolygonHistory
from services.market_data.adapters.polygon_messages import decode
from services.market_data.adapters.polygon_rest import PolygonRest, stream_name
from services.market_data.adapters.polygon_trades import PolygonTrades
from services.market_data.domain.feed import FeedRefused
from services.market_data.domain.trade_line import Mark
from trading.clock import ManualClock
from trading.errors import InvalidArgument, NotFound, ResourceExhausted, TradingError, Unavailable
from trading.market import Interval

PAYLOADS = REPOSITORY.parent / "shared" / "payloads" / "polygon"
recorded = pytest.mark.skipif(not PAYLOADS.exists(), reason="the recorded payloads are not on this machine")
FIRST = Mark("AAPL", "", 0)


def answering(*answers: httpx.Response) -> tuple[PolygonRest, list[httpx.Request]]:
    """The REST adapter on a transport that gives these answers in turn."""
    asked: list[httpx.Request] = []
    rest = iter(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return next(rest)

    client = httpx.AsyncClient(base_url="http://venue/mirror", transport=httpx.MockTransport(answer))
    return PolygonRest(client), asked


def body(prefix: str) -> bytes:
    (path,) = sorted((PAYLOADS / "rest").glob(f"{prefix}*"))[:1]
    return path.read_bytes()


def examples() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every stream's example in the published schema, by its path."""
    for path, operations in json.loads((PAYLOADS / "openapi" / "websocket.json").read_text())["paths"].items():
        for answer in operations["get"]["responses"].values():
            for content in answer.get("content", {}).values():
                if "example" in content:
                    yield path, content["example"]


@recorded
def test_every_published_stream_example_is_read_or_passed_over() -> None:
    known = {"/stocks/T": "MSFT", "/stocks/Q": "MSFT", "/crypto/XT": "BTC-USD", "/crypto/XQ": "BTC-USD"}
    seen = 0
    for path, example in examples():
        columns = (CoinColumns if path.startswith("/crypto") else StockColumns)("polygon", {known.get(path, "?"): "S"})
        messages, refused = decode(json.dumps([example]))
        assert refused == 0, path
        if path in known:
            columns.add(messages, 1)
            ticks = columns.drain()
            assert (ticks.count, ticks.refused) == (1, 0), path
            seen += 1
        elif not path.startswith(("/options", "/launchpad", "/business")):
            assert messages == [], path

    assert seen == 4


@recorded
async def test_recorded_trades_are_read_with_their_ids_and_nanoseconds() -> None:
    rest, asked = answering(httpx.Response(200, content=body("v3-trades-AAPL")))

    block = await PolygonTrades("polygon", rest, ManualClock(7)).trades(a_share(), FIRST, 50)

    assert block is not None
    assert block.trade_ids == ("183276", "183276")
    assert block.price_nanos.tolist() == [156_430_000_000, 157_430_000_000]
    assert block.event_time_ns.tolist() == [1_651_181_822_461_979_400] * 2
    assert block.receive_time_ns.tolist() == [7, 7]
    assert dict(asked[0].url.params) == {"timestamp.gte": "0", "order": "asc", "sort": "timestamp", "limit": "50"}


@recorded
async def test_recorded_daily_bars_are_read_exactly() -> None:
    rest, asked = answering(httpx.Response(200, content=body("v2-aggs-ticker-AAPL-range-1-day-2005-04-01")))

    found = await PolygonHistory("polygon", rest).bars([a_share()], Interval.ONE_DAY, 0, 2 * 10**18, 10)

    first, second = found["AAPL"]
    assert (first.timestamp_ns, first.open_nanos, first.close_nanos, first.trade_count, second.volume) == (
        1_112_331_600_000_000_000, 1_503_200_000, 1_460_400_000, 82_132, 578_172_308.0,
    )  # fmt: skip
    assert asked[0].url.path == "/mirror/v2/aggs/ticker/AAPL/range/1/day/0/1999999999999"
    assert asked[0].url.params["adjusted"] == "false"


@recorded
@pytest.mark.parametrize("prefix", ["v3-reference-tickers-AAPL-32", "v3-reference-tickers-AAPL-date"])
async def test_a_recorded_ticker_is_an_asset(prefix: str) -> None:
    rest, _ = answering(httpx.Response(200, content=body(prefix)))

    asset = await PolygonAssets(rest, ManualClock()).asset(a_share())

    assert asset is not None
    assert (asset.spelling, asset.name, asset.tradable) == ("AAPL", "Apple Inc.", True)


@recorded
def test_every_recorded_answer_is_json() -> None:
    paths = sorted((PAYLOADS / "rest").glob("*.json"))

    assert len(paths) > 40
    for path in paths:
        assert msgspec.json.decode(path.read_bytes()), path.name


def page(number: int, next_url: str | None) -> httpx.Response:
    bar = {"t": 60_000 * number, "o": 1, "h": 1, "l": 1, "c": 1, "v": 1}
    return httpx.Response(200, json={"results": [bar], "next_url": next_url})


async def test_pages_are_followed_on_our_own_base_whatever_host_they_name() -> None:
    following = "https://api.massive.com/v2/aggs/more?cursor=abc%3D&limit=1"
    rest, asked = answering(page(1, following), page(2, None))

    found = await PolygonHistory("polygon", rest).bars([a_share()], Interval.ONE_MINUTE, 0, 10**18, 10)

    assert len(found["AAPL"]) == 2
    assert str(asked[1].url) == "http://venue/mirror/v2/aggs/more?cursor=abc%3D&limit=1"


async def test_reading_stops_when_the_limit_is_reached() -> None:
    rest, asked = answering(page(1, "http://x/next?a=1"), page(2, "http://x/next?a=2"), page(3, None))

    found = await PolygonHistory("polygon", rest).bars([a_share()], Interval.ONE_MINUTE, 0, 10**18, 2)

    assert (len(found["AAPL"]), len(asked)) == (2, 2)


async def test_an_empty_answer_has_no_results_at_all() -> None:
    rest, _ = answering(httpx.Response(200, json={"status": "OK"}), httpx.Response(200, json={"status": "OK"}))

    assert await PolygonHistory("polygon", rest).bars([a_share()], Interval.ONE_DAY, 0, 10**18, 2) == {}
    assert await PolygonTrades("polygon", rest, ManualClock()).trades(a_share(), FIRST, 5) is None


async def test_a_ticker_of_another_market_or_a_dead_one_is_not_listed() -> None:
    coin = {"results": {"ticker": "AAPL", "market": "crypto"}}
    dead = {"results": {"ticker": "AAPL", "market": "stocks", "active": False}}
    rest, _ = answering(httpx.Response(200, json=coin), httpx.Response(200, json=dead))

    assert [await PolygonAssets(rest, ManualClock()).asset(a_share()) for _ in range(2)] == [None, None]


@pytest.mark.parametrize(("base", "name"), [("BTC", "BTC-USD"), ("USDC", "USDC-USD")])
def test_a_coin_is_streamed_under_its_pair(base: str, name: str) -> None:
    assert stream_name(a_coin(base)) == name


@pytest.mark.parametrize(
    ("answer", "failure", "says"),
    [
        (httpx.Response(401, json={"status": "ERROR", "error": "Unknown API Key"}), FeedRefused, "Unknown API Key"),
        (httpx.Response(403, json={"message": "You are not entitled"}), FeedRefused, "not entitled"),
        (httpx.Response(404, json={"status": "NOT_FOUND"}), NotFound, "404"),
        (httpx.Response(400, text="no json"), InvalidArgument, "no json"),
        (httpx.Response(500, text=""), Unavailable, "Internal Server Error"),
        (httpx.Response(200, text="<html>"), Unavailable, "unreadable answer"),
    ],
)
async def test_refusals_are_named(answer: httpx.Response, failure: type[TradingError], says: str) -> None:
    rest, _ = answering(answer)

    with pytest.raises(failure, match=says):
        await rest.get("/", dict[str, Any])


@pytest.mark.parametrize(("headers", "seconds"), [({"Retry-After": "7"}, 7.0), ({}, 12.0)])
async def test_too_many_questions_say_when_to_come_back(headers: dict[str, str], seconds: float) -> None:
    rest, _ = answering(httpx.Response(429, headers=headers, json={"error": "exceeded"}))

    with pytest.raises(ResourceExhausted) as refused:
        await rest.get("/", dict[str, Any])

    assert refused.value.metadata["retry_after_s"] == seconds
