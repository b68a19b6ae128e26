"""What we say beside what the venue says."""

from typing import NamedTuple


class Comparison(NamedTuple):
    """One thing that was compared: an order, a position or the cash, in words."""

    subject: str
    name: str
    ours: str
    venue: str

    @property
    def agrees(self) -> bool:
        """Both say the same."""
        return self.ours == self.venue
