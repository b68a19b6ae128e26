"""The Polygon protocol over real sockets: every frame as published, statuses, one connection per key, REST errors."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from servers import REPOSITORY
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

PATIENCE_S = 60
OPENAPI = REPOSITORY.parent / "shared" / "payloads" / "polygon" / "openapi"
SAMPLES = REPOSITORY.parent / "shared" / "payloads" / "polygon" / "rest"
CHANNELS = {"stocks": ("T", "Q", "A", "AM"), "crypto": ("XT", "XQ", "XAS", "XA")}


@pytest.fixture(scope="module")
def fast(open_venue: Any) -> Iterator[Any]:
    """A market of which a minute takes three seconds."""
    with open_venue("--speed", "60", "--symbols", "AAPL,MSFT,BTC-USDT") as running:
        yield running


@pytest.fixture
def polygon(venue: Any) -> dict[str, str]:
    return dict(venue.line["polygon"])


def hear(socket: ClientConnection) -> Any:
    return json.loads(socket.recv(timeout=PATIENCE_S))


def say(socket: ClientConnection, action: str, params: str) -> Any:
    socket.send(json.dumps({"action": action, "params": params}))
    return hear(socket)


@contextmanager
def opened(polygon: dict[str, str], market: str, *topics: str) -> Iterator[ClientConnection]:
    """A connection that is authenticated and subscribed."""
    with connect(f"{polygon['stream']}/{market}", proxy=None) as socket:
        assert [each["status"] for each in hear(socket)] == ["connected"]
        assert [each["status"] for each in say(socket, "auth", polygon["key"])] == ["auth_success"]
        if topics:
            assert {each["status"] for each in say(socket, "subscribe", ",".join(topics))} == {"success"}
        yield socket


def get(polygon: dict[str, str], path: str, headers: dict[str, str] | None = None, **query: Any) -> httpx.Response:
    shown = {"Authorization": f"Bearer {polygon['key']}"} if headers is None else headers
    with httpx.Client(trust_env=False, timeout=60) as client:
        return client.get(polygon["rest"] + path, params=query or None, headers=shown)


def ended(socket: ClientConnection) -> tuple[str, int]:
    """The last status before the connection ends, and the code that it ends with."""
    status = ""
    try:
        while True:
            status = next((each["status"] for each in hear(socket) if each["ev"] == "status"), status)
    except ConnectionClosed as closed:
        return status, closed.rcvd.code if closed.rcvd else 0


def published_schemas(market: str) -> dict[str, Draft202012Validator]:
    """The venue's own schema of each channel; what it names is required."""
    document = json.loads((OPENAPI / "websocket.json").read_text())
    found = {}
    for channel in CHANNELS[market]:
        content = document["paths"][f"/{market}/{channel}"]["get"]["responses"]["200"]["content"]
        found[channel] = Draft202012Validator(content["application/json"]["schema"])
    return found


def members(schema: dict[str, Any]) -> set[str]:
    """The names that a schema speaks of."""
    parts = [schema, *schema.get("allOf", [])]
    return {name for part in parts for name in part.get("properties", {})}


@pytest.mark.slow
@pytest.mark.skipif(not OPENAPI.exists(), reason="needs the venue's published schemas")
@pytest.mark.parametrize("market", CHANNELS)
def test_every_frame_validates_against_the_published_schema(fast: Any, market: str) -> None:
    schemas, heard = published_schemas(market), Counter[str]()
    with opened(fast.line["polygon"], market, *(f"{channel}.*" for channel in CHANNELS[market])) as socket:
        while set(heard) != set(CHANNELS[market]):
            for event in hear(socket):
                schemas[event["ev"]].validate(event)
                named = members(schemas[event["ev"]].schema) - {"trfi", "trft", "otc"}
                assert named <= set(event)
                heard[event["ev"]] += 1

    assert sum(heard.values()) > 100


def test_aggregates_are_what_the_trades_make(fast: Any) -> None:
    """Minutes and seconds against the trades of the same connection."""
    trades, seconds, minutes = defaultdict(list), {}, {}
    with opened(fast.line["polygon"], "crypto", "XT.BTC-USD", "XAS.BTC-USD", "XA.BTC-USD") as socket:
        while len(minutes) < 2:
            for event in hear(socket):
                if event["ev"] == "XT":
                    trades[event["t"] // 1_000].append(event)
                else:
                    (seconds if event["ev"] == "XAS" else minutes)[event["s"]] = event

    first, last = sorted(trades)[1], sorted(trades)[-1]
    checked = 0
    for start, bar in seconds.items():
        own = trades[start // 1_000]
        if first <= start // 1_000 < last:
            prices = [trade["p"] for trade in own]
            assert (bar["o"], bar["h"], bar["l"], bar["c"]) == (prices[0], max(prices), min(prices), prices[-1])
            assert float(bar.get("dv", bar["v"])) == pytest.approx(sum(trade["s"] for trade in own))
            checked += 1
    whole = max(minutes)
    of_minute = [trade for second in range(whole // 1_000, whole // 1_000 + 60) for trade in trades[second]]
    assert float(minutes[whole].get("dv", minutes[whole]["v"])) == pytest.approx(sum(t["s"] for t in of_minute))
    assert checked > 20


def test_sequence_numbers_grow_and_rest_tells_the_same_ones(polygon: dict[str, str]) -> None:
    with opened(polygon, "stocks", "T.AAPL") as socket:
        events = [event for _ in range(5) for event in hear(socket)]
    first, last = events[0], events[-1]
    path, numbers = "/v3/trades/AAPL", []
    answer = get(polygon, path, **{"timestamp.gte": (first["t"]) * 10**6, "order": "asc", "limit": 2}).json()
    while "next_url" in answer and last["q"] not in numbers:
        numbers += [row["sequence_number"] for row in answer["results"]]
        answer = get(polygon, answer["next_url"].removeprefix(polygon["rest"])).json()

    assert all(earlier["q"] < later["q"] for earlier, later in pairwise(events))
    assert {event["q"] for event in events} <= set(numbers)
    assert numbers == sorted(set(numbers))


def test_topics_are_acknowledged_one_by_one(polygon: dict[str, str]) -> None:
    with opened(polygon, "stocks") as socket:
        answers = say(socket, "subscribe", "LULD.AAPL, NOI.*,XT.BTC-USD,LULD.NOBODY")
        assert [(each["status"], each["message"]) for each in answers] == [
            ("success", "subscribed to: LULD.AAPL"),
            ("error", "not authorized: NOI.*"),
            ("error", "not authorized: XT.BTC-USD"),
            ("success", "subscribed to: LULD.NOBODY"),
        ]
        assert say(socket, "unsubscribe", "LULD.AAPL")[0]["message"] == "unsubscribed to: LULD.AAPL"
        assert say(socket, "dance", "")[0]["status"] == "error"
        socket.send("{")
        assert hear(socket)[0]["status"] == "error"
        assert say(socket, "auth", polygon["key"])[0]["status"] == "auth_success"


def test_a_stranger_is_told_and_cut_off(polygon: dict[str, str]) -> None:
    with connect(f"{polygon['stream']}/stocks", proxy=None) as socket:
        hear(socket)
        assert say(socket, "subscribe", "T.*")[0] == {"ev": "status", "status": "error", "message": "not authorized"}
        socket.send(json.dumps({"action": "auth", "params": "nobody"}))
        assert ended(socket) == ("auth_failed", 1008)


def test_a_silent_stranger_times_out(open_venue: Any) -> None:
    with (
        open_venue("--auth-timeout-s", "0.2", "--symbols", "AAPL") as hasty,
        connect(f"{hasty.line['polygon']['stream']}/stocks", proxy=None) as socket,
    ):
        hear(socket)
        assert ended(socket) == ("auth_timeout", 1008)


def test_a_second_connection_of_a_market_ends_the_first(polygon: dict[str, str]) -> None:
    with opened(polygon, "stocks") as older, opened(polygon, "crypto") as other, opened(polygon, "stocks") as newer:
        assert ended(older) == ("max_connections", 1008)
        assert say(newer, "subscribe", "LULD.*")[0]["status"] == "success"
        assert say(other, "unsubscribe", "XT.*")[0]["status"] == "success"


def test_the_streams_answer_at_the_root_too(polygon: dict[str, str]) -> None:
    root = polygon | {"stream": polygon["stream"].removesuffix("/polygon")}
    with opened(root, "crypto", "XQ.*") as socket:
        assert hear(socket)[0]["ev"] == "XQ"


@pytest.mark.slow
def test_who_does_not_read_is_a_slow_consumer(open_venue: Any) -> None:
    flags = ("--quote-rate", "5000", "--outbox-frames", "8", "--symbols", "AAPL,MSFT,NVDA,TSLA")
    with open_venue(*flags) as running, opened(running.line["polygon"], "stocks", "Q.*", "T.*") as socket:
        while running.stats()["connections"]:
            pass  # nothing is read until the venue has given the connection up
        with pytest.raises(ConnectionClosed):
            listen(socket)


def listen(socket: ClientConnection) -> None:
    """Read to the end."""
    while True:
        hear(socket)


def test_keys_are_shown_as_header_or_parameter(polygon: dict[str, str]) -> None:
    path = "/v1/marketstatus/now"

    assert get(polygon, path).json()["market"] == "open"
    assert get(polygon, path, headers={}, apiKey=polygon["key"]).status_code == 200
    for headers in ({}, {"Authorization": "Bearer nobody"}, {"Authorization": polygon["key"]}):
        refused = get(polygon, path, headers=headers)
        assert (refused.status_code, refused.json()["error"]) == (401, "Unknown API Key")


@pytest.mark.parametrize(
    ("path", "status", "word"),
    [
        ("/v2/last/trade/NOPE", 404, "NOT_FOUND"),
        ("/v3/reference/tickers/NOPE", 404, "NOT_FOUND"),
        ("/v2/last/nbbo/O:SPY251219C00650000", 403, "NOT_AUTHORIZED"),
        ("/v2/snapshot/locale/global/markets/forex/tickers", 403, "NOT_AUTHORIZED"),
        ("/v2/aggs/ticker/AAPL/range/1/moment/2024-01-01/2024-01-02", 400, "ERROR"),
        ("/v3/reference/tickers?cursor=%21", 400, "ERROR"),
    ],
)
def test_refusals_have_the_venues_shape(polygon: dict[str, str], path: str, status: int, word: str) -> None:
    refused = get(polygon, path)

    assert (refused.status_code, refused.json()["status"]) == (status, word)
    assert len(refused.json()["request_id"]) == 32


def test_too_many_calls_are_429_with_a_time_to_wait(open_venue: Any) -> None:
    with open_venue("--symbols", "AAPL", "--rate-limit", "2") as running:
        answers = [get(running.line["polygon"], "/v1/marketstatus/now") for _ in range(6)]

    refused = next(answer for answer in answers if answer.status_code == 429)  # a new minute may have begun
    assert refused.json()["error"].startswith("You've exceeded the maximum requests per minute")
    assert 0 < int(refused.headers["Retry-After"]) <= 60


def test_reference_tickers_are_filtered_and_paged(polygon: dict[str, str]) -> None:
    names, answer = [], get(polygon, "/v3/reference/tickers", limit=2, market="stocks").json()
    while True:
        names += [row["ticker"] for row in answer["results"]]
        if "next_url" not in answer:
            break
        assert polygon["key"] not in answer["next_url"]
        answer = get(polygon, answer["next_url"].removeprefix(polygon["rest"])).json()
    found = get(polygon, "/v3/reference/tickers", search="bitcoin").json()["results"]

    assert names == ["AAPL", "MSFT", "NVDA", "SPY", "TSLA"]
    assert [row["ticker"] for row in found] == ["X:BTCUSD"]
    assert get(polygon, "/v3/reference/tickers", active="false").json()["results"] == []
    assert get(polygon, "/v3/reference/tickers", **{"ticker.gt": "SPY", "type": "CS"}).json()["count"] == 1


@pytest.mark.skipif(not SAMPLES.exists(), reason="needs the venue's own sample answers")
@pytest.mark.parametrize(
    ("sample", "path", "absent"),
    [
        ("v2-last-nbbo-AAPL-15", "/v2/last/nbbo/AAPL", set()),
        ("v2-last-trade-AAPL-16", "/v2/last/trade/AAPL", {".results.r", ".results.f"}),
        ("v3-quotes-AAPL-23", "/v3/quotes/AAPL?limit=1", set()),
        ("v3-trades-AAPL-limit-2-40", "/v3/trades/AAPL?limit=2", {"correction", "trf_id", "trf_timestamp"}),
        ("v1-last-crypto-BTC-USD-05", "/v1/last/crypto/BTC/USD", set()),
        ("v1-marketstatus-now-07", "/v1/marketstatus/now", set()),
        ("v2-aggs-ticker-AAPL-prev-12", "/v2/aggs/ticker/AAPL/prev", set()),
        ("v2-aggs-grouped-locale-us-market-stocks-2005-04-04-adjusted-11", "grouped", set()),
        ("v2-aggs-ticker-AAPL-range-1-day-2005-04-01-2005-04-04-13", "range", set()),
        ("v2-snapshot-locale-us-markets-stocks-tickers-AAPL-20", "snapshot", {".fmv", ".lastTrade.c"}),
    ],
)
def test_answers_have_the_members_of_the_venues_own_samples(
    polygon: dict[str, str], sample: str, path: str, absent: set[str]
) -> None:
    today = datetime.now(UTC).date()
    friday = today - timedelta(days=(today.weekday() - 4) % 7 or 7)
    path = {
        "grouped": f"/v2/aggs/grouped/locale/us/market/stocks/{friday}",
        "range": f"/v2/aggs/ticker/AAPL/range/1/day/{friday - timedelta(days=9)}/{friday}",
        "snapshot": "/v2/snapshot/locale/us/markets/stocks/tickers/AAPL",
    }.get(path, path)
    with opened(polygon, "stocks", "T.AAPL") as socket:
        hear(socket)  # a trade has happened
    answer = get(polygon, path).json()
    missing = shape(json.loads((SAMPLES / f"{sample}.json").read_text())) - shape(answer)

    assert {name for name in missing if not any(name.endswith(word) for word in absent)} == set()


def shape(answer: Any, at: str = "") -> set[str]:
    """Every member of an answer; of a list the first element stands for all."""
    if isinstance(answer, list):
        return shape(answer[0], f"{at}[]") if answer and isinstance(answer[0], dict) else {at}
    if isinstance(answer, dict):
        return {at} | {found for name, value in answer.items() for found in shape(value, f"{at}.{name}")}
    return {at}
