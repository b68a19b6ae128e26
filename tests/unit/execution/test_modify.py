"""The story of a change of a working order."""

from dataclasses import replace

from builders.execution import RHYTHM, a_desk
from builders.orders import LIMIT

from services.execution.domain.change import Change
from trading.money import ONE
from trading.order import OrderStatus

NEVER = replace(RHYTHM, in_flight_every_s=3600.0)


async def test_a_change_is_said_in_the_log_and_answered_by_the_venue() -> None:
    """PENDING_UPDATE first, UPDATED after it; the order works on under its new terms."""
    async with a_desk(rhythm=NEVER) as desk:
        order_id = (await desk.sent(**LIMIT)).order.order_id
        live = await desk.modify(order_id, Change(quantity_nanos=12 * ONE))
        assert (live.order.status, live.order.terms.quantity_nanos) == (OrderStatus.ACCEPTED, 12 * ONE)
        assert (live.order.wished, live.order.replacements) == (None, 1)
        await desk.journal.flush()
        assert [e.event.kind for e in desk.store.entries][-2:] == ["PENDING_UPDATE", "UPDATED"]
