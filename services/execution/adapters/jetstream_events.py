"""Order events on JetStream."""

from collections.abc import Sequence
from functools import lru_cache

from fleet import subjects
from fleet.bus import Bus, Event
from services.execution.domain.charge import LoggedCharge
from services.execution.ports.log import OutboxRow
from services.execution.translate import reports

_SOURCE = "execution"


class JetStreamEvents:
    """Publishes outbox rows; the event id makes a second publish of one a no-op."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def publish(self, rows: Sequence[OutboxRow]) -> Sequence[OutboxRow]:
        """Publish events and wait for their acks; gives back those without one."""
        outcomes = await self._bus.publish_events([_event(row) for row in rows])
        return [row for row, failure in zip(rows, outcomes, strict=True) if failure is not None]

    async def publish_charges(self, charges: Sequence[LoggedCharge]) -> Sequence[LoggedCharge]:
        """Publish charges and wait for their acks; gives back those without one."""
        outcomes = await self._bus.publish_events([_charge_event(logged) for logged in charges])
        return [logged for logged, failure in zip(charges, outcomes, strict=True) if failure is not None]


def _charge_event(logged: LoggedCharge) -> Event:
    charge = logged.charge
    return Event(
        subjects.charge(charge.kind, charge.account),
        reports.charge(logged).SerializeToString(),
        charge.charge_id,
        f"execution.v1.charge.{charge.kind.lower()}",
        _SOURCE,
        charge.receive_time_ns,
    )


def _event(row: OutboxRow) -> Event:
    subject, event_type = _names(row.kind, row.account)
    return Event(subject, row.payload, row.event_id, event_type, _SOURCE, row.time_ns, row.traceparent)


@lru_cache(maxsize=1024)
def _names(kind: str, account: str) -> tuple[str, str]:
    return subjects.order_event(kind, account), f"execution.v1.order.{kind.lower()}"
