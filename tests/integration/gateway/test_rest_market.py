"""Quotes, bars and instruments by REST, against real servers of the fleet's contracts."""

import pytest
from integration.gateway.conftest import Gateway, problem

from neuraltrader.market_data.v1 import market_data_service_pb2 as market_data

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_quote_in_any_spelling(gateway: Gateway) -> None:
    quote = (await gateway.http.get("/v1/market-data/quotes/AAPL")).json()
    assert (quote["bid"], quote["ask"], quote["ask_size"], quote["last_price"]) == (189.99, 190.01, 200.0, None)
    assert quote["timestamp_ns"] == "1760000000000000000"
    bitcoin = (await gateway.http.get("/v1/market-data/quotes/BTC%2FUSD")).json()
    assert (bitcoin["symbol"], bitcoin["bid"], bitcoin["bid_size"]) == ("BTC-USDT", None, None)


async def test_an_unknown_symbol_is_404(gateway: Gateway) -> None:
    problem(await gateway.http.get("/v1/market-data/quotes/NOSUCH"), 404, "UNKNOWN_SYMBOL")


async def test_a_symbol_without_a_quote_is_503_with_retry_after(gateway: Gateway) -> None:
    gateway.fleet.market_data.quotes.clear()
    answer = await gateway.http.get("/v1/market-data/quotes/AAPL")
    problem(answer, 503, "UNAVAILABLE")
    assert answer.headers["retry-after"] == "1"


async def test_bars_by_symbol_with_times_in_either_form(gateway: Gateway) -> None:
    query = {"symbols": "AAPL, BTC/USD", "start": "2025-01-01T00:00:00.000001Z", "end": "1760000000000000000"}
    page = (await gateway.http.get("/v1/market-data/bars", params=query | {"interval": "1d", "limit": 7})).json()
    assert page["bars"]["AAPL"][0]["volume"] == 1e10
    assert page["next_cursor"] is None
    (asked,) = gateway.fleet.script.heard(market_data.ListBarsRequest)
    assert asked.start_time_ns == 1_735_689_600_000_001_000
    assert (asked.end_time_ns, asked.interval, asked.page_size) == (1_760_000_000_000_000_000, "1d", 7)
    assert list(asked.symbols) == ["AAPL", "BTC/USD"]


async def test_bars_of_activity_are_asked_for_by_their_rule(gateway: Gateway) -> None:
    answer = await gateway.http.get("/v1/market-data/bars", params={"symbols": "AAPL", "interval": "tick-100"})
    assert answer.status_code == 200
    (asked,) = gateway.fleet.script.heard(market_data.ListBarsRequest)
    assert asked.interval == "tick-100"
    wrong = await gateway.http.get("/v1/market-data/bars", params={"symbols": "AAPL", "interval": "tick-0"})
    problem(wrong, 422, "INVALID_ARGUMENT")


async def test_the_rolling_windows_of_a_symbol(gateway: Gateway) -> None:
    found = (await gateway.http.get("/v1/market-data/windows/AAPL")).json()
    assert found == {
        "symbol": "AAPL",
        "windows": [{"name": "vwap:5m", "value": 190.25, "ticks": 7, "warm": True}],
        "as_of_ns": "1760000000000000000",
        "from_quotes": False,
    }
    problem(await gateway.http.get("/v1/market-data/windows/NOSUCH"), 404, "UNKNOWN_SYMBOL")


async def test_windows_before_the_first_tick_have_no_value(gateway: Gateway) -> None:
    gateway.fleet.market_data.quotes.clear()
    found = (await gateway.http.get("/v1/market-data/windows/AAPL")).json()
    assert (found["windows"][0]["value"], found["as_of_ns"]) == (None, None)


async def test_an_instrument_says_whether_it_can_be_traded_now(gateway: Gateway) -> None:
    apple, bitcoin = (await gateway.http.get("/v1/instruments")).json()["instruments"]
    facts = [apple[name] for name in ("trading_hours", "session_state", "session_open_ns", "session_close_ns")]
    assert facts == ["XNYS", "HALTED", "1760000000000000000", "1760023400000000000"]
    assert (bitcoin["session_state"], bitcoin["session_open_ns"]) == ("OPEN", None)


@pytest.mark.parametrize("start", ["yesterday", "9" * 19, "1815-06-18", "9999-12-31"])
async def test_a_moment_that_is_none_is_422(gateway: Gateway, start: str) -> None:
    answer = await gateway.http.get("/v1/market-data/bars", params={"symbols": "AAPL", "start": start})
    assert problem(answer, 422, "INVALID_ARGUMENT")["errors"][0]["parameter"] == "start"
