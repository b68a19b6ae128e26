"""Simulates the losses of positions from their own history."""

from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.risk_inputs import DEFAULT_WINDOW_DAYS, Subject
from services.portfolio.domain.simulation import LossDistribution, Plan, require_plan, simulate
from services.portfolio.ports import Offload
from services.portfolio.usecases.read_exposures import ReadExposures
from services.portfolio.usecases.read_returns import ReadReturns
from trading.errors import InvalidArgument


class SimulateLosses:
    """Runs bounded simulations away from the event loop."""

    def __init__(self, exposures: ReadExposures, returns: ReadReturns, offload: Offload, *, cells_max: int) -> None:
        self._exposures = exposures
        self._returns = returns
        self._offload = offload
        self._cells_max = cells_max

    async def __call__(
        self, subject: Subject, plan: Plan, window_days: int, returns: Floats | None
    ) -> LossDistribution:
        """The distribution; the same positions, history, plan and seed have the same one.

        Raises InvalidArgument for a plan out of bounds and SIMULATION_TOO_LARGE, and what ReadExposures and
        ReadReturns raise.
        """
        exposures = await self._exposures(subject)
        require_plan(plan, len(exposures.symbols), self._cells_max)
        if returns is not None and (subject.given() is None or window_days):
            raise InvalidArgument("Expected returns of given symbols and no window beside them.", field="returns")
        if returns is None:
            returns = await self._returns(exposures.symbols, window_days or DEFAULT_WINDOW_DAYS)
        return await self._offload(simulate, exposures, returns, plan)
