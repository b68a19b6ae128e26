"""An order's fifteen states as the three statuses that a submit promises; published in docs/orders.md."""

from decimal import Decimal
from enum import StrEnum
from typing import Literal


class ResultStatus(StrEnum):
    """What became of an order, in the seed's words."""

    FILLED = "FILLED"
    PARTIAL = "PARTIAL"
    REJECTED = "REJECTED"


class OrderPending(Exception):
    """The wait has ended and the order still works: ask for it by its id, or wait again."""

    def __init__(self, order_id: str, status: str) -> None:
        super().__init__(f"Order {order_id} is {status} and still works.")
        self.order_id = order_id
        self.status = status


State = Literal["closed", "working"]
STATES: dict[str, State] = {
    "INITIALIZED": "working",
    "DENIED": "closed",
    "EMULATED": "working",
    "RELEASED": "working",
    "SUBMITTED": "working",
    "ACCEPTED": "working",
    "REJECTED": "closed",
    "CANCELED": "closed",
    "EXPIRED": "closed",
    "TRIGGERED": "working",
    "PENDING_UPDATE": "working",
    "PENDING_CANCEL": "working",
    "PARTIALLY_FILLED": "working",
    "FILLED": "closed",
    "UNRESOLVED": "working",
}
"""Whether an order in a state can still trade, as far as the state tells."""


def result_status(order_id: str, status: str, filled_quantity: Decimal) -> ResultStatus:
    """The status of a result when the wait for an order has ended.

    `status` is one of the fifteen states, `filled_quantity` what has traded. Raises OrderPending for an order that
    still works (PARTIALLY_FILLED is an answer), ValueError for a state that does not exist.
    """
    if status not in STATES:
        raise ValueError(f"Expected a state of an order, was {status!r}.")
    if status == "FILLED":
        return ResultStatus.FILLED
    if status == "PARTIALLY_FILLED":
        return ResultStatus.PARTIAL
    if STATES[status] == "working":
        raise OrderPending(order_id, status)
    return ResultStatus.PARTIAL if filled_quantity else ResultStatus.REJECTED
