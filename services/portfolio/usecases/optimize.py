"""Chooses weights: refuses what has no answer, lets a worker solve, and proves the answer before giving it."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from services.portfolio.domain.optimiser.answer import Answer, Proven, Solution, answer_of
from services.portfolio.domain.optimiser.feasibility import refuse_infeasible
from services.portfolio.domain.optimiser.problem import Fingerprints, Problem
from services.portfolio.domain.optimiser.proof import TOLERANCE
from services.portfolio.ports import MarketData, Offload, Solver
from services.portfolio.usecases.judge_covariances import JudgeCovariances
from services.portfolio.usecases.know_covariances import KnowCovariances
from trading.clock import Clock
from trading.errors import Kind, TradingError

_LARGEST_RESIDUAL = 1e-5
"""Optimality conditions broken by more than this are no optimum, whatever the solver says."""


class Optimize:
    """Answers optimisation problems."""

    def __init__(
        self,
        solver: Solver,
        market_data: MarketData,
        offload: Offload,
        judge: JudgeCovariances,
        know: KnowCovariances,
        clock: Clock,
        *,
        timeout_s: float,
    ) -> None:
        self._solver = solver
        self._market_data = market_data
        self._offload = offload
        self._judge = judge
        self._know = know
        self._clock = clock
        self._timeout_s = timeout_s

    async def __call__(self, problem: Problem, remaining_s: float) -> Proven:
        """The proven best weights; raises Refusal, DeadlineExceeded, ResourceExhausted or Unavailable."""
        started = self._clock.monotonic_ns()
        problem = await self.prepared(problem)
        hashing = asyncio.ensure_future(self.fingerprints(problem))
        try:
            if self._judge.has_refused:
                self._judge.refuse((await hashing).covariance)
            solution = await self._solver.solve(problem, min(self._timeout_s, remaining_s))
            answer = await self._offload(proven_answer, problem, solution)
            prints = await hashing
        finally:
            hashing.cancel()
        psd = self.standing(problem, prints)
        return Proven(answer, self._clock.monotonic_ns() - started, prints.problem, psd)

    async def prepared(self, problem: Problem) -> Problem:
        """The problem with its sectors; raises Refusal when it can be seen that it has no answer."""
        return await self._offload(self._accepted, await self._with_sectors(problem))

    def _accepted(self, problem: Problem) -> Problem:
        known = self._know.recalled(problem)
        refuse_infeasible(known)
        return known

    async def fingerprints(self, problem: Problem) -> Fingerprints:
        """Those of a prepared problem."""
        return await self._offload(self._know.fingerprints, problem)

    def standing(self, problem: Problem, prints: Fingerprints) -> str:
        """What is known of a covariance that has an answer, which is kept for the next question."""
        self._know.keep(problem.moments.covariance, prints.covariance)
        return self._judge.standing(problem, prints.covariance)

    async def _with_sectors(self, problem: Problem) -> Problem:
        """Sectors that the caller left out come from the instruments, when a cap needs them."""
        given = problem.constraints.sectors
        if not problem.constraints.sector_caps or all(given.get(symbol) for symbol in problem.symbols):
            return problem
        known = await self._market_data.sectors()
        sectors: Mapping[str, str] = {
            symbol: given.get(symbol) or known.get(symbol.upper(), "") for symbol in problem.symbols
        }
        return replace(problem, constraints=replace(problem.constraints, sectors=sectors))


def proven_answer(problem: Problem, solution: Solution) -> Answer:
    """The answer that a solution is; raises UNPROVEN_ANSWER for one that fails its proof."""
    answer = answer_of(problem, solution)
    if answer.max_violation > TOLERANCE or answer.kkt_residual > _LARGEST_RESIDUAL:
        raise TradingError(
            Kind.INTERNAL,
            "UNPROVEN_ANSWER",
            "The solver's answer did not pass its proof and is withheld.",
            max_violation=answer.max_violation,
            kkt_residual=answer.kkt_residual,
            status=solution.status,
        )
    return answer
