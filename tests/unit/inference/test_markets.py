"""Blocks into live features."""

import numpy as np
import pytest
from builders.inference import a_quote_block, a_trade_block, a_walk

from services.inference.domain.feature_series import FEW
from services.inference.domain.features import FEATURES
from services.inference.domain.markets import Markets


def in_blocks(size: int) -> Markets:
    """600 quotes, block by block."""
    bids, markets = a_walk(600), Markets()
    for start in range(0, 600, size):
        markets.quotes(a_quote_block(bids[start : start + size]))
    return markets


def test_the_size_of_blocks_does_not_matter() -> None:
    small, big = in_blocks(1).of("paper", "AAPL"), in_blocks(FEW * 3).of("paper", "AAPL")
    assert small.features() == pytest.approx(big.features(), abs=1e-6)
    assert small.ticks == big.ticks == 600


@pytest.mark.parametrize("count", [5, FEW + 5])
def test_empty_and_crossed_books_are_no_ticks(count: int) -> None:
    bids, asks = [100.0] * count, [100.01] * count
    bids[0], asks[1], asks[2], bids[-1] = 0.0, 0.0, 99.0, 0.0
    markets = Markets()
    assert markets.quotes(a_quote_block(bids, asks)) == count - 2
    assert markets.of("paper", "AAPL").ticks == count - 4


@pytest.mark.parametrize("count", [2, FEW + 2])
def test_a_block_without_a_two_sided_quote_has_no_newest_tick(count: int) -> None:
    markets = Markets()
    assert markets.quotes(a_quote_block([0.0] * count, [1.0] * count)) == -1
    assert markets.newest("AAPL") is None


def test_a_locked_book_is_a_tick() -> None:
    assert Markets().quotes(a_quote_block([100.0], [100.0])) == 0


def test_venues_do_not_mix_and_the_one_that_ticked_last_answers() -> None:
    markets = Markets()
    markets.quotes(a_quote_block([100.0], venue="one"))
    markets.quotes(a_quote_block([200.0], venue="other"))
    newest = markets.newest("AAPL")
    assert newest is markets.of("other", "AAPL")
    assert newest is not None
    assert newest.features()[FEATURES.index("return_1")] == 0.0


def test_trades_count_with_the_next_quote() -> None:
    markets = Markets()
    markets.quotes(a_quote_block([100.0]))
    markets.trades(a_trade_block([100.01, 100.01, -1.0], sizes=[5.0, 7.0, 9.0]))
    state = markets.of("paper", "AAPL")
    assert (state.pending_volume, state.pending_trades, state.pending_signs) == (12.0, 2.0, 2.0)
    markets.quotes(a_quote_block([100.0]))
    assert state.pending_volume == 0.0
    assert state.features()[FEATURES.index("trades_per_tick_32")] == pytest.approx(4 / 33)


def test_features_of_a_symbol_far_from_one_hundred_are_finite() -> None:
    markets = Markets()
    markets.quotes(a_quote_block(np.linspace(62_000, 62_100, 300), np.linspace(62_001, 62_101, 300)))
    assert np.isfinite(markets.of("paper", "AAPL").features()).all()
