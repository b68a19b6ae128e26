"""Chooses weights: refuses what has no answer, lets a worker solve, and proves the answer before giving it."""

from collections.abc import Mapping
from dataclasses import replace

from services.portfolio.domain.optimiser.answer import Answer, Proven, answer_of
from services.portfolio.domain.optimiser.feasibility import refuse_infeasible
from services.portfolio.domain.optimiser.problem import Problem, fingerprint
from services.portfolio.domain.optimiser.proof import TOLERANCE
from services.portfolio.ports import MarketData, Offload, Solver
from trading.clock import Clock
from trading.errors import Kind, TradingError

_LARGEST_RESIDUAL = 1e-5
"""Optimality conditions broken by more than this are no optimum, whatever the solver says."""


class Optimize:
    """Answers optimisation problems."""

    def __init__(
        self, solver: Solver, market_data: MarketData, offload: Offload, clock: Clock, *, timeout_s: float
    ) -> None:
        self._solver = solver
        self._market_data = market_data
        self._offload = offload
        self._clock = clock
        self._timeout_s = timeout_s

    async def __call__(self, problem: Problem, remaining_s: float) -> Proven:
        """The proven best weights; raises Refusal, DeadlineExceeded, ResourceExhausted or Unavailable."""
        started = self._clock.monotonic_ns()
        problem = await self._with_sectors(problem)
        sha256 = await self._offload(_judge, problem)
        solution = await self._solver.solve(problem, min(self._timeout_s, remaining_s))
        answer = await self._offload(answer_of, problem, solution)
        _require_proof(answer)
        return Proven(answer, self._clock.monotonic_ns() - started, sha256)

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


def _judge(problem: Problem) -> str:
    refuse_infeasible(problem)
    return fingerprint(problem)


def _require_proof(answer: Answer) -> None:
    if answer.max_violation > TOLERANCE or answer.kkt_residual > _LARGEST_RESIDUAL:
        raise TradingError(
            Kind.INTERNAL,
            "UNPROVEN_ANSWER",
            "The solver's answer did not pass its proof and is withheld.",
            max_violation=answer.max_violation,
            kkt_residual=answer.kkt_residual,
            status=answer.solution.status,
        )
