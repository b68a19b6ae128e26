"""A bracket in a desk: its parts, the markets that reach them, and the desk after a crash."""

from dataclasses import replace
from typing import Any

from builders.execution import PATIENCE_S, RHYTHM, Desk, after_crash, until
from builders.orders import LIMIT, MAIN

from services.execution.domain.bracket import leg_terms
from services.execution.usecases.blotter import LiveOrder
from trading.ids import OrderId
from trading.money import ONE
from trading.order import OrderStatus, OrderType

NEVER = replace(RHYTHM, in_flight_every_s=3600.0)
BRACKET: dict[str, Any] = {**LIMIT, "take_profit_nanos": 110 * ONE, "stop_loss_nanos": 90 * ONE}
PROFIT, LOSS = (111, 112), (89, 90)
"""Markets that reach the one leg and the other."""


class Trade:
    """A bracket by its parts, found again on whichever desk holds it."""

    def __init__(self, desk: Desk, order_id: OrderId) -> None:
        self.desk = desk
        self.entry = desk.live(order_id)
        self.profit, self.loss = (desk.live(terms.order_id) for terms in leg_terms(self.entry.order.terms))

    @property
    def statuses(self) -> tuple[OrderStatus, OrderStatus, OrderStatus]:
        """Where entry, profit and loss stand."""
        return self.entry.order.status, self.profit.order.status, self.loss.order.status

    async def fill(self, live: LiveOrder, quantity: int, price: int = 100) -> None:
        """An order trades, and we hear of it."""
        goal = live.order.filled_nanos + quantity * ONE
        self.desk.broker.fill(live.order.order_id, quantity, price)
        assert await live.until(lambda order: order.filled_nanos == goal, PATIENCE_S)

    async def until(self, entry: str, profit: str, loss: str) -> None:
        """Wait until all three stand so."""
        await until(lambda: self.statuses == (entry, profit, loss))

    def sent(self, live: LiveOrder) -> tuple[OrderType, int, int | None]:
        """What the venue was asked for: type, quantity in whole units, price."""
        terms = self.desk.broker.terms[live.order.order_id]
        return terms.order_type, terms.quantity_nanos // ONE, terms.price_nanos

    @property
    def held(self) -> int:
        """The position in whole units."""
        return self.desk.blotter.holdings[MAIN].position("AAPL").quantity_nanos // ONE


async def a_trade(desk: Desk, *, filled: int = 0, **order: Any) -> Trade:
    """A bracket around an entry of ten at the venue."""
    trade = Trade(desk, (await desk.sent(**{**BRACKET, **order})).order.order_id)
    if filled:
        await trade.fill(trade.entry, filled)
    return trade


async def reborn(trade: Trade) -> Desk:
    """The next process, after a kill -9 with everything in the log."""
    await trade.desk.journal.flush()
    desk = after_crash(trade.desk, NEVER)
    desk.broker.submitted = list(trade.desk.broker.submitted)
    return desk
