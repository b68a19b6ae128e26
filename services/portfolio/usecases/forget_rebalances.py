"""Drops rebalances that nobody will ask for any more, so that schedules do not fill the disk."""

from services.portfolio.ports import Rebalances
from trading.clock import DAY_NS, Clock


class ForgetRebalances:
    """Keeps rebalances for some days; what is under way or untold is kept longer."""

    def __init__(self, rebalances: Rebalances, clock: Clock, *, keep_days: int) -> None:
        self._rebalances = rebalances
        self._clock = clock
        self._keep_ns = keep_days * DAY_NS

    async def __call__(self) -> int:
        """Drop the old ones and give back how many; raises Unavailable when the database is gone."""
        return await self._rebalances.forget(self._clock.now_ns() - self._keep_ns)
