"""One problem solved in this process: prints its peak memory, and times and processor times, cold and warm.

python portfolio_alone.py MAX_SHARPE 1000
"""

import json
import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the service's workers have it
sys.path[:0] = [str(Path(__file__).parents[2])]

from services.portfolio.adapters import solver_routes  # noqa: E402  after the path and the threads are set
from services.portfolio.adapters.warm_starts import WarmStarts  # noqa: E402  after the path and the threads are set
from services.portfolio.domain.optimiser.answer import answer_of  # noqa: E402  after the path and the threads are set
from services.portfolio.domain.optimiser.feasibility import refuse_infeasible  # noqa: E402  after the path and the threads are set
from services.portfolio.domain.optimiser.problem import Objective  # noqa: E402  after the path and the threads are set
from tests.bench.portfolio_cases import a_market, a_problem  # noqa: E402  after the path and the threads are set

_RUNS = 9


def peak_mb() -> float:
    """The most memory that this process has held; `ru_maxrss` would begin with that of whoever started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    """Judge, solve and prove, again and again."""
    problem = a_problem(a_market(int(sys.argv[2]), 100), Objective(sys.argv[1]))

    def once(warm: WarmStarts) -> tuple[float, float]:
        started, cpu = time.perf_counter(), time.process_time()
        refuse_infeasible(problem)
        answer_of(problem, solver_routes.solve(problem, 30.0, warm))
        return (time.perf_counter() - started) * 1e3, (time.process_time() - cpu) * 1e3

    found, kept = {}, WarmStarts()
    for name in ("cold", "warm"):
        samples = [once(kept if name == "warm" else WarmStarts()) for _ in range(_RUNS + 1)][1:]
        for place, unit in enumerate(("ms", "cpu_ms")):
            found[f"{name}_{unit}"] = statistics.median(sample[place] for sample in samples)
    found["peak_mb"] = peak_mb()
    print(json.dumps({name: round(value, 2) for name, value in found.items()}))


if __name__ == "__main__":
    main()
