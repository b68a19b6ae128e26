"""Follows one rebalance until its end."""

from collections.abc import AsyncIterator

from services.portfolio.domain.rebalance import Rebalance
from services.portfolio.ports import Rebalances
from services.portfolio.usecases.changes import Changes
from services.portfolio.usecases.execute_rebalance import FindRebalance


class WatchRebalance:
    """Answers with the newest version after each change; versions that a slow reader missed are left out."""

    def __init__(self, rebalances: Rebalances, changes: Changes, *, look_again_s: float) -> None:
        self._find = FindRebalance(rebalances)
        self._changes = changes
        self._look_again_s = look_again_s

    async def __call__(self, rebalance_id: str) -> AsyncIterator[Rebalance]:
        """The rebalance now and after each change, up to its end; raises NotFound."""
        seen = 0
        while True:
            found = await self._find(rebalance_id)
            if found.version > seen:
                seen = found.version
                yield found
            if found.is_ended:
                return
            await self._changes.next(self._look_again_s)
