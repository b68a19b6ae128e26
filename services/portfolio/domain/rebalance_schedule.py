"""When an account is rebalanced by itself: on a grid of equal steps, where a step that was missed stays missed."""

from dataclasses import dataclass
from enum import Enum, auto

from services.portfolio.domain.rebalance import Rules
from trading.clock import DAY_NS, SECOND_NS
from trading.errors import InvalidArgument

EVERY_LEAST_NS, EVERY_MOST_NS = 10 * SECOND_NS, 366 * DAY_NS


class Due(Enum):
    """Whether a schedule runs now."""

    NOT_YET = auto()
    NOW = auto()
    MISSED = auto()


@dataclass(frozen=True, slots=True)
class Schedule:
    """Rules and, when they have no targets, the optimisation that finds them (as its wire form); times ns UTC."""

    rules: Rules
    every_ns: int
    optimize: bytes = b""
    execute: bool = False
    enabled: bool = False
    next_run_ns: int = 0
    last_run_ns: int = 0
    last_rebalance_id: str = ""
    last_error: str = ""

    @property
    def account(self) -> str:
        return self.rules.account

    def due(self, now_ns: int) -> Due:
        """Due within one step of its time; later than that it was missed, while nobody was there to run it."""
        if not self.enabled or now_ns < self.next_run_ns:
            return Due.NOT_YET
        return Due.NOW if now_ns < self.next_run_ns + self.every_ns else Due.MISSED

    def next_after(self, now_ns: int) -> int:
        """The first time of the grid after now."""
        steps = max((now_ns - self.next_run_ns) // self.every_ns + 1, 0)
        return self.next_run_ns + steps * self.every_ns


def require_every(every_ns: int) -> None:
    """Raise InvalidArgument for a step out of bounds."""
    if not EVERY_LEAST_NS <= every_ns <= EVERY_MOST_NS:
        raise InvalidArgument("Expected 10 seconds to 366 days.", field="every_ns", was=every_ns)
