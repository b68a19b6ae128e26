"""Changes of rebalances on JetStream."""

from collections.abc import Sequence

from fleet import subjects
from fleet.bus import Bus, Event
from services.portfolio.domain.rebalance import Rebalance
from services.portfolio.translate.rebalance import rebalance_message
from trading.ids import hashed_id

EVENT_TYPE = "portfolio.v1.rebalance"
_SOURCE = "portfolio"


class NatsRebalances:
    """Publishes a rebalance after its changes; an event's id is a function of the rebalance and its version."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def tell(self, rebalances: Sequence[Rebalance]) -> None:
        """Publish together and wait for the acks; raises Unavailable."""
        for failure in await self._bus.publish_events([_event(rebalance) for rebalance in rebalances]):
            if failure is not None:
                raise failure


def _event(rebalance: Rebalance) -> Event:
    return Event(
        subjects.rebalance(rebalance.state, rebalance.account),
        rebalance_message(rebalance).SerializeToString(),
        hashed_id(EVENT_TYPE, rebalance.id, rebalance.version),
        f"{EVENT_TYPE}.{rebalance.state.lower()}",
        _SOURCE,
        rebalance.updated_time_ns,
    )
