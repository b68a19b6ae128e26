"""Bars of activity end with the trade that reaches the threshold, however the trades are cut into blocks."""

import pytest
from builders.market import NOON_NS, a_trade_block, nanos
from hypothesis import given
from hypothesis import strategies as st

from services.market_data.domain.activity_bars import Activity, ActivityBars, ActivityRule, parse_rule
from services.market_data.domain.bars import BarBook
from trading.clock import SECOND_NS
from trading.errors import InvalidArgument
from trading.market import Bar, Interval


def bars_of(rule: str) -> ActivityBars:
    return ActivityBars("paper", "AAPL", [parse_rule(rule)])


def test_a_tick_bar_has_so_many_trades() -> None:
    bars = bars_of("tick-2").add_trades(a_trade_block((10, 1), (12, 2), (9, 3), (11, 4), (8, 5)))

    assert [(bar.interval, bar.open_nanos, bar.close_nanos, bar.volume, bar.trade_count) for bar in bars] == [
        ("tick-2", nanos(10), nanos(12), 3.0, 2),
        ("tick-2", nanos(9), nanos(11), 7.0, 2),
    ]
    assert [bar.timestamp_ns for bar in bars] == [NOON_NS, NOON_NS + 2 * SECOND_NS]
    assert [bar.close_time_ns for bar in bars] == [NOON_NS + SECOND_NS, NOON_NS + 3 * SECOND_NS]


def test_a_volume_bar_ends_with_the_trade_that_reaches_the_volume_and_has_it_whole() -> None:
    bars = bars_of("volume-10").add_trades(a_trade_block((1, 6), (1, 7), (1, 10), (1, 3)))

    assert [(bar.volume, bar.trade_count) for bar in bars] == [(13.0, 2), (10.0, 1)]


def test_a_value_bar_counts_price_times_size() -> None:
    bars = bars_of("value-100").add_trades(a_trade_block((10, 6), (10, 3.9), (10, 0.1), (50, 1)))

    assert [(bar.volume, bar.vwap_nanos) for bar in bars] == [(10.0, nanos(10))]


def test_bars_that_begin_in_the_same_nanosecond_have_starts_of_their_own() -> None:
    bars = bars_of("tick-1").add_trades(a_trade_block((1, 1), (2, 1), (3, 1), times_ns=[NOON_NS] * 3))

    assert [bar.timestamp_ns for bar in bars] == [NOON_NS, NOON_NS + 1, NOON_NS + 2]


@pytest.mark.parametrize("text", ["tick-0", "tick", "tick--1", "ticks-5", "volume-1.5", "tick-1000000000000000", ""])
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_rule(text)


@pytest.mark.parametrize("text", ["tick-100", "volume-5000", "value-1000000"])
def test_a_rule_is_called_as_it_was_written(text: str) -> None:
    assert str(parse_rule(text)) == text


_trades = st.lists(st.tuples(st.integers(1, 300), st.integers(1, 40)), min_size=1, max_size=60)


@given(_trades, st.sampled_from(list(Activity)), st.integers(1, 500), st.data())
def test_any_cut_gives_the_bars_of_their_definition(
    trades: list[tuple[int, int]], activity: Activity, threshold: int, data: st.DataObject
) -> None:
    rule = ActivityRule(activity, threshold)
    bars = ActivityBars("paper", "AAPL", [rule])
    cuts = sorted(data.draw(st.sets(st.integers(1, len(trades)))) | {len(trades)})

    made: list[Bar] = []
    for start, end in zip([0, *cuts], cuts, strict=False):
        times = [NOON_NS + at for at in range(start, end)]
        made += bars.add_trades(a_trade_block(*trades[start:end], times_ns=times))

    ours = [(bar.open_nanos, bar.high_nanos, bar.low_nanos, bar.close_nanos, bar.volume) for bar in made]
    assert ours == _defined(trades, activity, threshold)


def _defined(trades: list[tuple[int, int]], activity: Activity, threshold: int) -> list[tuple[float, ...]]:
    found, group, counted = [], [], 0
    for price, size in trades:
        group.append((price, size))
        counted += {Activity.TICK: 1, Activity.VOLUME: size, Activity.VALUE: price * size}[activity]
        if counted >= threshold:
            prices = [nanos(member[0]) for member in group]
            volume = float(sum(member[1] for member in group))
            found.append((prices[0], max(prices), min(prices), prices[-1], volume))
            group, counted = [], 0
    return found


def test_a_book_makes_bars_of_activity_beside_those_of_time() -> None:
    book = BarBook("paper", [Interval.ONE_MINUTE], 0, rules=[parse_rule("tick-2"), parse_rule("volume-3")])

    bars = book.add_trades(a_trade_block((1, 1), (1, 1), (1, 1)))

    assert [bar.interval for bar in bars] == ["tick-2", "volume-3"]
