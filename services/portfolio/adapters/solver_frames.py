"""What a solver process and its parent say to each other: jobs one way, solutions or failures the other.

A frame is eight bytes of length and a pickle. Pickle is safe here: both ends are this program, and the pipe
has no other writer.
"""

import pickle
import struct
from typing import Any, NamedTuple

from services.portfolio.domain.optimiser.problem import Problem
from trading.errors import Kind, TradingError

HEADER = struct.Struct("<Q")


class Job(NamedTuple):
    """A problem and the longest time a search may take."""

    problem: Problem
    time_limit_s: float


class Failure(NamedTuple):
    """A named error on its way to the parent."""

    kind: Kind
    reason: str
    message: str
    metadata: dict[str, Any]

    def error(self) -> TradingError:
        """The error it stands for."""
        return TradingError(self.kind, self.reason, self.message, **self.metadata)


def frame(content: object) -> bytes:
    """One frame."""
    payload = pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL)
    return HEADER.pack(len(payload)) + payload


def unframe(payload: bytes) -> Any:
    """What is in a frame's payload."""
    return pickle.loads(payload)  # noqa: S301  both ends are this program
