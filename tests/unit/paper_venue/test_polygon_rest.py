"""Polygon's REST answers: windows, pages of histories, days, snapshots, refusals."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from builders.paper_venue import a_quote
from builders.polygon_floor import COINS, START_NS, Floor, ask, at, bars, follow
from hypothesis import given
from hypothesis import strategies as st

from services.paper_venue.polygon.errors import ApiError
from services.paper_venue.polygon.listing import Listing
from services.paper_venue.polygon.windows import Window, page_of
from trading.clock import DAY_NS, MINUTE_NS, SECOND_NS
from trading.instruments import AssetClass, Instrument


@pytest.fixture
def floor() -> Floor:
    return Floor()


def test_pages_of_aggregates_join_without_overlap_or_hole(floor: Floor) -> None:
    end_ms = START_NS // 10**6
    pages = follow(floor.aggregates.range, bars("1 minute", end_ms - 4 * 86_400_000, end_ms), limit=100)
    times = [row["t"] for page in pages for row in page]
    whole = ask(floor.aggregates.range, bars("1 minute", end_ms - 4 * 86_400_000, end_ms), limit=50_000)

    assert len(pages) > 3
    assert {len(page) for page in pages[:-1]} == {100}
    assert times == [row["t"] for row in whole["results"]]
    assert whole["queryCount"] == whole["resultsCount"] == whole["count"] == len(times)


def test_the_limit_counts_minutes_of_hours_and_no_hour_is_cut(floor: Floor) -> None:
    end_ms = START_NS // 10**6
    path = bars("1 hour", end_ms - 4 * 86_400_000, end_ms)
    pages = follow(floor.aggregates.range, path, limit=130)
    whole = ask(floor.aggregates.range, path, limit=50_000)["results"]

    assert max(len(page) for page in pages) <= 3  # 130 minutes; the first hour of a day has only thirty
    assert [row for page in pages for row in page] == whole


def test_descending_pages_are_the_ascending_ones_reversed(floor: Floor) -> None:
    path = bars("1 day", "2023-11-01", "2024-01-02")
    up = [row for page in follow(floor.aggregates.range, path, limit=9) for row in page]
    down = [row for page in follow(floor.aggregates.range, path, limit=9, sort="desc") for row in page]

    assert len(up) > 30
    assert down == up[::-1]


def test_an_empty_answer_has_no_results(floor: Floor) -> None:
    for path in (bars("1 day", "2019-01-01", "2019-02-01"), bars("1 day", "2024-01-01", "2024-01-02", "NOPE")):
        answer = ask(floor.aggregates.range, path)
        assert (answer["resultsCount"], answer["status"], "results" in answer) == (0, "OK", False)


def test_seconds_are_made_of_the_trades_that_are_remembered(floor: Floor) -> None:
    floor.say(at(10, 0.2, 100), at(12, 0.8, 300), at(11, 2.5, 50))
    answer = ask(floor.aggregates.range, bars("1 second", START_NS // 10**6, START_NS // 10**6 + 10_000))

    assert [(row["t"] - START_NS // 10**6, row["v"], row["n"]) for row in answer["results"]] == [
        (0, 400.0, 2),
        (2_000, 50.0, 1),
    ]
    assert answer["results"][0]["vw"] == 11.5


def test_minutes_in_which_nothing_traded_do_not_exist(floor: Floor) -> None:
    floor.say(a_quote(10, 100, 11, 100, 0, START_NS))
    floor.say(a_quote(10, 100, 11, 100, 0, START_NS + MINUTE_NS))
    answer = ask(floor.aggregates.range, bars("1 minute", START_NS // 10**6, START_NS // 10**6 + 60_000))

    assert answer["resultsCount"] == 0


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (bars("1 fortnight", "2024-01-01", "2024-01-02"), {}),
        (bars("0 day", "2024-01-01", "2024-01-02"), {}),
        (bars("1 day", "2024-01-03", "2024-01-02"), {}),
        (bars("1 day", "yesterday", "2024-01-02"), {}),
        (bars("1 day", "2024-13-01", "2024-01-02"), {}),
        (bars("1 day", "2024-01-01", "2024-01-02"), {"limit": 50_001}),
        (bars("1 day", "2024-01-01", "2024-01-02"), {"sort": "up"}),
    ],
)
def test_what_cannot_be_understood_is_400(floor: Floor, path: dict[str, str], query: dict[str, object]) -> None:
    with pytest.raises(ApiError) as refused:
        ask(floor.aggregates.range, path, **query)

    assert (refused.value.status, refused.value.body["status"]) == (400, "ERROR")


def test_the_previous_day_is_the_last_that_is_over_and_stamped_with_its_close() -> None:
    floor = Floor(START_NS + 60 * MINUTE_NS)  # one hour of today is in the history
    answer = ask(floor.aggregates.previous, {"ticker": "AAPL"})

    assert answer["results"][0]["T"] == "AAPL"
    assert answer["results"][0]["t"] == 1_704_142_800_000  # 2024-01-01 16:00 in New York


def test_the_whole_market_of_a_day_and_one_tickers_day_agree(floor: Floor) -> None:
    path = {"locale": "us", "market": "stocks", "date": "2023-12-29"}
    (row,) = ask(floor.aggregates.grouped, path)["results"]
    day = ask(floor.aggregates.open_close, {"ticker": "AAPL", "date": "2023-12-29"})

    assert [day["open"], day["high"], day["low"], day["close"], day["volume"]] == [row[key] for key in "ohlcv"]
    assert (day["from"], row["T"]) == ("2023-12-29", "AAPL")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ({"locale": "global", "market": "fx", "date": "2023-12-29"}, 403),
        ({"locale": "global", "market": "stocks", "date": "2023-12-29"}, 403),
        ({"locale": "us", "market": "stocks", "date": "Friday"}, 400),
    ],
)
def test_markets_that_are_not_carried_are_403(floor: Floor, path: dict[str, str], status: int) -> None:
    with pytest.raises(ApiError) as refused:
        ask(floor.aggregates.grouped, path)

    assert refused.value.status == status


def test_a_day_without_trading_is_404_and_a_foreign_class_403(floor: Floor) -> None:
    refusals = []
    for ticker in ("AAPL", "NOPE", "O:SPY251219C00650000"):
        with pytest.raises(ApiError) as refused:
            ask(floor.aggregates.open_close, {"ticker": ticker, "date": "2023-12-30"})
        refusals.append((refused.value.status, refused.value.body["status"]))

    assert refusals == [(404, "NOT_FOUND"), (404, "NOT_FOUND"), (403, "NOT_AUTHORIZED")]


def five_trades(floor: Floor) -> list[int]:
    """Trades at seconds 0, 0, 1, 2 and 3, in two chunks; returns their times."""
    floor.say(at(10, 0, trade_id=1), at(11, 0, trade_id=2), at(12, 1, trade_id=3))
    floor.say(at(13, 2, trade_id=4), at(14, 3, trade_id=5))
    return [START_NS + second * SECOND_NS for second in (0, 0, 1, 2, 3)]


def trades_of(floor: Floor, **query: object) -> list[str]:
    handler = _history(floor, "trades")
    return [row["id"] for page in follow(handler, {"ticker": "AAPL"}, **query) for row in page]


def _history(floor: Floor, name: str) -> Any:
    """The handler behind `/v3/<name>/{ticker}`."""
    handlers: dict[str, Any] = {}

    class Recorder:
        def route(self, path: str, handler: Any) -> Any:
            handlers[path] = handler

    floor.ticks.routes(Recorder())  # type: ignore[arg-type]
    return handlers[f"/v3/{name}/{{ticker}}"]


@pytest.mark.parametrize("limit", [1, 2, 3, 10])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_histories_of_ticks_join_over_pages_even_where_times_are_equal(floor: Floor, limit: int, order: str) -> None:
    five_trades(floor)
    ids = trades_of(floor, limit=limit, order=order)

    assert ids == (["1", "2", "3", "4", "5"] if order == "asc" else ["5", "4", "3", "2", "1"])


@pytest.mark.parametrize(
    ("conditions", "ids"),
    [
        ({"timestamp__gt": 0}, "345"),
        ({"timestamp__gte": 0, "timestamp__lt": 2}, "123"),
        ({"timestamp__gte": 1, "timestamp__lte": 2}, "34"),
        ({"timestamp": 0}, "12"),
        ({"timestamp__gt": 2, "timestamp__lt": 2}, ""),
    ],
)
def test_timestamps_filter_exactly(floor: Floor, conditions: dict[str, int], ids: str) -> None:
    five_trades(floor)
    query = {name: START_NS + second * SECOND_NS for name, second in conditions.items()}

    assert "".join(trades_of(floor, order="asc", **query)) == ids


def test_dates_and_times_filter_too(floor: Floor) -> None:
    five_trades(floor)

    assert len(trades_of(floor, timestamp="2024-01-02")) == 5
    assert len(trades_of(floor, timestamp__gte="2024-01-02T14:30:01Z")) == 3
    assert trades_of(floor, timestamp__gt="2024-01-02") == []


@pytest.mark.parametrize(
    "query",
    [{"timestamp": "soon"}, {"sort": "price"}, {"order": "up"}, {"limit": 0}, {"cursor": "x"}, {"cursor": "e30="}],
)
def test_histories_refuse_what_they_cannot_understand(floor: Floor, query: dict[str, object]) -> None:
    with pytest.raises(ApiError) as refused:
        ask(_history(floor, "quotes"), {"ticker": "AAPL"}, **query)

    assert refused.value.status == 400


def test_histories_carry_nanoseconds_and_the_positions_of_the_stream(floor: Floor) -> None:
    floor.say(a_quote(10, 250, 10.02, 500, 0, START_NS + 7), at(10.02, 1, trade_id=3))
    (quote,) = ask(_history(floor, "quotes"), {"ticker": "AAPL"})["results"]
    (trade,) = ask(_history(floor, "trades"), {"ticker": "AAPL"})["results"]

    assert (quote["sip_timestamp"], quote["bid_size"], quote["ask_size"], quote["sequence_number"]) == (
        START_NS + 7,
        2,
        5,
        1,
    )
    assert (trade["id"], trade["price"], trade["size"], trade["sequence_number"]) == ("3", 10.02, 100, 2)


def test_the_last_trade_and_quote_are_told_in_letters(floor: Floor) -> None:
    floor.say(a_quote(10, 200, 10.02, 300), at(10.01, 1, 100, trade_id=8), at(60_000.5, 2, 0.5, COINS, 9))
    trade = ask(floor.ticks.last_trade, {"ticker": "AAPL"})["results"]
    quote = ask(floor.ticks.last_quote, {"ticker": "AAPL"})["results"]
    coin = ask(floor.ticks.last_coin_trade, {"base": "BTC", "quote": "USD"})

    assert (trade["T"], trade["i"], trade["p"], trade["s"], trade["t"]) == ("AAPL", "8", 10.01, 100, START_NS + 10**9)
    assert (quote["p"], quote["s"], quote["P"], quote["S"]) == (10.0, 2, 10.02, 3)
    assert (coin["symbol"], coin["last"]["price"], coin["last"]["timestamp"]) == (
        "BTC-USD",
        60_000.5,
        START_NS // 10**6 + 2_000,
    )


def test_before_anything_happened_there_is_no_last_trade(floor: Floor) -> None:
    with pytest.raises(ApiError) as refused:
        ask(floor.ticks.last_trade, {"ticker": "AAPL"})

    assert refused.value.status == 404


def test_a_snapshot_compares_with_the_day_before(floor: Floor) -> None:
    floor.say(a_quote(110, 200, 110.02, 300, 0, START_NS), at(110, 1), at(112, 61))
    found = ask(floor.snapshots.one, {"locale": "us", "market": "stocks", "ticker": "AAPL"})["ticker"]

    assert found["todaysChange"] == pytest.approx(112 - found["prevDay"]["c"])
    assert found["todaysChangePerc"] == pytest.approx(100 * found["todaysChange"] / found["prevDay"]["c"])
    assert (found["day"]["o"], found["day"]["c"], found["min"]["c"], found["min"]["av"]) == (110, 112, 110, 200)
    assert (found["lastTrade"]["p"], found["lastQuote"]["P"], found["updated"]) == (112, 110.02, START_NS + 61 * 10**9)


def test_movers_are_split_by_direction(floor: Floor) -> None:
    floor.say(at(200, 1), at(1, 1, 1, COINS))
    gainers = ask(floor.snapshots.movers, {"locale": "us", "market": "stocks", "direction": "gainers"})
    losers = ask(floor.snapshots.movers, {"locale": "us", "market": "stocks", "direction": "losers"})
    coins = ask(floor.snapshots.movers, {"locale": "global", "market": "crypto", "direction": "losers"})

    assert [each["ticker"] for each in gainers["tickers"]] == ["AAPL"]
    assert losers["tickers"] == []
    assert [each["ticker"] for each in coins["tickers"]] == ["X:BTCUSD"]
    with pytest.raises(ApiError):
        ask(floor.snapshots.movers, {"locale": "us", "market": "stocks", "direction": "sideways"})


def test_snapshots_are_asked_for_by_name_and_belong_to_a_market(floor: Floor) -> None:
    us = {"locale": "us", "market": "stocks"}

    assert ask(floor.snapshots.all, us, tickers="AAPL,NOPE")["count"] == 1
    assert ask(floor.snapshots.all, us, tickers="NOPE")["tickers"] == []
    with pytest.raises(ApiError) as refused:
        ask(floor.snapshots.one, us | {"ticker": "X:BTCUSD"})
    assert refused.value.status == 404


@pytest.mark.parametrize(
    ("window", "asset_class", "moment", "start"),
    [
        ("5 minute", AssetClass.EQUITY, "2024-01-02T14:33:20", "2024-01-02T14:30:00"),
        ("4 hour", AssetClass.EQUITY, "2024-01-02T14:33:20", "2024-01-02T13:00:00"),
        ("4 hour", AssetClass.CRYPTO, "2024-01-02T14:33:20", "2024-01-02T12:00:00"),
        ("1 day", AssetClass.EQUITY, "2024-01-02T04:59:59", "2024-01-01T05:00:00"),
        ("1 week", AssetClass.EQUITY, "2024-01-06T12:00:00", "2023-12-31T05:00:00"),
        ("1 week", AssetClass.CRYPTO, "2024-01-07T00:00:00", "2024-01-07T00:00:00"),
        ("1 month", AssetClass.EQUITY, "2024-07-15T12:00:00", "2024-07-01T04:00:00"),
        ("1 quarter", AssetClass.CRYPTO, "2024-06-30T23:59:59", "2024-04-01T00:00:00"),
        ("1 year", AssetClass.EQUITY, "2024-06-30T00:00:00", "2024-01-01T05:00:00"),
    ],
)
def test_windows_begin_where_polygon_begins_them(window: str, asset_class: AssetClass, moment: str, start: str) -> None:
    count, span = window.split()
    found = Window.parse(count, span).start_of(_ns(moment), asset_class)

    assert found == _ns(start)


def _ns(text: str) -> int:
    return int(np.datetime64(text, "ns").astype(np.int64))


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=60).map(sorted),
    st.integers(1, 70),
    st.booleans(),
)
def test_a_page_is_never_empty_cuts_no_window_and_keeps_the_limit_where_it_can(
    windows: list[int], limit: int, descending: bool
) -> None:
    keys = np.array(windows, np.int64)
    cut = page_of(keys, limit, descending)
    page, left = keys[cut], np.concatenate([keys[: cut.start], keys[cut.stop :]])

    assert len(page) >= 1
    assert not set(page.tolist()) & set(left.tolist())
    assert len(page) <= limit or len(set(page.tolist())) == 1
    assert (cut.stop == len(keys)) if descending else (cut.start == 0)


def test_an_unlisted_coin_gets_names_of_its_own() -> None:
    """A market file may bring a pair that no catalogue knows."""
    (ticker,) = Listing((Instrument("XRP-ETH", AssetClass.CRYPTO),)).tickers

    assert (ticker.name, ticker.stream_name, ticker.currencies) == ("X:XRPETH", "XRP-ETH", ("XRP", "ETH"))


def test_days_of_history_step_by_whole_days_in_new_york(floor: Floor) -> None:
    """Between November and March no clock is changed, so steps are multiples of a day."""
    rows = ask(floor.aggregates.range, bars("1 day", "2023-11-10", "2024-01-01"))["results"]
    steps = {(later["t"] - earlier["t"]) % (DAY_NS // 10**6) for earlier, later in pairwise(rows)}

    assert steps == {0}
    assert rows[0]["t"] % (DAY_NS // 10**6) == 5 * 3_600_000
