"""A process that solves one portfolio problem after another; its parent talks to it over pipes.

A frame is eight bytes of length and a pickle. Pickle is safe here: both ends are this program, and the pipe
has no other writer. The worker ends when its parent does.
"""

import os
import pickle
import signal
import struct
import sys
import traceback
from typing import Any, BinaryIO, NamedTuple

from services.portfolio.domain.optimiser.answer import Solution
from services.portfolio.domain.optimiser.problem import Problem
from trading.errors import Kind, TradingError

HEADER = struct.Struct("<Q")
_NICENESS = 5


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


def serve(source: BinaryIO, target: BinaryIO) -> None:
    """Answer jobs until the parent closes the pipe."""
    from services.portfolio.adapters.cvxpy_solver import solve  # seconds to import, and only this process pays

    while (header := source.read(HEADER.size)) and len(header) == HEADER.size:
        job: Job = unframe(source.read(HEADER.unpack(header)[0]))
        target.write(frame(_answer(solve, job)))
        target.flush()


def _answer(solve: Any, job: Job) -> Solution | Failure:
    try:
        solution: Solution = solve(job.problem, job.time_limit_s)
    except TradingError as error:
        return Failure(error.kind, error.reason, error.message, dict(error.metadata))
    except Exception:  # the process boundary: the parent gets a name for it, the log gets the rest
        traceback.print_exc()
        return Failure(Kind.INTERNAL, "SOLVER_FAILED", "The solver failed; the reason was logged.", {})
    return solution


def _main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which closes the pipe
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    target = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a solver that prints must not break a frame
    serve(sys.stdin.buffer, target)


if __name__ == "__main__":
    _main()
