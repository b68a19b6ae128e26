"""Times of the optimiser's use cases over real solver processes, with the peers on the same problem."""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import structlog

from services.portfolio.adapters.solver_pool import SolverPool, open_solver_pool
from services.portfolio.adapters.threads import open_threads
from services.portfolio.domain.estimation.covariance import moments_of_returns
from services.portfolio.domain.matrices import Refusal
from services.portfolio.domain.optimiser.problem import Objective, Problem
from services.portfolio.ports import MarketData, Offload
from services.portfolio.usecases.frontier import ComputeFrontier
from services.portfolio.usecases.judge_covariances import JudgeCovariances
from services.portfolio.usecases.know_covariances import KnowCovariances
from services.portfolio.usecases.optimize import Optimize
from tests.bench.peers import PeerMissing
from tests.bench.portfolio_cases import PEER_SCRIPT, PEERS, Market, a_market, a_problem, written
from tests.bench.result import REPOSITORY, Result, of_samples
from trading.clock import SystemClock

_LONG_S = 60.0
_WORKERS = 2
ALONE = Path(__file__).with_name("portfolio_alone.py")


@dataclass(frozen=True, slots=True)
class _Desk:
    """What answers."""

    optimize: Optimize
    frontier: ComputeFrontier
    offload: Offload


@asynccontextmanager
async def _desk() -> AsyncIterator[_Desk]:
    clock = SystemClock()
    pool = open_solver_pool(workers=_WORKERS, waiting=16, search_limit_s=5, log=structlog.get_logger())
    with open_threads(2) as offload:
        async with pool as solver:
            judge = JudgeCovariances(offload, kept=100, waiting=1)
            optimize = Optimize(
                solver,
                cast(MarketData, None),
                offload,
                judge,
                KnowCovariances(kept=16, bytes_most=2**27),
                clock,
                timeout_s=_LONG_S,
            )
            words = {"workers": _WORKERS, "timeout_s": _LONG_S}
            await _wake(solver)
            yield _Desk(optimize, ComputeFrontier(optimize, solver, judge, offload, clock, **words), offload)


async def _wake(solver: SolverPool) -> None:
    """Start every worker and let it import its solver: a service does that before anybody asks."""
    easy = replace(a_problem(a_market(30)), objective=Objective.MIN_VARIANCE)
    await asyncio.gather(*(solver.solve(easy, _LONG_S) for _ in range(_WORKERS)))


def _timed(ask: Callable[[_Desk], AsyncIterator[float]]) -> list[float]:
    """Milliseconds that `ask` yields."""

    async def run() -> list[float]:
        async with _desk() as desk:
            return [sample async for sample in ask(desk)]

    return asyncio.run(run())


async def _ms(work: Awaitable[object]) -> float:
    started = time.perf_counter()
    await work
    return (time.perf_counter() - started) * 1e3


def _cold(count: int, samples: int, objective: Objective = Objective.MAX_SHARPE) -> list[float]:
    """A market that nobody has seen before for each sample."""

    async def ask(desk: _Desk) -> AsyncIterator[float]:
        for seed in range(samples):
            problem = a_problem(a_market(count, 100 + seed), objective)
            yield await _ms(desk.optimize(problem, _LONG_S))

    return _timed(ask)


def max_sharpe_1000() -> Iterator[Result]:
    """N=1000 with eleven sector caps, cold, from the parsed matrix; growth with N and peak memory beside it."""
    growth = {str(count): round(float(np.median(_cold(count, 5))), 1) for count in (100, 250, 500, 2000)}
    extra = {"p50_ms_by_assets": growth, "in_one_process": _alone("MAX_SHARPE", 1000)}
    result = of_samples("portfolio.max_sharpe_1000", "ms", _cold(1000, 25), extra=extra)
    yield _with_peers(result, a_market(1000, 100), "MAX_SHARPE")


def max_sharpe_3000() -> Iterator[Result]:
    """N=3000, cold."""
    extra = {"in_one_process": _alone("MAX_SHARPE", 3000)}
    yield of_samples("portfolio.max_sharpe_3000", "ms", _cold(3000, 8), extra=extra)


def warm_1000() -> Iterator[Result]:
    """The same covariance again, in other memory as a new message has it, with other expected returns."""

    async def ask(desk: _Desk) -> AsyncIterator[float]:
        market, random = a_market(1000, 100), np.random.default_rng(5)
        problem = a_problem(market)
        for _ in range(2 * _WORKERS):
            await desk.optimize(problem, _LONG_S)
        for _ in range(30):
            mu, sigma = market.mu * random.uniform(0.99, 1.01, 1000), market.sigma.copy()
            moved = problem.moments._replace(expected_returns=mu, covariance=sigma)
            yield await _ms(desk.optimize(replace(problem, moments=moved), _LONG_S))

    extra = {"in_one_process": _alone("MAX_SHARPE", 1000)}
    yield of_samples("portfolio.warm_1000", "ms", _timed(ask), extra=extra)


def from_returns_1000() -> Iterator[Result]:
    """From raw 252×1000 returns: moments, weights, proof."""

    async def ask(desk: _Desk) -> AsyncIterator[float]:
        for seed in range(15):
            market = a_market(1000, 300 + seed)
            started = time.perf_counter()
            moments = await desk.offload(moments_of_returns, market.returns, market.names, 252.0)
            await desk.optimize(a_problem(market, moments=moments), _LONG_S)
            yield (time.perf_counter() - started) * 1e3

    yield of_samples("portfolio.from_returns_1000", "ms", _timed(ask))


def min_cvar() -> Iterator[Result]:
    """Least CVaR of 252×1000 returns with eleven sector caps, cold."""
    result = of_samples("portfolio.min_cvar_252x1000", "ms", _cold(1000, 6, Objective.MIN_CVAR))
    yield _with_peers(result, a_market(1000, 100), "MIN_CVAR", only=("pyportfolioopt", "riskfolio-lib"))


def frontier() -> Iterator[Result]:
    """Fifty points over 500 assets; the peer's time is of five points, times ten."""

    async def points(desk: _Desk, problem: Problem) -> None:
        assert len([point async for point in desk.frontier(problem, 50, _LONG_S)]) == 50

    async def ask(desk: _Desk) -> AsyncIterator[float]:
        for seed in range(6):
            yield await _ms(points(desk, a_problem(a_market(500, 500 + seed))))

    result = of_samples("portfolio.frontier_50x500", "ms", _timed(ask))
    market = a_market(500, 500)
    targets = np.quantile(market.mu, [0.5, 0.6, 0.7, 0.8, 0.9]).tolist()
    yield _with_peers(result, market, "FRONTIER", only=("pyportfolioopt",), times=10.0, targets=targets)


def refusals() -> Iterator[Result]:
    """From question to refusal at N=1000: the slowest kind, which passes every check but the last."""

    async def refused(desk: _Desk, problem: Problem) -> None:
        try:
            await desk.optimize(problem, _LONG_S)
        except Refusal:
            return
        raise AssertionError("This problem has no answer.")

    async def ask(desk: _Desk) -> AsyncIterator[float]:
        problem = replace(a_problem(a_market(1000)), risk_free_rate=9.0)  # nothing earns more
        for _ in range(30):
            yield await _ms(refused(desk, problem))

    yield of_samples("portfolio.refusals_1000", "ms", _timed(ask))


def _with_peers(
    result: Result,
    market: Market,
    objective: str,
    only: Sequence[str] = (),
    times: float = 1.0,
    **words: object,
) -> Result:
    """The result beside each peer on the same problem; the ratio is of the fastest."""
    peers, memory, processor = [], {}, {}
    with tempfile.TemporaryDirectory() as folder:
        path = written(market, Path(folder) / "case.npz", objective, **words)
        for peer in PEERS:
            if only and peer.name not in only:
                continue
            try:
                found = peer.measure(PEER_SCRIPT, peer.name, str(path), "1")
            except PeerMissing as reason:
                print(f"    without {peer.name}: {reason}")
                continue
            value = float(np.median(found["seconds"])) * 1e3 * times
            peers.append({"name": peer.name, "version": found["version"], "value": round(value, 1)})
            memory[peer.name] = found["peak_mb"]
            processor[peer.name] = round(float(np.median(found["cpu_seconds"])) * 1e3 * times, 1)
    if not peers:
        return result
    fastest = min(peer["value"] for peer in peers)
    return replace(
        result,
        peers=peers,
        ratio=round(fastest / result.value, 1),
        ratio_of="peer/ours",
        extra=result.extra | {"peak_mb_of_peers": memory, "cpu_ms_of_peers": processor},
    )


def _alone(objective: str, count: int) -> dict[str, float]:
    """The solver without its service, in a process of its own as the peers have one."""
    command = [sys.executable, str(ALONE), objective, str(count)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY, timeout=120)
    found: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return found
