"""A replica that does not lead knows no orders yet, and says so."""

import pytest
from builders.execution import a_desk, after_crash

from trading.errors import Unavailable
from trading.order import TradingState


async def test_what_is_asked_before_the_log_is_recalled_is_not_answered() -> None:
    """Neither with what the store says now, which will be stale, nor with nothing."""
    async with a_desk() as desk:
        order_id = (await desk.sent(client_order_id="mine")).order.order_id
        await desk.journal.flush()
        replica = after_crash(desk)
        for question in (replica.orders.need(order_id), replica.orders.need_by_client_id("main", "mine")):
            with pytest.raises(Unavailable):
                await question
        with pytest.raises(Unavailable):
            replica.cancel.cancel_all()
        with pytest.raises(Unavailable):
            await replica.control.set_trading_state("", TradingState.HALTED, "test", "", cancel_open=False)
