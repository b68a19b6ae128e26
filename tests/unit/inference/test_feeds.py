"""Sequences tell what was missed and what came twice."""

from services.inference.domain.feeds import Feeds, Taken


def test_consecutive_blocks_miss_nothing() -> None:
    feeds = Feeds()
    assert feeds.take("v", "A", "feed", 40, 10) == Taken(0, 0), "what came before the first block was nobody's loss"
    assert feeds.take("v", "A", "feed", 50, 5) == Taken(0, 0)


def test_a_jump_is_a_loss_of_its_size() -> None:
    feeds = Feeds()
    feeds.take("v", "A", "feed", 0, 10)
    assert feeds.take("v", "A", "feed", 13, 1) == Taken(0, 3)
    assert feeds.take("v", "A", "feed", 14, 1) == Taken(0, 0)


def test_a_block_that_overlaps_repeats_its_start() -> None:
    feeds = Feeds()
    feeds.take("v", "A", "feed", 0, 10)
    assert feeds.take("v", "A", "feed", 7, 5) == Taken(3, 0)
    assert feeds.take("v", "A", "feed", 0, 5) == Taken(5, 0)
    assert feeds.take("v", "A", "feed", 12, 1) == Taken(0, 0), "an old block does not turn the count back"


def test_a_new_feed_counts_from_zero() -> None:
    feeds = Feeds()
    feeds.take("v", "A", "feed", 0, 10)
    assert feeds.take("v", "A", "again", 2, 1) == Taken(0, 2)


def test_symbols_and_venues_count_apart() -> None:
    feeds = Feeds()
    feeds.take("v", "A", "feed", 0, 10)
    assert feeds.take("v", "B", "feed", 100, 1) == Taken(0, 0)
    assert feeds.take("w", "A", "feed", 100, 1) == Taken(0, 0)
