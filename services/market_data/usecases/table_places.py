"""How many tables may be on their way at a time: each is held in memory until its reader has taken it."""

from collections.abc import Iterator
from contextlib import contextmanager

from trading.errors import ResourceExhausted

_RETRY_AFTER_S = 1


class TablePlaces:
    """At most `most` tables; one more is refused, so that slow readers cannot fill the memory."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a place while the block runs. Raises ResourceExhausted when there is none."""
        if self._taken >= self._most:
            raise ResourceExhausted("Too many tables are on their way.", limit=self._most, retry_after_s=_RETRY_AFTER_S)
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1
