"""The one transition table, against the specification written down a second time."""

import pytest
from pages.order_lifecycle import PAGE, page

from services.execution.domain.lifecycle import next_status
from trading.errors import InvalidStateTransition
from trading.order import OrderEventKind, OrderStatus

# The rows of the specification: what each event leads to from each state, by name, "" for forbidden. FILL is given
# for a fill that leaves something and for one that leaves nothing, as is UPDATED.
SPECIFICATION = {
    "INITIALIZED": "DENIED EMULATED RELEASED SUBMITTED REJECTED ACCEPTED CANCELED EXPIRED TRIGGERED",
    "DENIED": "",
    "EMULATED": "CANCELED EXPIRED RELEASED",
    "RELEASED": "DENIED SUBMITTED CANCELED",
    "SUBMITTED": "PENDING_UPDATE PENDING_CANCEL REJECTED CANCELED EXPIRED TRIGGERED ACCEPTED FILL UNRESOLVED",
    "ACCEPTED": "REJECTED PENDING_UPDATE PENDING_CANCEL CANCELED TRIGGERED EXPIRED FILL",
    "REJECTED": "",
    "CANCELED": "FILL",
    "EXPIRED": "FILL",
    "TRIGGERED": "REJECTED PENDING_UPDATE PENDING_CANCEL CANCELED EXPIRED FILL",
    "PENDING_UPDATE": (
        "REJECTED ACCEPTED CANCELED EXPIRED TRIGGERED PENDING_UPDATE PENDING_CANCEL FILL UNRESOLVED UPDATED "
        "MODIFY_REJECTED"
    ),
    "PENDING_CANCEL": "REJECTED PENDING_CANCEL CANCELED EXPIRED ACCEPTED FILL UNRESOLVED CANCEL_REJECTED",
    "PARTIALLY_FILLED": "PENDING_UPDATE PENDING_CANCEL CANCELED EXPIRED FILL",
    "FILLED": "",
    "UNRESOLVED": "ACCEPTED REJECTED TRIGGERED PENDING_CANCEL FILL CANCELED EXPIRED",
}
BEFORE = OrderStatus.TRIGGERED
CASES = [(status, kind) for status in OrderStatus for kind in OrderEventKind]


def test_the_specification_names_every_state_and_event() -> None:
    """Fifteen states by sixteen events."""
    assert set(SPECIFICATION) == set(OrderStatus)
    assert {kind for row in SPECIFICATION.values() for kind in row.split()} == set(OrderEventKind)
    assert len(CASES) == 240


@pytest.mark.parametrize(("status", "kind"), CASES)
@pytest.mark.parametrize("whole", [True, False])
def test_every_state_takes_exactly_the_events_of_the_specification(
    status: OrderStatus, kind: OrderEventKind, whole: bool
) -> None:
    """Each of the 240 pairs, for fills that leave something and for fills that leave nothing."""
    if kind not in SPECIFICATION[status].split():
        with pytest.raises(InvalidStateTransition):
            next_status(status, kind, before=BEFORE, whole=whole)
        return
    assert next_status(status, kind, before=BEFORE, whole=whole) is _expected(status, kind, whole)


def test_the_page_of_the_lifecycle_is_current() -> None:
    """docs/order-lifecycle.md says what the code does; `make lifecycle` writes it."""
    assert PAGE.read_text() == page()


def _expected(status: OrderStatus, kind: OrderEventKind, whole: bool) -> OrderStatus:
    if kind == "UPDATED" and whole:
        return OrderStatus.FILLED
    if kind in ("UPDATED", "MODIFY_REJECTED", "CANCEL_REJECTED"):
        return BEFORE
    if kind == "FILL":
        if whole:
            return OrderStatus.FILLED
        return status if status in ("CANCELED", "EXPIRED") else OrderStatus.PARTIALLY_FILLED
    return OrderStatus(kind)
