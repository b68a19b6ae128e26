"""A trade as the log remembers it."""

from typing import NamedTuple

from services.execution.domain.order import Execution
from trading.ids import AccountId, EventId, OrderId
from trading.order import Side


class LoggedFill(NamedTuple):
    """One trade of one order, with its place in the log; times in ns UTC."""

    log_sequence: int
    event_id: EventId
    order_id: OrderId
    account: AccountId
    symbol: str
    side: Side
    currency: str
    event_time_ns: int
    execution: Execution
