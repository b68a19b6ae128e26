"""Binance's view of the market: contiguous trade ids, a book with its differences, klines, tickers."""

from itertools import pairwise
from typing import Any

import pytest
from builders.paper_venue import BTC, a_quote, a_trade, counted_ids, nanos
from hypothesis import given, settings
from hypothesis import strategies as st

from services.paper_venue.binance.book import Differences
from services.paper_venue.binance.data_api import DataApi
from services.paper_venue.binance.errors import ApiError
from services.paper_venue.binance.frames import Framer
from services.paper_venue.binance.klines import INTERVALS, end_of, start_of
from services.paper_venue.binance.limits import LimitRules, Limits
from services.paper_venue.binance.listing import Listing
from services.paper_venue.binance.params import Params
from services.paper_venue.binance.subscriptions import Stream, parse_stream
from services.paper_venue.binance.texts import TimeUnit
from services.paper_venue.domain.charts import Charts
from services.paper_venue.domain.exchange import Exchange, ExchangeRules
from services.paper_venue.domain.history import History
from services.paper_venue.domain.market import Batch, Market
from services.paper_venue.domain.tape import Tape
from services.paper_venue.domain.ticks import Ticks
from services.paper_venue.domain.touch import Slippage
from trading.clock import DAY_NS, MINUTE_NS, ManualClock

START_NS = 1_704_067_200 * 10**9  # 2024-01-01 00:00 UTC, a Monday
MILLISECOND = 1_000_000


class Floor:
    """A market of one coin and what Binance's customers are told of it."""

    def __init__(self) -> None:
        exchange = Exchange((BTC,), ExchangeRules(), counted_ids())
        history = History((BTC,), {BTC.symbol: nanos(100)}, 7, START_NS)
        self.market = Market(exchange, Tape(10_000), Charts((BTC,), history, 1_000))
        listing = Listing((BTC,))
        self.pair = listing.find("BTCUSDT")
        self.clock = ManualClock(START_NS)
        self.data = DataApi(self.market, listing, Slippage(), Limits(LimitRules()), self.clock)

    def say(self, ticks: Ticks) -> Batch:
        self.market.tape.load(ticks)
        return self.market.say(ticks, int(ticks.time_ns[-1]))

    def trade(self, price: float, at_ns: int, size: float = 1.0, side: int = 1) -> Batch:
        return self.say(a_trade(price, size, 0, START_NS + at_ns, side))

    def quote(self, bid: float, ask: float, size: float = 1.0) -> Batch:
        return self.say(a_quote(bid, size, ask, size, 0, START_NS))

    def stream(self, name: str) -> Stream:
        stream = parse_stream(name, self.data.listing)
        assert stream is not None
        return stream

    def ask(self, call: Any, **values: object) -> Any:
        return call(Params({name: str(value) for name, value in ({"symbol": "BTCUSDT"} | values).items()}))


@pytest.fixture
def floor() -> Floor:
    return Floor()


def test_trades_are_numbered_from_one_without_a_gap(floor: Floor) -> None:
    for second in range(5):
        floor.trade(100 + second, second * 10**9)

    rows = floor.ask(floor.data.trades, limit=3)
    assert [row["id"] for row in rows] == [3, 4, 5]
    assert rows[0]["price"] == "102.00000000"
    assert [row["a"] for row in floor.ask(floor.data.aggregate_trades, fromId=2, limit=2)] == [2, 3]
    assert [row["id"] for row in floor.ask(floor.data.historical_trades, fromId=4)] == [4, 5]


def test_aggregate_trades_are_found_by_time(floor: Floor) -> None:
    for second in range(5):
        floor.trade(100, second * 10**9)
    start_ms = START_NS // MILLISECOND + 1_000

    found = floor.ask(floor.data.aggregate_trades, startTime=start_ms, endTime=start_ms + 2_000)
    assert [row["a"] for row in found] == [2, 3, 4]
    with pytest.raises(ApiError, match="Combination"):
        floor.ask(floor.data.aggregate_trades, startTime=start_ms, fromId=1)


def test_a_seller_who_takes_makes_the_buyer_the_maker(floor: Floor) -> None:
    floor.trade(100, 0, side=-1)
    assert floor.ask(floor.data.trades)[0]["isBuyerMaker"] is True


def test_a_batch_is_told_once_and_with_its_ids(floor: Floor) -> None:
    floor.trade(100, 0)
    batch = floor.say(Ticks.concat([a_trade(101, 1, 0, START_NS + 1), a_trade(102, 2, 0, START_NS + 2)]))
    framer, stream = Framer(floor.data), floor.stream("btcusdt@trade")

    texts = framer.of_batch(stream, batch, TimeUnit.MILLISECOND)
    assert ['"t":2' in texts[0], '"t":3' in texts[1]] == [True, True]
    assert framer.of_batch(stream, batch, TimeUnit.MILLISECOND) is texts


def test_the_book_worsens_by_the_slippage_level_by_level(floor: Floor) -> None:
    floor.quote(100.00, 100.02, size=2)

    snapshot = floor.ask(floor.data.depth, limit=2)
    assert snapshot == {
        "lastUpdateId": 1,
        "bids": [["100.00000000", "2.00000000"], ["99.99000000", "2.00000000"]],
        "asks": [["100.02000000", "2.00000000"], ["100.03000000", "2.00000000"]],
    }


Moves = st.lists(st.tuples(st.integers(9_900, 9_930), st.integers(1, 30), st.booleans()), min_size=1, max_size=30)


@settings(max_examples=settings.default.max_examples * 3 // 5, deadline=None)
@given(moves=Moves, joins_after=st.integers(0, 30))
def test_a_snapshot_and_the_differences_after_it_are_the_book(
    moves: list[tuple[int, int, bool]], joins_after: int
) -> None:
    """Whatever the market does, and whenever the snapshot is taken, the customer's book is the venue's."""
    floor = Floor()
    floor.quote(99.0, 99.5)
    differences = Differences(floor.data.books, floor.pair)
    snapshot = floor.data.books.book(floor.pair)
    events = []
    for at, (bid, spread, tells) in enumerate(moves):
        differences.take(floor.quote(bid / 100, (bid + spread) / 100, size=1 + at).ticks)
        if at == joins_after:
            snapshot = floor.data.books.book(floor.pair)
        if tells and (event := differences.next()) is not None:
            events.append(event)
    events += [event for event in [differences.next()] if event is not None]

    sides = {name: dict(levels) for name, levels in (("b", snapshot.bids), ("a", snapshot.asks))}
    last = snapshot.version
    for first, until, changed in events:
        if until <= last:
            continue
        assert first <= last + 1
        for name, rows in changed.items():
            for price, quantity in rows:
                sides[name][nanos(price)] = nanos(quantity)
        last = until
    now = floor.data.books.book(floor.pair)
    assert last == now.version
    assert {p: q for p, q in sides["b"].items() if q} == now.bids
    assert {p: q for p, q in sides["a"].items() if q} == now.asks


def test_nothing_happened_is_no_difference(floor: Floor) -> None:
    floor.quote(100, 101)
    assert Differences(floor.data.books, floor.pair).next() is None


def test_the_newest_kline_is_still_in_the_making(floor: Floor) -> None:
    floor.trade(100, 0, size=2)
    floor.trade(104, 1_000_000_000)
    floor.trade(98, 2_000_000_000)

    *_, row = floor.ask(floor.data.klines, interval="1m")
    start_ms = START_NS // MILLISECOND
    assert row[:9] == [
        start_ms, "100.00000000", "104.00000000", "98.00000000", "98.00000000", "4.00000000",
        start_ms + 59_999, "402.00000000", 3,
    ]  # fmt: skip


def test_a_closed_minute_is_told_at_once_and_counted_once(floor: Floor) -> None:
    floor.trade(100, 0)
    batch = floor.trade(101, MINUTE_NS)
    framer = Framer(floor.data)

    texts = framer.of_batch(floor.stream("btcusdt@kline_1m"), batch, TimeUnit.MILLISECOND)
    assert len(texts) == 1
    assert '"x":true' in texts[0]
    assert '"f":1,"L":1' in texts[0]
    assert framer.of_batch(floor.stream("btcusdt@kline_5m"), batch, TimeUnit.MILLISECOND) == ()
    five = floor.ask(floor.data.klines, interval="5m", limit=1)[0]
    assert (five[1], five[4], five[8]) == ("100.00000000", "101.00000000", 2)


def test_klines_are_paged_by_their_start(floor: Floor) -> None:
    start_ms = (START_NS - 10 * MINUTE_NS) // MILLISECOND

    first = floor.ask(floor.data.klines, interval="1m", startTime=start_ms, limit=4)
    rest = floor.ask(floor.data.klines, interval="1m", startTime=first[-1][0] + 1, limit=1_000)
    opens = [row[0] for row in first + rest]
    assert opens == [start_ms + 60_000 * step for step in range(10)]
    assert floor.ask(floor.data.klines, interval="1m", startTime=start_ms, endTime=start_ms)[0][0] == start_ms


@pytest.mark.parametrize("name", INTERVALS)
def test_intervals_follow_one_another_without_gap_or_overlap(floor: Floor, name: str) -> None:
    length = INTERVALS[name]
    rows = floor.ask(floor.data.klines, interval=name, limit=20)

    assert all(after[0] == before[6] + 1 for before, after in pairwise(rows[1:]))
    start_ns = rows[-1][0] * MILLISECOND
    assert start_of(length, start_ns) == start_ns == start_of(length, end_of(length, start_ns) - 1)


def test_weeks_start_on_monday_and_months_on_the_first() -> None:
    assert start_of(INTERVALS["1w"], START_NS + 6 * DAY_NS) == START_NS
    assert start_of(INTERVALS["1M"], START_NS + 30 * DAY_NS) == START_NS
    assert end_of(INTERVALS["1M"], START_NS) == START_NS + 31 * DAY_NS


def test_an_interval_that_is_not_offered_is_refused(floor: Floor) -> None:
    with pytest.raises(ApiError) as refused:
        floor.ask(floor.data.klines, interval="7m")
    assert refused.value.code == -1120


@pytest.mark.parametrize("time", [10**15 - 1, 10**17])
def test_a_time_of_the_far_future_is_no_accident(floor: Floor, time: int) -> None:
    assert floor.ask(floor.data.klines, interval="1M", startTime=time) == []
    assert floor.ask(floor.data.aggregate_trades, startTime=0, endTime=time) == []


def test_tickers_tell_the_last_day(floor: Floor) -> None:
    floor.quote(103, 105)
    floor.trade(100, 0)
    floor.trade(104, 10**9, size=3)

    day = floor.ask(floor.data.ticker_day)
    assert (day["lastPrice"], day["lastQty"], day["bidPrice"], day["lastId"]) == (
        "104.00000000", "3.00000000", "103.00000000", 2,
    )  # fmt: skip
    assert day["count"] > 2
    assert floor.ask(floor.data.ticker_price) == {"symbol": "BTCUSDT", "price": "104.00000000"}
    assert floor.data.ticker_price(Params({})) == [{"symbol": "BTCUSDT", "price": "104.00000000"}]
    assert floor.ask(floor.data.average_price)["mins"] == 5


def test_a_market_that_has_said_nothing_answers_from_its_past(floor: Floor) -> None:
    assert floor.ask(floor.data.trades) == []
    assert floor.ask(floor.data.depth) == {"lastUpdateId": 0, "bids": [], "asks": []}
    assert float(floor.ask(floor.data.ticker_price)["price"]) == pytest.approx(100, rel=0.05)
    assert floor.ask(floor.data.time) == {"serverTime": START_NS // MILLISECOND}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("miniTicker", '"c":"100.00000000"'),
        ("ticker", '"b":"100.00000000"'),
        ("avgPrice", '"i":"5m"'),
        ("depth5", '"bids":[["100.00000000","1.00000000"]'),
        ("kline_1m", '"c":"100.00000000"'),
    ],
)
def test_streams_with_a_pace_of_their_own_speak(floor: Floor, name: str, said: str) -> None:
    floor.quote(100, 101)
    floor.trade(100, 0)

    text = Framer(floor.data).timed(floor.stream(f"btcusdt@{name}"), START_NS, TimeUnit.MILLISECOND)
    assert text is not None
    assert said in text


def test_a_book_ticker_counts_on_and_a_repetition_does_not(floor: Floor) -> None:
    framer, stream = Framer(floor.data), floor.stream("btcusdt@bookTicker")
    first = framer.of_batch(stream, floor.quote(100, 101), TimeUnit.MILLISECOND)
    second = framer.of_batch(stream, floor.quote(100, 102), TimeUnit.MILLISECOND)
    again = framer.of_batch(stream, floor.market.repeat(a_quote(100, 1, 102, 1), START_NS), TimeUnit.MILLISECOND)

    assert [text[:6] for text in (first[0], second[0], again[0])] == ['{"u":1', '{"u":2', '{"u":2']
