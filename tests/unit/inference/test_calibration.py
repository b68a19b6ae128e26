"""Platt scaling."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inference.domain.calibration import Calibration, fit


@given(slope=st.floats(0.3, 3.0), intercept=st.floats(-1.0, 1.0))
def test_the_true_scaling_is_recovered(slope: float, intercept: float) -> None:
    random = np.random.default_rng(5)
    logits = random.standard_normal(40_000)
    labels = random.random(40_000) < Calibration(slope, intercept).probabilities(logits)
    found = fit(logits, labels.astype(float))
    assert found.slope == pytest.approx(slope, abs=0.12)
    assert found.intercept == pytest.approx(intercept, abs=0.08)


def test_one_row_and_a_column_agree() -> None:
    platt, logits = Calibration(1.3, -0.2), np.linspace(-9, 9, 7)
    assert platt.probabilities(logits) == pytest.approx([platt.probability(float(logit)) for logit in logits])


def test_an_order_worse_than_chance_is_given_no_confidence() -> None:
    random = np.random.default_rng(1)
    logits = random.standard_normal(5_000)
    labels = (random.random(5_000) < np.where(logits > 0, 0.2, 0.8)).astype(float)
    found = fit(logits, labels)
    assert found.slope == 0.0
    assert found.probability(3.0) == pytest.approx(labels.mean())


def test_labels_of_one_kind_do_not_break_it() -> None:
    found = fit(np.zeros(10), np.ones(10))
    assert 0.5 < found.probability(0.0) <= 1.0
