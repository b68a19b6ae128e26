"""Changes of positions on JetStream."""

from fleet import subjects
from fleet.bus import Bus
from services.portfolio.domain.account import PositionChange, PositionValue
from services.portfolio.translate import change_message
from trading.ids import hashed_id

EVENT_TYPE = "portfolio.v1.position.changed"
_SOURCE = "portfolio"


class NatsPositions:
    """Publishes PositionChanged; its id is a function of the fill's, so telling it twice stores it once."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def tell(self, change: PositionChange, value: PositionValue, cash_nanos: int) -> None:
        """Publish and wait for the ack; raises Unavailable."""
        position = change.position
        await self._bus.publish_event(
            subjects.position_changed(position.account),
            change_message(change, value, cash_nanos).SerializeToString(),
            event_id=position_event_id(change.event_id),
            event_type=EVENT_TYPE,
            source=_SOURCE,
            time_ns=position.updated_time_ns,
        )


def position_event_id(fill_event_id: str) -> str:
    """The id of the event that a fill causes."""
    return hashed_id(EVENT_TYPE, fill_event_id)
