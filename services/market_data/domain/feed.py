"""The life of a connection to a venue, and of the venue that has several."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum

from trading.errors import FailedPrecondition, Unavailable
from trading.instruments import AssetClass

CHANNELS = {AssetClass.EQUITY: "stocks", AssetClass.CRYPTO: "crypto"}
"""The connections that a venue may have, one for each class of instruments."""


class FeedLost(Unavailable):
    """The connection ended; trying again may help."""

    REASON = "FEED_LOST"


class FeedRefused(FailedPrecondition):
    """The venue said no in a way that trying again cannot mend, such as a wrong key."""

    REASON = "FEED_REFUSED"


class FeedState(IntEnum):
    """From well to ill: of several connections the venue has the state of the worst."""

    UP = 1
    STALE = 2
    DOWN = 3
    FAILED = 4


@dataclass(frozen=True, slots=True)
class VenueStatus:
    """A change of a venue's state, for everyone to know."""

    venue: str
    state: FeedState
    reason: str
    time_ns: int


@dataclass(frozen=True, slots=True)
class Feed:
    """One connection's state; `heard_ns` is when it last said anything, by the clock of durations."""

    state: FeedState = FeedState.DOWN
    reason: str = "not connected yet"
    heard_ns: int = 0
    was_up: bool = False

    def subscribed(self, now_ns: int) -> "Feed":
        """Connected, and the venue has confirmed the subscription."""
        return Feed(FeedState.UP, "subscribed", now_ns, was_up=True)

    def heard(self, now_ns: int) -> "Feed":
        """Ticks came; a silent feed is well again."""
        if self.state is FeedState.STALE:
            return Feed(FeedState.UP, "ticks again", now_ns, was_up=True)
        return replace(self, heard_ns=now_ns)

    def checked(self, now_ns: int, limit_ns: int) -> "Feed":
        """A connected feed that has been silent for `limit_ns` is stale."""
        if self.state is FeedState.UP and now_ns - self.heard_ns >= limit_ns:
            return replace(self, state=FeedState.STALE, reason=f"silent for {limit_ns / 1e9:g} s")
        return self

    def lost(self, reason: str) -> "Feed":
        """The connection is gone; a reconnect follows."""
        return replace(self, state=FeedState.DOWN, reason=reason)

    def refused(self, reason: str) -> "Feed":
        """No reconnect follows."""
        return replace(self, state=FeedState.FAILED, reason=reason)


class Venue:
    """The connections of one venue and the state that they amount to."""

    def __init__(self, name: str, channels: Iterable[str]) -> None:
        self.name = name
        self._feeds = {channel: Feed() for channel in channels}

    def __getitem__(self, channel: str) -> Feed:
        return self._feeds[channel]

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of its connections."""
        return tuple(self._feeds)

    @property
    def state(self) -> FeedState:
        """The worst of its connections' states."""
        return max((feed.state for feed in self._feeds.values()), default=FeedState.DOWN)

    @property
    def reason(self) -> str:
        """Why its state is what it is: what the connections in that state say."""
        return "; ".join(f"{name}: {feed.reason}" for name, feed in self._feeds.items() if feed.state is self.state)

    def put(self, channel: str, feed: Feed, now_ns: int) -> VenueStatus | None:
        """Take a connection's new state; the change of the venue's state, if it is one."""
        before = self.state
        self._feeds[channel] = feed
        return None if self.state is before else VenueStatus(self.name, self.state, self.reason, now_ns)

    def complaint(self) -> str | None:
        """Why the venue cannot be relied on: refused, or never yet connected. A short loss is no reason."""
        ill = [
            f"{channel}: {feed.reason}"
            for channel, feed in self._feeds.items()
            if feed.state is FeedState.FAILED or not feed.was_up
        ]
        return f"{self.name} {'; '.join(ill)}" if ill else None
