"""A venue is as well as its worst connection, and only changes are news."""

import pytest

from services.market_data.domain.feed import Feed, FeedState, Venue

SECOND = 1_000_000_000


def a_venue(*channels: str) -> Venue:
    return Venue("paper", channels or ("stocks", "crypto"))


def test_a_new_venue_is_down_and_says_that_it_never_connected() -> None:
    venue = a_venue("stocks")

    assert (venue.state, venue.complaint()) == (FeedState.DOWN, "paper stocks: not connected yet")


def test_a_venue_is_up_when_all_of_its_connections_are() -> None:
    venue = a_venue()

    first = venue.put("stocks", venue["stocks"].subscribed(1), 1)
    second = venue.put("crypto", venue["crypto"].subscribed(2), 2)

    assert first is None
    assert second is not None
    assert (second.venue, second.state, second.time_ns) == ("paper", FeedState.UP, 2)
    assert venue.complaint() is None


@pytest.mark.parametrize("state", [FeedState.STALE, FeedState.DOWN, FeedState.FAILED])
def test_the_worst_connection_decides_and_gives_the_reason(state: FeedState) -> None:
    venue = a_venue()
    venue.put("crypto", Feed().subscribed(0), 0)

    venue.put("stocks", Feed(state, "because"), 0)

    assert (venue.state, venue.reason) == (state, "stocks: because")


def test_the_same_state_again_is_no_news() -> None:
    venue = a_venue("stocks")
    venue.put("stocks", Feed().subscribed(0), 0)

    assert venue.put("stocks", venue["stocks"].heard(5), 5) is None


def test_a_feed_is_stale_from_its_limit_on_and_not_before() -> None:
    feed = Feed().subscribed(0).heard(10 * SECOND)

    assert feed.checked(15 * SECOND - 1, 5 * SECOND).state is FeedState.UP
    assert feed.checked(15 * SECOND, 5 * SECOND).state is FeedState.STALE


def test_ticks_make_a_stale_feed_well_again() -> None:
    feed = Feed().subscribed(0).checked(9 * SECOND, 5 * SECOND)

    assert feed.heard(10 * SECOND).state is FeedState.UP


def test_a_lost_feed_is_not_called_stale() -> None:
    feed = Feed().subscribed(0).lost("reset")

    assert feed.checked(99 * SECOND, 5 * SECOND).state is FeedState.DOWN


def test_a_short_loss_is_no_reason_to_be_unready_but_a_refusal_is() -> None:
    venue = a_venue("stocks")
    venue.put("stocks", Feed().subscribed(0), 0)

    venue.put("stocks", venue["stocks"].lost("reset"), 0)
    assert venue.complaint() is None

    venue.put("stocks", venue["stocks"].refused("402 auth failed"), 0)
    assert venue.complaint() == "paper stocks: 402 auth failed"


def test_a_venue_without_connections_is_down() -> None:
    assert Venue("paper", ()).state is FeedState.DOWN
