"""Every named error has a kind and a reason, and can be made again from them."""

import pickle

import pytest

from trading import errors
from trading.errors import Kind, TradingError, named

CLASSES = [
    found
    for found in vars(errors).values()
    if isinstance(found, type) and issubclass(found, TradingError) and hasattr(found, "REASON")
]


def test_the_tree_of_the_docstring_is_the_tree_of_the_classes() -> None:
    drawn = {line.strip("│├└─ ").split()[0] for line in (errors.__doc__ or "").splitlines() if "── " in line}
    assert drawn == {found.__name__ for found in CLASSES}


@pytest.mark.parametrize("error_class", CLASSES, ids=lambda found: found.__name__)
def test_a_class_has_the_kind_of_its_parent(error_class: type[TradingError]) -> None:
    error = error_class("Why not.", field="side")  # type: ignore[call-arg, arg-type]
    assert error.kind in Kind
    assert (str(error), error.message, error.metadata) == ("Why not.", "Why not.", {"field": "side"})
    parent = error_class.__mro__[1]
    assert getattr(parent, "KIND", error.kind) is error.kind


@pytest.mark.parametrize("error_class", CLASSES, ids=lambda found: found.__name__)
def test_an_error_is_made_again_from_its_kind_and_reason(error_class: type[TradingError]) -> None:
    error = error_class("Why not.")  # type: ignore[call-arg, arg-type]
    again = named(error.kind, error.reason, error.message, {"limit": 5})
    assert type(again) is error_class
    assert again.metadata == {"limit": 5}


def test_a_reason_of_a_service_keeps_the_class_of_its_kind() -> None:
    error = named(Kind.FAILED_PRECONDITION, "MARKET_CLOSED", "Closed.", {})
    assert type(error) is errors.FailedPrecondition
    assert error.reason == "MARKET_CLOSED"


def test_a_kind_without_a_class_is_a_plain_trading_error() -> None:
    error = named(Kind.ABORTED, "LEASE_LOST", "Fenced.", {})
    assert type(error) is TradingError
    assert (error.kind, error.reason) == (Kind.ABORTED, "LEASE_LOST")


def test_foreign_metadata_may_use_any_key() -> None:
    metadata = {"kind": "a", "reason": "b", "message": "c", "self": "d"}
    assert named(Kind.NOT_FOUND, "UNKNOWN_ORDER", "None.", metadata).metadata == metadata
    assert TradingError(Kind.INTERNAL, "R", "m", kind="a", reason="b").metadata == {"kind": "a", "reason": "b"}


def test_a_classes_of_a_service_are_not_confused_with_ours() -> None:
    class PositionLimitExceeded(errors.FailedPrecondition):
        REASON = "POSITION_LIMIT_EXCEEDED"

    assert type(named(Kind.FAILED_PRECONDITION, "POSITION_LIMIT_EXCEEDED", "", {})) is errors.FailedPrecondition
    assert PositionLimitExceeded("Too much.").reason == "POSITION_LIMIT_EXCEEDED"


@pytest.mark.parametrize(
    "error",
    [
        errors.UnknownSymbol("None is called X.", symbol="X"),
        errors.FailedPrecondition("Closed.", reason="MARKET_CLOSED", opens_ns=5),
        TradingError(Kind.INTERNAL, "SOLVER_FAILED", "It ended as 3.", route="qp"),
    ],
)
def test_an_error_survives_the_way_back_from_a_worker_process(error: TradingError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert vars(again) == vars(error)
