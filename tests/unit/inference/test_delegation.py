"""What a foreign server must offer, and who may stand in for it."""

from typing import Any

import msgspec
import numpy as np
import pytest
from builders.inference import a_card
from hypothesis import given
from hypothesis import strategies as st

from services.inference.domain.calibration import Calibration
from services.inference.domain.delegation import (
    Delegation,
    Ends,
    Offered,
    check_fallback,
    ends_of,
    logits_in,
    recalibrated,
)
from services.inference.domain.errors import ModelRefused
from services.inference.domain.features import FEATURES
from trading.errors import FailedPrecondition

WIDTH = len(FEATURES)
SAMPLES = Offered("x", "FP32", (-1, WIDTH))


@pytest.mark.parametrize(
    ("outputs", "logit"),
    [
        ([Offered("logit", "FP32", (-1, 1)), Offered("confidence", "FP64", (-1, 1))], "logit"),
        ([Offered("y", "FP64", (-1, 1))], "y"),
    ],
)
def test_the_logit_is_found_by_its_name_or_because_it_is_alone(outputs: list[Offered], logit: str) -> None:
    assert ends_of(a_card(), [SAMPLES], outputs) == Ends("x", logit)


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ([], [Offered("y", "FP32", (-1, 1))]),
        ([SAMPLES, SAMPLES], [Offered("y", "FP32", (-1, 1))]),
        ([Offered("x", "FP64", (-1, WIDTH))], [Offered("y", "FP32", (-1, 1))]),
        ([Offered("x", "FP32", (-1, WIDTH + 1))], [Offered("y", "FP32", (-1, 1))]),
        ([Offered("x", "FP32", (-1, 3, WIDTH))], [Offered("y", "FP32", (-1, 1))]),
        ([SAMPLES], [Offered("y", "FP32", (-1, 1)), Offered("z", "FP32", (-1, 1))]),
        ([SAMPLES], [Offered("y", "BYTES", (-1, 1))]),
        ([SAMPLES], []),
    ],
)
def test_a_server_that_runs_something_else_is_refused(inputs: list[Offered], outputs: list[Offered]) -> None:
    with pytest.raises(FailedPrecondition, match="Expected one FP32 input") as refused:
        ends_of(a_card(), inputs, outputs)
    assert refused.value.reason == "DELEGATE_MISFIT"


def test_logits_come_back_in_the_servers_datatype() -> None:
    for datatype, kind in (("FP32", np.float32), ("FP64", np.float64), ("FP16", np.float16)):
        assert logits_in(np.array([0.5, -2], kind).tobytes(), datatype, 2).tolist() == [0.5, -2]


@pytest.mark.parametrize(("size", "datatype"), [(4, "FP32"), (12, "FP32"), (8, "BYTES"), (8, "")])
def test_an_answer_of_another_length_or_kind_is_refused(size: int, datatype: str) -> None:
    with pytest.raises(FailedPrecondition, match="Expected 2 numbers"):
        logits_in(bytes(size), datatype, 2)


@pytest.mark.parametrize(
    "changes",
    [{"features": FEATURES[1:]}, {"horizon_ns": 1}, {"calibration": None}, {"window": 4}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_version_that_means_something_else_cannot_stand_in(changes: dict[str, Any]) -> None:
    check_fallback(a_card(), a_card(version="2", calibration=Calibration(2.0, 1.0)))
    with pytest.raises(ModelRefused, match="cannot stand in"):
        check_fallback(a_card(), a_card(version="2", **changes))


@given(
    st.floats(-20, 20), st.tuples(st.floats(0.1, 5), st.floats(-3, 3)), st.tuples(st.floats(0.1, 5), st.floats(-3, 3))
)
def test_a_stand_ins_probability_survives_the_others_calibration(
    logit: float, spoken: tuple[float, float], heard: tuple[float, float]
) -> None:
    said, understood = Calibration(*spoken), Calibration(*heard)
    moved = recalibrated(np.array([logit]), said, understood)
    assert understood.probabilities(moved) == pytest.approx(said.probabilities(np.array([logit])), rel=1e-6, abs=1e-12)


def test_without_calibrations_logits_stay_as_they_are() -> None:
    logits = np.array([1.0])
    assert recalibrated(logits, None, None) is logits
    assert recalibrated(logits, Calibration(1, 0), Calibration(0, 1)) is logits


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"endpoint": "triton"},
        {"endpoint": "http://triton:8001"},
        {"endpoint": "triton:8001", "deadline_ms": 0},
        {"endpoint": "triton:8001", "rows": 0},
        {"endpoint": "triton:8001", "deadline": 5},
    ],
)
def test_a_delegation_that_cannot_be_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(told, Delegation)
    assert msgspec.convert({"endpoint": "triton.svc.local:8001"}, Delegation).deadline_ms == 100
