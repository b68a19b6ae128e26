"""Blocks keep their columns together; quotes know their middle."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.market import Interval, Quote, QuoteBlock, TradeBlock

SIZES = st.integers(1, 50)


def a_quote(bid_nanos: int = 100, ask_nanos: int = 103) -> Quote:
    return Quote("AAPL", bid_nanos, 1, ask_nanos, 2, 10, 11, "paper")


def quotes(length: int) -> QuoteBlock:
    columns = {
        field.name: np.arange(length, dtype=np.int64) + 1_000 * place
        for place, field in enumerate(dataclasses.fields(QuoteBlock))
        if field.name not in {"venue", "symbol"}
    }
    return QuoteBlock("paper", "AAPL", **columns)


@pytest.mark.parametrize(("bid", "ask", "mid"), [(100, 103, 101), (100, 0, 100), (0, 103, 103), (0, 0, 0)])
def test_the_middle_of_a_quote_is_the_side_that_exists(bid: int, ask: int, mid: int) -> None:
    assert a_quote(bid_nanos=bid, ask_nanos=ask).mid_nanos == mid


@given(SIZES, st.integers(0, 60))
def test_the_tail_of_a_block_drops_the_same_ticks_of_every_column(length: int, start: int) -> None:
    whole = quotes(length)
    tail = whole.tail(start)
    assert len(tail) == max(length - start, 0)
    for field in dataclasses.fields(QuoteBlock):
        column = getattr(whole, field.name)
        kept = getattr(tail, field.name)
        assert kept == column if isinstance(column, str) else np.array_equal(kept, column[start:])


def test_the_tail_of_a_block_is_a_view() -> None:
    whole = quotes(10)
    assert np.shares_memory(whole.tail(3).bid_nanos, whole.bid_nanos)


@pytest.mark.parametrize(("ids", "kept"), [(("a", "b", "c"), ("b", "c")), ((), ())])
def test_the_tail_of_a_block_of_trades_keeps_its_ids(ids: tuple[str, ...], kept: tuple[str, ...]) -> None:
    column = np.arange(3, dtype=np.int64)
    assert TradeBlock("paper", "AAPL", column, column, column, column, column, ids).tail(1).trade_ids == kept


def test_the_last_quote_of_a_block_is_made_of_plain_integers() -> None:
    last = quotes(4).last()
    assert last == Quote("AAPL", 4_003, 5_003, 6_003, 7_003, 2_003, 3_003, "paper")
    assert {type(value) for value in last} == {str, int}


def test_two_blocks_are_the_same_only_when_they_are_one() -> None:
    block = quotes(3)
    assert block == block  # identity is the point: columns have no single truth value
    assert block != quotes(3)
    assert len({block, block.tail(1)}) == 2


@pytest.mark.parametrize(("text", "seconds"), [("1m", 60), ("5m", 300), ("1h", 3_600), ("1d", 86_400)])
def test_an_interval_has_a_length(text: str, seconds: int) -> None:
    assert Interval(text).seconds == seconds
