"""Order events on JetStream."""

from fleet import subjects
from fleet.bus import Bus
from services.execution.ports import OutboxRow

_SOURCE = "execution"


class JetStreamEvents:
    """Publishes outbox rows; the event id makes a second publish of one a no-op."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def publish(self, row: OutboxRow) -> None:
        """Publish one event and wait for its ack; raises Unavailable."""
        await self._bus.publish_event(
            subjects.order_event(row.kind, row.account),
            row.payload,
            event_id=row.event_id,
            event_type=f"execution.v1.order.{row.kind.lower()}",
            source=_SOURCE,
            time_ns=row.time_ns,
            traceparent=row.traceparent,
        )
