"""Tables of the past through the gateway: bytes handed on, and questions refused."""

import httpx
import pytest
from integration.gateway.conftest import Gateway

from neuraltrader.market_data.v1 import market_data_service_pb2 as market_data
from trading.errors import DeadlineExceeded, InvalidArgument, ResourceExhausted, TradingError

pytestmark = pytest.mark.asyncio(loop_scope="module")
ARROW = "application/vnd.apache.arrow.stream"


async def test_bars_as_arrow_are_the_very_bytes_of_market_data(gateway: Gateway) -> None:
    answer = await gateway.http.get(
        "/v1/market-data/bars?symbols=AAPL,BTC/USD&start=5&end=9&interval=1h", headers={"Accept": ARROW}
    )

    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, ARROW, b"first and last")
    assert (answer.headers["x-rows"], answer.headers["x-truncated"]) == ("3", "true")
    (asked,) = gateway.fleet.script.heard(market_data.GetHistoricalRequest)
    assert (list(asked.symbols), asked.start_time_ns, asked.end_time_ns) == (["AAPL", "BTC/USD"], 5, 9)
    assert (asked.interval, asked.row_limit) == ("1h", 0)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (f"application/json;q=0.5, {ARROW}", ARROW),
        (f"{ARROW};q=0, */*", "application/json"),
        ("*/*", "application/json"),
        ("", "application/json"),
    ],
)
async def test_only_who_names_arrow_gets_it(gateway: Gateway, accept: str, content_type: str) -> None:
    answer = await gateway.http.get("/v1/market-data/bars?symbols=AAPL", headers={"Accept": accept})

    assert answer.headers["content-type"] == content_type


async def test_an_explicit_limit_bounds_an_arrow_answer_and_a_cursor_is_refused(gateway: Gateway) -> None:
    await gateway.http.get("/v1/market-data/bars?symbols=AAPL&limit=17", headers={"Accept": ARROW})
    refused = await gateway.http.get("/v1/market-data/bars?symbols=AAPL&cursor=x", headers={"Accept": ARROW})

    assert [asked.row_limit for asked in gateway.fleet.script.heard(market_data.GetHistoricalRequest)] == [17]
    assert (refused.status_code, refused.json()["errors"][0]["parameter"]) == (422, "cursor")


async def test_an_unknown_symbol_is_a_problem_before_the_first_byte(gateway: Gateway) -> None:
    answer = await gateway.http.get("/v1/market-data/bars?symbols=NOPE", headers={"Accept": ARROW})

    assert (answer.status_code, answer.json()["code"]) == (404, "UNKNOWN_SYMBOL")


async def test_a_table_that_breaks_off_is_never_mistaken_for_a_whole_one(gateway: Gateway) -> None:
    gateway.fleet.market_data.breaks_after = 1

    with pytest.raises(httpx.RemoteProtocolError):
        await gateway.http.get("/v1/market-data/bars?symbols=AAPL", headers={"Accept": ARROW})


@pytest.mark.parametrize(
    ("accept", "form", "content_type"),
    [
        ("application/json", market_data.HISTORY_FORMAT_JSON, "application/json"),
        (ARROW, market_data.HISTORY_FORMAT_ARROW, ARROW),
    ],
)
async def test_sql_is_answered_in_the_form_that_was_asked_for(
    gateway: Gateway, accept: str, form: int, content_type: str
) -> None:
    answer = await gateway.http.post(
        "/v1/market-data/query", json={"sql": "select 1", "limit": 5}, headers={"Accept": accept}
    )

    assert (answer.status_code, answer.headers["content-type"], answer.content) == (
        200,
        content_type,
        b"first and last",
    )
    assert (answer.headers["x-rows"], answer.headers["x-truncated"]) == ("2", "false")
    (asked,) = gateway.fleet.script.heard(market_data.QueryHistoryRequest)
    assert (asked.sql, asked.row_limit, asked.format) == ("select 1", 5, form)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidArgument("The query cannot run.", field="sql"), 422, "INVALID_ARGUMENT"),
        (ResourceExhausted("Too much.", reason="QUERY_MEMORY"), 429, "QUERY_MEMORY"),
        (DeadlineExceeded("Too slow."), 504, "DEADLINE_EXCEEDED"),
    ],
)
async def test_a_query_that_fails_says_how(gateway: Gateway, error: TradingError, status: int, code: str) -> None:
    gateway.fleet.script.refusals[market_data.QueryHistoryRequest] = error
    answer = await gateway.http.post("/v1/market-data/query", json={"sql": "select 1"})

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert [pointed["pointer"] for pointed in answer.json().get("errors", [])] == (["#/sql"] if status == 422 else [])


@pytest.mark.parametrize(
    "body", [{}, {"sql": ""}, {"sql": "x" * 16_385}, {"sql": "select 1", "limit": 100_001}, {"q": 1}]
)
async def test_a_query_that_breaks_the_contract_is_422(gateway: Gateway, body: dict[str, object]) -> None:
    assert (await gateway.http.post("/v1/market-data/query", json=body)).status_code == 422
