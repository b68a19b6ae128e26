"""A process that solves one portfolio problem after another, and ends when its parent closes the pipe."""

import os
import signal
import sys
import traceback
from typing import Any, BinaryIO

from services.portfolio.adapters.solver_frames import HEADER, Failure, Job, frame, unframe
from services.portfolio.domain.optimiser.answer import Solution
from trading.errors import Kind, TradingError


def serve(source: BinaryIO, target: BinaryIO) -> None:
    """Answer jobs until the source ends."""
    from services.portfolio.adapters.cvxpy_solver import solve  # seconds to import, and only this process pays

    while len(header := source.read(HEADER.size)) == HEADER.size:
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


def main() -> None:
    """Serve on stdin and stdout."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which closes the pipe
    target = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a solver that prints must not break a frame
    serve(sys.stdin.buffer, target)


if __name__ == "__main__":
    main()
