"""Which venue carries which symbol, and which one answers for it."""

from collections.abc import Iterable, Sequence

from services.market_data.domain.registry import VenueAsset


class Coverage:
    """What each venue has said of each symbol; of several that carry one, the first in the list answers for it.

    A venue that has not spoken yet is taken to carry everything, so that a symbol never changes hands when it does.
    """

    def __init__(self, venues: Sequence[str]) -> None:
        self._venues = tuple(venues)
        self._said: dict[tuple[str, str], VenueAsset | None] = {}

    def learn(self, venue: str, symbol: str, asset: VenueAsset | None) -> None:
        """Take in a venue's word on a symbol; None when it does not list it."""
        self._said[venue, symbol] = asset

    def deny(self, venue: str, symbols: Iterable[str]) -> None:
        """The venue carries none of these."""
        for symbol in symbols:
            self._said[venue, symbol] = None

    def carries(self, venue: str, symbol: str) -> bool:
        """The venue has not denied the symbol."""
        return self._said.get((venue, symbol), ...) is not None

    def owner(self, symbol: str) -> str | None:
        """The venue that answers for a symbol; None when every one has denied it."""
        return next((venue for venue in self._venues if self.carries(venue, symbol)), None)

    def asset(self, venue: str, symbol: str) -> VenueAsset | None:
        """What a venue says of a symbol; None when it has said nothing or does not list it."""
        return self._said.get((venue, symbol))

    def __str__(self) -> str:
        """The venues, for a reader."""
        return ", ".join(self._venues)
