"""Every trade goes on once and in order, whatever the connection has lost; what cannot be found is told."""

from collections.abc import Sequence

import numpy as np
import pytest
from builders.market import NOON_NS
from hypothesis import given
from hypothesis import strategies as st

from services.market_data.domain.trade_line import LineRules, Passed
from services.market_data.domain.trade_lines import TradeLines
from trading.market import TradeBlock
from trading.money import ONE

both_kinds = pytest.mark.parametrize("numbered", [False, True], ids=["named", "numbered"])


def trades(*numbers: int, price: int = 10) -> TradeBlock:
    """Trades whose number is their id and, in seconds, their time."""
    count = len(numbers)
    times = np.array([NOON_NS + number * ONE for number in numbers], np.int64)
    prices, sizes = np.full(count, price * ONE, np.int64), np.full(count, ONE, np.int64)
    return TradeBlock("v", "S", times, times, prices, sizes, np.zeros(count, np.int64), tuple(map(str, numbers)))


def numbers(*passed: Passed) -> list[int]:
    """What went on, in order."""
    return [int(name) for one in passed if one.block is not None for name in one.block.trade_ids]


def lines(numbered: bool, **rules: int) -> TradeLines:
    made = TradeLines("v", LineRules(**rules), numbered=numbered)
    made.begin(["S"], NOON_NS)
    return made


@both_kinds
def test_trades_flow_as_they_come(numbered: bool) -> None:
    line = lines(numbered)

    assert numbers(line.take(trades(5, 6)), line.take(trades(7))) == [5, 6, 7]
    assert not line.any_open
    assert (line.mark("S").trade_id, line.mark("S").time_ns) == ("7", NOON_NS + 7 * ONE)


@both_kinds
def test_what_comes_twice_goes_on_once(numbered: bool) -> None:
    line = lines(numbered)

    assert numbers(line.take(trades(1, 2, 2)), line.take(trades(2, 3)), line.take(trades(3))) == [1, 2, 3]


@both_kinds
def test_after_a_loss_live_trades_wait_for_the_missed_ones(numbered: bool) -> None:
    line = lines(numbered)
    line.take(trades(1, 2))
    line.hold(["S"], "reset")
    line.begin(["S"], NOON_NS)

    held = line.take(trades(6, 7))
    assert (held, line.open_among(["S"])) == (Passed(), ["S"])
    filled = line.fill("S", trades(1, 2, 3, 4, 5, 6))

    assert (numbers(filled), filled.gap, line.any_open) == ([3, 4, 5, 6, 7], None, False)
    assert numbers(line.take(trades(8))) == [8]


@both_kinds
def test_a_memory_that_lags_behind_the_stream_is_asked_again(numbered: bool) -> None:
    line = lines(numbered)
    line.take(trades(1))
    line.hold(["S"], "reset")
    line.begin(["S"], NOON_NS)
    line.take(trades(5))

    first = line.fill("S", trades(1, 2))
    assert (numbers(first), line.any_open) == ([2], True)
    second = line.fill("S", trades(2, 3, 4, 5))

    assert (numbers(second), line.any_open) == ([3, 4, 5], False)


@both_kinds
def test_a_quiet_symbol_is_filled_without_any_live_trade(numbered: bool) -> None:
    line = lines(numbered)
    line.take(trades(1))
    line.hold(["S"], "reset")

    assert numbers(line.fill("S", trades(1, 2)), line.take(trades(3))) == [2, 3]
    assert not line.any_open


@both_kinds
def test_a_symbol_that_never_traded_is_asked_from_its_first_connection_on(numbered: bool) -> None:
    line = lines(numbered)
    line.hold(["S"], "reset")

    assert (line.mark("S").trade_id, line.mark("S").time_ns) == ("", NOON_NS)
    assert numbers(line.fill("S", trades(4, 5))) == [4, 5]


@both_kinds
def test_a_loss_before_the_first_connection_opens_nothing(numbered: bool) -> None:
    line = TradeLines("v", LineRules(), numbered=numbered)
    line.hold(["S"], "refused")

    assert not line.any_open


@both_kinds
def test_a_second_loss_while_filling_loses_nothing_that_was_held(numbered: bool) -> None:
    line = lines(numbered)
    line.take(trades(1))
    line.hold(["S"], "reset")
    line.begin(["S"], NOON_NS)
    line.take(trades(4))
    line.hold(["S"], "reset again")
    line.begin(["S"], NOON_NS)
    line.take(trades(8))

    assert numbers(line.fill("S", trades(*range(1, 9)))) == [2, 3, 4, 5, 6, 7, 8]


@both_kinds
def test_a_hole_that_is_given_up_is_a_gap_before_what_follows(numbered: bool) -> None:
    line = lines(numbered)
    line.take(trades(1))
    line.hold(["S"], "reset")
    line.begin(["S"], NOON_NS)
    line.take(trades(5, 6))

    passed = line.give_up("S")

    assert (numbers(passed), line.any_open) == ([5, 6], False)
    assert passed.gap is not None
    assert (passed.gap.from_time_ns, passed.gap.to_time_ns) == (NOON_NS + ONE, NOON_NS + 5 * ONE)
    assert passed.gap.reason == "trades missed: reset"


@both_kinds
def test_a_hole_given_up_in_silence_is_told_with_the_next_trade(numbered: bool) -> None:
    line = lines(numbered)
    line.take(trades(1))
    line.hold(["S"], "reset")

    assert line.give_up("S") == Passed()
    passed = line.take(trades(2, 3))

    assert passed.gap is not None
    assert (numbers(passed), passed.gap.to_time_ns) == ([2, 3], NOON_NS + 2 * ONE)


@both_kinds
def test_a_line_that_holds_more_than_it_may_says_so(numbered: bool) -> None:
    line = lines(numbered, held_most=3)
    line.take(trades(1))
    line.hold(["S"], "reset")
    line.take(trades(3, 4, 5))
    assert not line.is_full("S")
    line.take(trades(6))

    assert line.is_full("S")


def test_a_missing_number_is_noticed_without_any_loss() -> None:
    line = lines(True)
    line.take(trades(1))

    assert numbers(line.take(trades(2, 4, 5))) == [2]
    assert line.open_among(["S"]) == ["S"]
    assert numbers(line.fill("S", trades(3))) == [3, 4, 5]


def test_numbers_out_of_order_are_put_in_order() -> None:
    line = lines(True)
    line.take(trades(1))

    assert numbers(line.take(trades(3, 2, 4))) == [2, 3, 4]


def test_several_holes_that_are_given_up_are_one_gap_up_to_the_last() -> None:
    line = lines(True)
    line.take(trades(1))
    line.take(trades(3, 6))

    passed = line.give_up("S")

    assert numbers(passed) == [3, 6]
    assert passed.gap is not None
    assert passed.gap.to_time_ns == NOON_NS + 6 * ONE


@pytest.mark.parametrize("asked", [True, False])
def test_a_venue_whose_count_began_again_is_heard_after_the_gap_is_given_up(asked: bool) -> None:
    line = lines(True)
    line.take(trades(100, 101))
    line.hold(["S"], "reset")
    if asked:  # before the first trade of the new count
        line.fill("S", None)
        assert not line.any_open
    line.begin(["S"], NOON_NS)
    line.take(trades(1, 2))
    assert (numbers(line.fill("S", None)), line.any_open) == ([], True)

    passed = line.give_up("S")

    assert numbers(passed, line.take(trades(3))) == [1, 2, 3]
    assert passed.gap is not None


def test_a_memory_without_our_mark_is_no_proof() -> None:
    line = lines(False)
    line.take(trades(1))
    line.hold(["S"], "reset")

    assert numbers(line.fill("S", trades(3))) == [3]
    assert line.any_open


def test_what_the_venue_said_before_we_began_to_listen_is_not_asked_for_by_the_overlap() -> None:
    line = lines(False)
    line.take(trades(10, 11))
    line.hold(["S"], "reset")

    assert numbers(line.fill("S", trades(*range(5, 14)))) == [12, 13]


def test_a_late_print_between_known_trades_is_found() -> None:
    line = lines(False)
    line.take(trades(10, 12))
    line.hold(["S"], "reset")

    assert numbers(line.fill("S", trades(*range(9, 14)))) == [11, 13]


def test_one_id_from_two_exchanges_is_two_trades() -> None:
    line = lines(False)

    assert numbers(line.take(trades(7)), line.take(trades(7, price=11))) == [7, 7]


def test_ids_are_remembered_for_as_many_trades_as_promised_and_memory_is_bounded() -> None:
    line = lines(False, ids_kept=4)
    line.take(trades(*range(10)))

    assert numbers(line.take(trades(6, 7, 8, 9, 10))) == [10]


@given(
    numbered=st.booleans(),
    cuts=st.lists(st.tuples(st.integers(1, 8), st.integers(0, 6), st.integers(0, 4), st.integers(0, 3)), max_size=8),
)
def test_whatever_is_lost_every_trade_arrives_once_and_in_order(
    numbered: bool, cuts: Sequence[tuple[int, int, int, int]]
) -> None:
    """Each cut: trades that flow, trades that are missed, live ones before the answer, trades the memory lags by."""
    line, said, heard = lines(numbered), 0, []

    def live(count: int) -> None:
        nonlocal said
        heard.extend(line.take(trades(number)) for number in range(said + 1, said + count + 1))
        said += count

    live(1)
    for flowing, missed, early, lag in cuts:
        live(flowing)
        line.hold(["S"], "reset")
        said += missed
        line.begin(["S"], NOON_NS)
        live(early)
        heard.append(line.fill("S", trades(*range(1, max(said - lag, 1) + 1))))
        heard.append(line.fill("S", trades(*range(1, said + 1))))
    live(1)

    assert numbers(*heard) == list(range(1, said + 1))
    assert [one.gap for one in heard if one.gap] == []
