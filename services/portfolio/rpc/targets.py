"""Target weights of a rebalance, found by the optimiser for a problem in its wire form."""

from collections.abc import Mapping

from fleet import deadline
from neuraltrader.portfolio.v1 import portfolio_service_pb2 as calls
from services.portfolio.ports import Offload
from services.portfolio.translate import optimisation
from services.portfolio.usecases.optimize import Optimize
from services.portfolio.usecases.read_returns import ReadReturns

_NO_DEADLINE_S = 3600.0
_DUST = 1e-9
"""A weight this small is what a solver leaves instead of zero; nobody wants to trade it."""


class OptimisedTargets:
    """Answers as PortfolioService.Optimize does; a window is read anew each time."""

    def __init__(self, optimize: Optimize, returns: ReadReturns, offload: Offload) -> None:
        self._optimize = optimize
        self._returns = returns
        self._offload = offload

    async def __call__(self, optimize: bytes) -> Mapping[str, float]:
        """Weight by symbol; raises what the optimiser raises."""
        request = calls.OptimizeRequest.FromString(optimize)
        window = await self._returns(request.symbols, request.window.days) if request.HasField("window") else None
        problem = await self._offload(optimisation.problem_of, request, window)
        proven = await self._optimize(problem, deadline.remaining(_NO_DEADLINE_S))
        found = proven.answer.allocations
        return {symbol: weight if abs(weight) > _DUST else 0.0 for symbol, weight in found.items()}
