"""Our own bars lie over the venue's where we saw the whole minute."""

from builders.market import NOON_NS, a_bar

from services.market_data.domain.live_bars import LiveBars
from trading.clock import MINUTE_NS

END_NS = NOON_NS + 60 * MINUTE_NS


def test_a_live_bar_replaces_the_venue_s_and_fills_in_what_it_lacks() -> None:
    live = LiveBars(10)
    live.add(a_bar(11, minute=1))
    live.add(a_bar(12, minute=2))

    bars = live.over([a_bar(1, minute=0), a_bar(1, minute=1)], "AAPL", NOON_NS, END_NS)

    assert bars == [a_bar(1, minute=0), a_bar(11, minute=1), a_bar(12, minute=2)]


def test_where_ticks_were_missed_the_venue_s_bar_wins_if_there_is_one() -> None:
    live = LiveBars(10)
    live.add(a_bar(11, minute=1))
    live.add(a_bar(12, minute=2))
    live.doubt("AAPL", NOON_NS + MINUTE_NS, NOON_NS + 2 * MINUTE_NS + 1)

    bars = live.over([a_bar(1, minute=1)], "AAPL", NOON_NS, END_NS)

    assert bars == [a_bar(1, minute=1), a_bar(12, minute=2)]


def test_a_doubt_that_ends_where_a_bar_begins_does_not_touch_it() -> None:
    live = LiveBars(10)
    live.add(a_bar(11, minute=1))
    live.doubt("AAPL", 0, NOON_NS + MINUTE_NS)

    assert live.over([a_bar(1, minute=1)], "AAPL", NOON_NS, END_NS) == [a_bar(11, minute=1)]


def test_only_bars_that_start_in_the_range_are_given() -> None:
    live = LiveBars(10)
    for minute in range(4):
        live.add(a_bar(minute=minute))

    bars = live.over([], "AAPL", NOON_NS + MINUTE_NS, NOON_NS + 3 * MINUTE_NS)

    assert [bar.timestamp_ns for bar in bars] == [NOON_NS + MINUTE_NS, NOON_NS + 2 * MINUTE_NS]


def test_a_bar_given_again_replaces_the_earlier_one() -> None:
    live = LiveBars(10)
    live.add(a_bar(1))
    live.add(a_bar(2))

    assert live.over([], "AAPL", NOON_NS, END_NS) == [a_bar(2)]


def test_the_oldest_bar_goes_when_there_are_too_many() -> None:
    live = LiveBars(2)
    for minute in range(3):
        live.add(a_bar(minute=minute))

    assert live.over([], "AAPL", NOON_NS, END_NS) == [a_bar(minute=1), a_bar(minute=2)]
