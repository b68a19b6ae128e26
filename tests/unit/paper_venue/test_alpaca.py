"""Alpaca's words: times, pages, subscriptions, frames and keys, each on its own."""

import base64
from datetime import UTC, datetime

import msgpack
import msgspec
import numpy as np
import pytest
from builders.paper_venue import AAPL, BTC, INSTRUMENTS, MSFT, a_quote, a_trade, quotes_at
from hypothesis import given
from hypothesis import strategies as st

from services.paper_venue.alpaca.auth import Credentials
from services.paper_venue.alpaca.errors import ApiError, refusal
from services.paper_venue.alpaca.frames import Codec, Framer
from services.paper_venue.alpaca.listing import Listing
from services.paper_venue.alpaca.paging import Cursor, Span, first_page
from services.paper_venue.alpaca.subscriptions import Subscriptions
from services.paper_venue.alpaca.times import optional_rfc3339, parse_time, rfc3339, timestamps
from services.paper_venue.domain.ticks import Kind, Ticks
from services.paper_venue.rate_limit import RateLimit
from trading.errors import FailedPrecondition, InvalidArgument, Unavailable, UnknownSymbol
from trading.instruments import AssetClass
from trading.market import Bar
from trading.money import ONE

LISTING = Listing(INSTRUMENTS)
LATEST_SECOND = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())


@given(st.integers(0, LATEST_SECOND * 10**9))
def test_a_time_is_read_as_it_was_written(time_ns: int) -> None:
    assert parse_time(rfc3339(time_ns), "start") == time_ns


@given(st.lists(st.integers(0, LATEST_SECOND * 10**9), min_size=1, max_size=5))
def test_msgpack_timestamps_are_exact_to_the_nanosecond(times: list[int]) -> None:
    encoded = msgspec.msgpack.encode(timestamps(np.array(times, np.int64)))

    assert [moment.to_unix_nano() for moment in msgpack.unpackb(encoded)] == times


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("1970-01-02", 86_400 * 10**9),
        ("1970-01-01T00:00:01Z", 10**9),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T01:00:00.5 01:00", 5 * 10**8),
        ("1970-01-01T00:00:00.123456789Z", 123_456_789),
    ],
)
def test_customers_write_times_in_many_ways(text: str, time_ns: int) -> None:
    assert parse_time(text, "start") == time_ns


def test_what_is_no_time_is_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match="invalid until"):
        parse_time("soon", "until")


def test_what_has_not_happened_has_no_time() -> None:
    assert optional_rfc3339(None) is None


@given(
    times=st.dictionaries(st.sampled_from("ABC"), st.lists(st.integers(0, 9), max_size=12), max_size=3),
    limit=st.integers(1, 7),
    descending=st.booleans(),
    ends=st.tuples(st.integers(0, 9), st.integers(0, 9)),
)
def test_pages_together_are_all_rows_once_in_order(
    times: dict[str, list[int]], limit: int, descending: bool, ends: tuple[int, int]
) -> None:
    rows = {symbol: np.array(sorted(values), np.int64) for symbol, values in times.items()}
    span = Span(min(ends), max(ends), descending)

    def find(symbol: str, start_ns: int, end_ns: int) -> np.ndarray:
        return rows[symbol][(rows[symbol] >= start_ns) & (rows[symbol] <= end_ns)]

    collected: list[tuple[str, int]] = []
    cursor = None
    while True:
        page = first_page(list(rows), span, limit, cursor, find, lambda table: table, lambda table, cut: table[cut])
        on_page = [(symbol, int(time)) for symbol, table in page.tables.items() for time in table]
        assert len(on_page) <= limit
        collected += on_page
        if page.next is None:
            break
        cursor = Cursor.read(page.next.token())

    wanted = [(s, t) for s in sorted(rows) for t in sorted(rows[s].tolist(), reverse=descending)]
    assert collected == [(symbol, time) for symbol, time in wanted if span.start_ns <= time <= span.end_ns]


@pytest.mark.parametrize("token", ["?", "YWJj", base64.urlsafe_b64encode(b"A|x|1").decode()])
def test_a_token_of_somebody_else_is_refused(token: str) -> None:
    with pytest.raises(ApiError, match="invalid page_token"):
        Cursor.read(token)


@pytest.mark.parametrize("name", ["BTC-USDT", "BTC/USD", "btc/usd", "BTCUSD", "BTCUSDT"])
def test_instruments_are_found_by_any_name(name: str) -> None:
    assert LISTING.find(name) == BTC
    assert name in LISTING


def test_instruments_are_found_by_asset_id_and_unknown_ones_not() -> None:
    assert LISTING.find(LISTING.asset_id("AAPL")) == AAPL
    assert "NOPE" not in LISTING
    with pytest.raises(UnknownSymbol):
        LISTING.find("NOPE")


MIXED = Ticks.concat([a_quote(1, 2, 3, 4, 0), a_quote(1, 2, 3, 4, 1), a_trade(5, 6, 0), a_quote(1, 2, 3, 4, 2)])


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        ({"quotes": ["*"]}, [0, 1]),
        ({"quotes": ["MSFT"]}, [1]),
        ({"trades": ["AAPL"], "quotes": ["AAPL"]}, [0, 2]),
        ({"trades": ["MSFT"]}, []),
        ({"quotes": ["BTC/USD"]}, []),
        ({"bars": ["*"]}, []),
    ],
)
def test_subscriptions_select_their_rows_and_asset_class(wanted: dict[str, list[str]], rows: list[int]) -> None:
    subscriptions = Subscriptions(LISTING, AssetClass.EQUITY)
    subscriptions.change(wanted, subscribe=True)

    assert list(subscriptions.select(MIXED).rows()) == [list(MIXED.rows())[row] for row in rows]


def test_taking_everything_back_leaves_nothing() -> None:
    subscriptions = Subscriptions(LISTING, AssetClass.EQUITY)
    subscriptions.change({"bars": ["*"], "quotes": ["AAPL"]}, subscribe=True)
    assert not subscriptions.is_empty
    assert subscriptions.wants("bars", "MSFT")
    subscriptions.change({"bars": ["*"], "quotes": ["AAPL"]}, subscribe=False)

    assert subscriptions.is_empty
    assert not subscriptions.wants("bars", "MSFT")


def framer(asset_class: AssetClass) -> Framer:
    named = {instrument.symbol: LISTING.spelling(instrument.symbol) for instrument in INSTRUMENTS}
    return Framer(asset_class, list(named.values()), named)


def test_frames_keep_the_order_of_quotes_and_trades() -> None:
    stocks = Ticks.concat([a_trade(5, 6, 0, trade_id=9), a_quote(1.5, 2, 3, 4, 1), a_trade(5, 6, 0, trade_id=10)])
    messages = msgspec.json.decode(Codec.JSON.encode(framer(AssetClass.EQUITY).messages(stocks, Codec.JSON)))

    assert [(message["T"], message["S"]) for message in messages] == [("t", "AAPL"), ("q", "MSFT"), ("t", "AAPL")]
    assert [messages[0]["i"], messages[2]["i"]] == [9, 10]
    assert (messages[1]["bp"], messages[1]["bs"], messages[1]["as"]) == (1.5, 2, 4)


def test_coins_tell_the_takers_side_and_fractions() -> None:
    coin = Ticks.concat([a_trade(5, "0.25", 2, side=-1), a_trade(5, "0.25", 2, side=1)])
    messages = msgspec.json.decode(Codec.JSON.encode(framer(AssetClass.CRYPTO).messages(coin, Codec.JSON)))

    assert [(message["S"], message["s"], message["tks"]) for message in messages] == [
        ("BTC/USD", 0.25, "S"),
        ("BTC/USD", 0.25, "B"),
    ]


def test_both_codecs_say_the_same() -> None:
    ticks = quotes_at([1_700_000_000_123_456_000, 1_700_000_000_123_456_000, 1_700_000_001_000_000_000])
    text = msgspec.json.decode(Codec.JSON.encode(framer(AssetClass.EQUITY).messages(ticks, Codec.JSON)))
    packed = msgspec.msgpack.decode(Codec.MSGPACK.encode(framer(AssetClass.EQUITY).messages(ticks, Codec.MSGPACK)))

    for one, other in zip(text, packed, strict=True):
        assert parse_time(one.pop("t"), "t") == round(other.pop("t").timestamp() * 1e6) * 1_000
        assert one == other


def test_bars_of_a_recording_are_no_ticks() -> None:
    rows = Ticks.of(Kind.BAR, 0, np.zeros(2, np.int64))

    assert framer(AssetClass.EQUITY).messages(rows, Codec.JSON) == []


def test_a_bar_is_stamped_with_its_start() -> None:
    bar = Bar("BTC-USDT", "1m", 60 * 10**9, ONE, 3 * ONE, ONE, 2 * ONE, 1.5, 2 * ONE, 7, "paper")
    (frame,) = framer(AssetClass.CRYPTO).bars("b", [bar], Codec.JSON)

    assert (frame.S, frame.t, frame.h, frame.v, frame.n) == ("BTC/USD", "1970-01-01T00:01:00Z", 3.0, 1.5, 7)


@pytest.mark.parametrize(
    ("headers", "welcome"),
    [
        ({"apca-api-key-id": "K", "apca-api-secret-key": "S"}, True),
        ({"apca-api-key-id": "K"}, False),
        ({"apca-api-key-id": "K\x00S", "apca-api-secret-key": ""}, False),
        ({"authorization": "Basic " + base64.b64encode(b"K:S").decode()}, True),
        ({"authorization": "Basic \xff"}, False),
        ({"authorization": "Bearer S"}, False),
        ({}, False),
    ],
)
def test_only_the_key_and_its_secret_open_the_door(headers: dict[str, str], welcome: bool) -> None:
    assert Credentials("K", "S").match_headers(headers) is welcome


def test_a_new_minute_gives_a_new_allowance() -> None:
    now = [30.0]
    limit = RateLimit(2, lambda: now[0])
    assert [limit.take() for _ in range(3)] == [True, True, False]
    now[0] = 61.0

    assert limit.take()
    assert (limit.left, limit.ends_s, limit.left_s) == (1, 120, 59)


def test_refusals_keep_their_numbers_and_unforeseen_ones_are_500() -> None:
    poor = refusal(FailedPrecondition("no money", reason="INSUFFICIENT_BUYING_POWER", buying_power="1"))

    assert (poor.status, poor.body) == (403, {"code": 40310000, "message": "no money", "buying_power": "1"})
    assert refusal(Unavailable("gone")).status == 500


def test_listing_knows_index_and_spelling() -> None:
    assert LISTING.index("MSFT") == 1
    assert LISTING.spelling("BTC-USDT") == "BTC/USD"
    assert LISTING.find_all(["AAPL", "NOPE", "MSFT"]) == [AAPL, MSFT]
