"""Changes of positions on JetStream."""

from collections.abc import Sequence

from fleet import subjects
from fleet.bus import Bus, Event
from services.portfolio.ports import ValuedChange
from services.portfolio.translate.book import change_message
from trading.ids import hashed_id

EVENT_TYPE = "portfolio.v1.position.changed"
_SOURCE = "portfolio"


class NatsPositions:
    """Publishes PositionChanged; its id is a function of the fill's, so telling it twice stores it once."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def tell(self, changes: Sequence[ValuedChange]) -> None:
        """Publish together and wait for the acks; raises Unavailable."""
        for failure in await self._bus.publish_events([_event(change) for change in changes]):
            if failure is not None:
                raise failure


def _event(told: ValuedChange) -> Event:
    position = told.change.position
    return Event(
        subjects.position_changed(position.account),
        change_message(*told).SerializeToString(),
        position_event_id(told.change.event_id),
        EVENT_TYPE,
        _SOURCE,
        position.updated_time_ns,
    )


def position_event_id(fill_event_id: str) -> str:
    """The id of the event that a fill causes."""
    return hashed_id(EVENT_TYPE, fill_event_id)
