"""A process that solves one job after another, and ends when its parent closes the pipe.

python -m services.portfolio.adapters.solver_worker <file descriptor of the arena>
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import BinaryIO

from services.portfolio.adapters.solver_frames import HEADER, Arena, Failure, Job, Reply, frame, unpacked
from services.portfolio.domain.optimiser.answer import Solution
from services.portfolio.domain.optimiser.problem import Problem
from trading.errors import Kind, TradingError

Solve = Callable[[Problem, float], Solution]


def serve(source: BinaryIO, target: BinaryIO, arena: Arena) -> None:
    """Answer jobs until the source ends."""
    from services.portfolio.adapters import solver_routes  # takes a while to import, and only this process pays
    from services.portfolio.adapters.warm_starts import WarmStarts

    warm = WarmStarts()
    while len(header := source.read(HEADER.size)) == HEADER.size:
        length, used, table = HEADER.unpack(header)
        job: Job = unpacked(source.read(length), used, table, arena)
        target.write(frame(_answer(lambda problem, limit_s: solver_routes.solve(problem, limit_s, warm), job)))
        target.flush()
        del job  # its matrices lie in the arena, which the next one overwrites


def _answer(solve: Solve, job: Job) -> Reply:
    try:
        return tuple(solve(problem, job.time_limit_s) for problem in job.problems)
    except TradingError as error:
        return Failure(error.kind, error.reason, error.message, dict(error.metadata))
    except Exception:  # the process boundary: the parent gets a name for it, the log gets the rest
        traceback.print_exc()
        return Failure(Kind.INTERNAL, "SOLVER_FAILED", "The solver failed; the reason was logged.", {})


def main() -> None:
    """Serve on stdin and stdout."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which closes the pipe
    target = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a solver that prints must not break a frame
    serve(sys.stdin.buffer, target, Arena(int(sys.argv[1])))


if __name__ == "__main__":
    main()
