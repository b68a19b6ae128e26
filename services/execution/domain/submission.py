"""What a submit waits for, where it comes from and how it ended."""

from dataclasses import dataclass
from enum import StrEnum

from services.execution.domain.order import Order


class Wait(StrEnum):
    """What a submit waits for before it answers."""

    NONE = "NONE"
    ACCEPTED = "ACCEPTED"
    TERMINAL = "TERMINAL"


@dataclass(frozen=True, slots=True)
class Patience:
    """What to wait for (None: the usual of the order type) and for how long at most."""

    until: Wait | None = None
    timeout_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a submit comes from: its receipt (monotonic ns), its trace, and the tick behind it (ns UTC)."""

    received_ns: int
    traceparent: str | None = None
    tick_receive_time_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Timings:
    """How long an order took, in ns: receipt to answer, validation and risk, venue."""

    total_ns: int = 0
    validation_ns: int = 0
    execution_ns: int = 0


NO_TIMINGS = Timings()


@dataclass(frozen=True, slots=True)
class Submitted:
    """The order as it is now; `duplicate` says that nothing new was submitted."""

    order: Order
    timings: Timings
    duplicate: bool = False
