"""The published table of statuses, a test for each row, for every state that the contract knows."""

import re
from decimal import Decimal
from pathlib import Path

import pytest
from neural_trader.results import STATES, OrderPending, ResultStatus, result_status

from neuraltrader.execution.v1 import execution_pb2

DOCUMENT = Path(__file__).parents[3] / "docs" / "orders.md"
PENDING = "OrderPending"
ROWS = [
    ("INITIALIZED", PENDING, PENDING),
    ("DENIED", "REJECTED", "PARTIAL"),
    ("EMULATED", PENDING, PENDING),
    ("RELEASED", PENDING, PENDING),
    ("SUBMITTED", PENDING, PENDING),
    ("ACCEPTED", PENDING, PENDING),
    ("REJECTED", "REJECTED", "PARTIAL"),
    ("CANCELED", "REJECTED", "PARTIAL"),
    ("EXPIRED", "REJECTED", "PARTIAL"),
    ("TRIGGERED", PENDING, PENDING),
    ("PENDING_UPDATE", PENDING, PENDING),
    ("PENDING_CANCEL", PENDING, PENDING),
    ("PARTIALLY_FILLED", "PARTIAL", "PARTIAL"),
    ("FILLED", "FILLED", "FILLED"),
    ("UNRESOLVED", PENDING, PENDING),
]


def answer(status: str, filled: str) -> str:
    """What the function says, its named error included."""
    try:
        return result_status("order-1", status, Decimal(filled)).value
    except OrderPending:
        return PENDING


@pytest.mark.parametrize(("status", "without_fills", "with_fills"), ROWS, ids=[row[0] for row in ROWS])
def test_every_row_of_the_table_holds(status: str, without_fills: str, with_fills: str) -> None:
    assert (answer(status, "0"), answer(status, "0.000000001")) == (without_fills, with_fills)


def test_the_table_has_every_state_of_the_contract() -> None:
    states = {name.removeprefix("ORDER_STATUS_") for name, value in execution_pb2.OrderStatus.items() if value}
    assert {row[0] for row in ROWS} == set(STATES) == states


def test_the_published_table_is_this_one() -> None:
    row = re.compile(r"^\| `([A-Z_]+)` \| `(\w+)` \| `(\w+)` \|$", re.MULTILINE)
    assert row.findall(DOCUMENT.read_text()) == ROWS


def test_an_order_that_still_works_is_named() -> None:
    with pytest.raises(OrderPending, match="order-1 is ACCEPTED") as pending:
        result_status("order-1", "ACCEPTED", Decimal(0))
    assert (pending.value.order_id, pending.value.status) == ("order-1", "ACCEPTED")


def test_a_state_that_does_not_exist_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="'DONE'"):
        result_status("order-1", "DONE", Decimal(0))


def test_the_statuses_are_the_seeds() -> None:
    assert {status.value for status in ResultStatus} == {"FILLED", "PARTIAL", "REJECTED"}
