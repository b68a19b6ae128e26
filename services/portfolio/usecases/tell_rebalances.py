"""Publishes what has become of rebalances: each one's newest version, until all are told."""

from services.portfolio.ports import RebalanceEvents, Rebalances


class TellRebalances:
    """The relay between the proposals' table and the stream; a version that was told twice is one event."""

    def __init__(self, rebalances: Rebalances, events: RebalanceEvents, *, batch: int) -> None:
        self._rebalances = rebalances
        self._events = events
        self._batch = batch

    async def __call__(self) -> int:
        """Publish everything that waits and give back how many; raises Unavailable when the stream is away."""
        told = 0
        while waiting := await self._rebalances.untold(self._batch):
            await self._events.tell(waiting)
            for rebalance in waiting:
                await self._rebalances.told(rebalance)
            told += len(waiting)
        return told
