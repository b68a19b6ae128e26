"""Computes an efficient frontier: the least variance for each of several returns, from the safest to the richest."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from services.portfolio.domain.optimiser.answer import Answer, Proven, Solution
from services.portfolio.domain.optimiser.feasibility import richest
from services.portfolio.domain.optimiser.problem import Objective, Problem
from services.portfolio.domain.optimiser.proof import net_excess
from services.portfolio.ports import Offload, Solver
from services.portfolio.usecases.judge_covariances import JudgeCovariances
from services.portfolio.usecases.optimize import Optimize, proven_answer
from trading.clock import Clock
from trading.errors import InvalidArgument

POINTS, POINTS_MOST = 50, 200
_NEARLY_FEARLESS = 1e-4
"""A risk aversion at which little but the return counts."""


class ComputeFrontier:
    """Answers with points by rising return, each proven like any answer."""

    def __init__(
        self,
        optimize: Optimize,
        solver: Solver,
        judge: JudgeCovariances,
        offload: Offload,
        clock: Clock,
        *,
        workers: int,
        timeout_s: float,
    ) -> None:
        self._optimize = optimize
        self._solver = solver
        self._judge = judge
        self._offload = offload
        self._clock = clock
        self._workers = workers
        self._timeout_s = timeout_s

    async def __call__(self, problem: Problem, points: int, remaining_s: float) -> AsyncGenerator[Proven, None]:
        """The points; raises what `Optimize` raises, InvalidArgument for a number of points out of bounds.

        Stretches of the frontier are solved beside one another, each by one worker that goes from point to point.
        """
        count = points or POINTS
        if not 2 <= count <= POINTS_MOST:
            raise InvalidArgument(f"Expected 2-{POINTS_MOST} points.", field="points", was=count)
        ends_ns = self._clock.monotonic_ns() + int(min(self._timeout_s, remaining_s) * 1e9)
        cost = problem.turnover_cost
        safest = await self._optimize.prepared(_safest(problem))
        problem = replace(safest, turnover_cost=cost)
        prints = await self._optimize.fingerprints(problem)
        self._judge.refuse(prints.covariance)
        targets = await self._targets(safest, problem, count, ends_ns)
        stretches = [
            asyncio.ensure_future(self._stretch(problem, part, ends_ns)) for part in _parts(targets, self._workers)
        ]
        try:
            for stretch in stretches:
                for answer, time_ns in await stretch:
                    psd = self._optimize.standing(problem, prints)
                    yield Proven(answer, time_ns, prints.problem, psd)
        finally:
            for stretch in stretches:
                stretch.cancel()

    async def _targets(self, safest: Problem, problem: Problem, count: int, ends_ns: int) -> Sequence[float]:
        """Returns at equal distances, from the safest portfolio's to the largest that can be reached."""
        least = (await self._solver.solve(safest, self._left(ends_ns))).weights
        if problem.trades_matter or problem.is_semicontinuous:
            eager = replace(problem, objective=Objective.MAX_UTILITY, risk_aversion=_NEARLY_FEARLESS)
            most = (await self._solver.solve(eager, self._left(ends_ns))).weights
        else:
            most = richest(problem, problem.sector_caps())
        ends = [problem.risk_free_rate + net_excess(problem, weights) for weights in (least, most)]
        targets: Sequence[float] = np.linspace(ends[0], max(ends), count).tolist()
        return targets

    async def _stretch(self, problem: Problem, targets: Sequence[float], ends_ns: int) -> Sequence[tuple[Answer, int]]:
        started = self._clock.monotonic_ns()
        asked = [replace(problem, objective=Objective.TARGET_RETURN, target_return=target) for target in targets]
        solutions = await self._solver.solve_all(asked, self._left(ends_ns))
        answers = await self._offload(_proven, asked, solutions)
        time_ns = (self._clock.monotonic_ns() - started) // len(asked)
        return [(answer, time_ns) for answer in answers]

    def _left(self, ends_ns: int) -> float:
        return max((ends_ns - self._clock.monotonic_ns()) / 1e9, 0.0)


def _safest(problem: Problem) -> Problem:
    """The problem of the first point: least variance, whatever its trades cost."""
    return replace(problem, objective=Objective.MIN_VARIANCE, target_return=None, turnover_cost=0.0, returns=None)


def _proven(problems: Sequence[Problem], solutions: Sequence[Solution]) -> list[Answer]:
    return [proven_answer(problem, solution) for problem, solution in zip(problems, solutions, strict=True)]


def _parts(targets: Sequence[float], count: int) -> list[Sequence[float]]:
    """The targets cut into at most `count` stretches of about the same length."""
    cuts = np.linspace(0, len(targets), min(count, len(targets)) + 1).astype(int)
    return [targets[first:last] for first, last in pairwise(cuts)]
