"""Polygon's streams: events, second aggregates with the day beside them, subscriptions."""

import msgspec
import numpy as np
import pytest
from builders.paper_venue import a_quote, nanos
from builders.polygon_floor import COINS, START_NS, Floor, at

from services.paper_venue.domain.tape import Placed
from services.paper_venue.polygon.aggregates import DayBook
from services.paper_venue.polygon.frames import Framer, round_lots, whole_volume
from services.paper_venue.polygon.listing import Market as MarketName
from services.paper_venue.polygon.subscriptions import Subscriptions, What
from trading.clock import MINUTE_NS, SECOND_NS


@pytest.fixture
def floor() -> Floor:
    return Floor()


def test_events_of_shares_carry_round_lots_milliseconds_and_positions(floor: Floor) -> None:
    batch = floor.say(a_quote(10, 250, 10.02, 37, 0, START_NS + 1_999_999), at(10.02, 1, 300, trade_id=9))

    quote, trade = floor.events(MarketName.STOCKS, batch)
    assert (quote["ev"], quote["sym"], quote["bp"], quote["bs"], quote["ap"], quote["as"]) == (
        "Q",
        "AAPL",
        10.0,
        2,
        10.02,
        1,
    )
    assert (quote["t"], quote["q"], trade["q"]) == (START_NS // 10**6 + 1, 1, 2)
    assert (trade["ev"], trade["i"], trade["p"], trade["s"], "ds" in trade) == ("T", "9", 10.02, 300, False)


def test_a_fraction_of_a_share_is_told_beside_the_whole_number(floor: Floor) -> None:
    (trade,) = floor.events(MarketName.STOCKS, floor.trade(10, 1, 1.25))

    assert (trade["s"], trade["ds"]) == (1, "1.25")


@pytest.mark.parametrize(("side", "condition"), [(1, 2), (-1, 1), (0, 0)])
def test_events_of_coins_tell_who_took(floor: Floor, side: int, condition: int) -> None:
    (trade,) = floor.events(MarketName.CRYPTO, floor.say(at(60_000, 1, 0.5, COINS, 4, side)))

    assert (trade["ev"], trade["pair"], trade["s"], trade["i"], trade["c"]) == ("XT", "BTC-USD", 0.5, 4, (condition,))


def test_positions_go_on_over_chunks_and_over_repeated_quotes(floor: Floor) -> None:
    floor.trade(10, 1)
    floor.say(at(10, 2), at(10, 3))
    repeats = [floor.market.repeat(a_quote(10, 1, 11, 1), START_NS) for _ in range(2)]

    assert [batch.first for batch in repeats] == [4, 5]
    found = floor.market.tape.find_placed(1, 0, 0, 2**62)
    assert found.positions.tolist() == [1, 2, 3]


def test_sizes_of_quotes_count_at_least_one_lot() -> None:
    sizes = np.array([nanos(size) for size in (0, 1, 99, 100, 199, 1_000)])

    assert round_lots(sizes) == [0, 1, 1, 1, 1, 10]


@pytest.mark.parametrize(
    ("volume", "whole", "exact"),
    [(3.0, 3, None), (0.25, 0, "0.25"), (951.6112, 952, "951.6112"), (0.1 + 0.2, 0, "0.3")],
)
def test_a_volume_is_whole_with_the_exact_one_beside_it(volume: float, whole: int, exact: str | None) -> None:
    assert whole_volume(volume) == (whole, exact)


def test_a_second_aggregate_comes_when_the_second_is_over_with_the_day_so_far(floor: Floor) -> None:
    seconds = floor.seconds
    assert seconds.of_batch(floor.say(at(10, 0.1), at(12, 0.9, 300))) == ()
    ((bar, day),) = seconds.of_batch(floor.trade(11, 1.5))

    assert (bar.timestamp_ns, bar.open_nanos, bar.close_nanos, bar.volume) == (START_NS, nanos(10), nanos(12), 400.0)
    assert (bar.vwap_nanos, bar.trade_count) == (nanos(11.5), 2)
    assert (day.volume, day.open_nanos, day.vwap_nanos) == (400.0, nanos(10), nanos(11.5))
    event = msgspec.to_builtins(
        Framer(MarketName.STOCKS, []).aggregate("A", floor.listing.tickers[0], bar, day, SECOND_NS)
    )
    assert (event["v"], event["av"], event["op"], event["z"], event["e"] - event["s"]) == (400, 400, 10.0, 200, 1_000)


def test_every_listener_of_a_batch_gets_the_same_seconds(floor: Floor) -> None:
    floor.seconds.of_batch(floor.trade(10, 0.5))
    batch = floor.trade(11, 1.5)

    assert len(floor.seconds.of_batch(batch)) == len(floor.seconds.of_batch(batch)) == 1


def test_the_day_of_a_second_holds_what_traded_before_anybody_listened(floor: Floor) -> None:
    floor.trade(10, 1)
    floor.trade(20, 61)
    floor.trade(30, 62)
    floor.seconds.of_batch(floor.trade(40, 63.5))  # this second began unheard
    assert floor.seconds.of_batch(floor.trade(50, 64.5)) == ()
    ((bar, day),) = floor.seconds.of_batch(floor.trade(60, 65.5))

    assert (bar.close_nanos, day.volume) == (nanos(50), 500.0)
    assert (day.open_nanos, day.high_nanos) == (nanos(10), nanos(50))


def test_a_second_without_a_trade_has_no_aggregate(floor: Floor) -> None:
    floor.seconds.of_batch(floor.say(a_quote(10, 100, 11, 100, 0, START_NS)))

    assert floor.seconds.of_batch(floor.say(a_quote(10, 100, 11, 100, 0, START_NS + 5 * SECOND_NS))) == ()


def test_the_last_second_closes_with_the_market(floor: Floor) -> None:
    floor.seconds.of_batch(floor.trade(10, 0.5))
    ((bar, _),) = floor.seconds.of_batch(floor.market.finish())

    assert bar.close_nanos == nanos(10)


def test_seconds_begin_anew_after_nobody_listened(floor: Floor) -> None:
    floor.seconds.of_batch(floor.trade(10, 0.5))
    floor.seconds.forget()
    floor.seconds.of_batch(floor.trade(11, 7.5))

    assert floor.seconds.of_batch(floor.trade(12, 8.5)) == ()


def test_the_day_of_a_minute_holds_the_past_and_ends_with_that_minute() -> None:
    floor = Floor(START_NS + 60 * MINUTE_NS)  # an hour of this day is in the history
    past = float(floor.market.charts.past_minutes("AAPL", START_NS).volume.sum())
    batches = [floor.trade(10 + minute, 3_600 + 60 * minute) for minute in range(3)] + [floor.market.finish()]
    book, ticker = DayBook(floor.market), floor.listing.tickers[0]
    days = [book.at(ticker, day) for batch in batches for day in batch.days]

    assert [day.volume - past for day in days] == [100.0, 200.0, 300.0]
    assert {day.open_nanos for day in days} == {int(floor.market.charts.past_minutes("AAPL", 0).open[-60])}


@pytest.mark.parametrize(
    ("topic", "known"),
    [("T.AAPL", True), ("AM.*", True), ("LULD.AAPL", True), ("T.", False), ("T", False), ("XT.BTC-USD", False)],
)
def test_topics_name_a_channel_of_the_market_and_a_symbol(floor: Floor, topic: str, known: bool) -> None:
    assert Subscriptions(floor.listing, MarketName.STOCKS).knows(topic) is known


def test_subscriptions_choose_rows_and_bars(floor: Floor) -> None:
    stocks = Subscriptions(floor.listing, MarketName.STOCKS)
    coins = Subscriptions(floor.listing, MarketName.CRYPTO)
    assert stocks.is_empty
    for topic in ("T.AAPL", "T.NOBODY", "A.*"):
        stocks.add(topic)
    coins.add("XT.X:BTC-USD")
    batch = floor.say(a_quote(10, 1, 11, 1), at(10, 0), at(60_000, 0, 1, COINS))
    placed = Placed(batch.ticks, np.arange(1, 4))

    assert stocks.select(placed).positions.tolist() == [2]
    assert coins.select(placed).positions.tolist() == [3]
    assert stocks.bars(What.SECONDS) == {"AAPL"}
    stocks.remove("T.AAPL")
    stocks.remove("A.*")
    assert stocks.is_empty
