"""What a logit says."""

import math

import numpy as np
import pytest
from builders.inference import a_card
from hypothesis import given
from hypothesis import strategies as st

from services.inference.domain.calibration import Calibration
from services.inference.domain.errors import ModelFault
from services.inference.domain.model import opinion, opinions


def test_a_calibrated_logit_becomes_a_probability() -> None:
    said = opinion(a_card(calibration=Calibration(2.0, 0.5)), 0.25)
    up = 1 / (1 + math.exp(-1.0))
    assert said.prediction == pytest.approx(2 * up - 1)
    assert said.confidence == pytest.approx(up)


def test_without_a_calibration_the_confidence_is_unknown() -> None:
    said = opinion(a_card(calibration=None), 3.0)
    assert said.confidence == 0.5
    assert said.prediction == pytest.approx(math.tanh(1.5))


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=20), st.booleans())
def test_a_column_says_what_each_row_says(logits: list[float], calibrated: bool) -> None:
    card = a_card(calibration=Calibration(0.8, -0.1) if calibrated else None)
    predictions, confidence = opinions(card, np.array(logits))
    each = [opinion(card, logit) for logit in logits]
    assert predictions == pytest.approx([said.prediction for said in each])
    assert confidence == pytest.approx([said.confidence for said in each])
    assert ((confidence >= 0.5) & (confidence <= 1.0)).all()


@pytest.mark.parametrize("logit", [math.nan, math.inf, -math.inf])
def test_no_number_is_made_of_no_number(logit: float) -> None:
    with pytest.raises(ModelFault, match="no finite number"):
        opinion(a_card(), logit)
    with pytest.raises(ModelFault):
        opinions(a_card(), np.array([0.0, logit]))


def test_a_huge_logit_does_not_overflow() -> None:
    assert opinion(a_card(), -1e6).confidence == pytest.approx(1.0)
