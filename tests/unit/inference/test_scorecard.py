"""How good probabilities are."""

import numpy as np
import pytest

from services.inference.domain.scorecard import score


def blocks(rows: int) -> np.ndarray:
    return np.arange(rows) // 20


def test_perfect_foresight_has_full_skill() -> None:
    labels = np.tile([0.0, 1.0], 500)
    card = score(labels.copy(), labels, 0.5, blocks(1_000))
    assert (card.brier_skill, card.hit_rate, card.calibration_error) == (1.0, 1.0, 0.0)
    assert (card.sure_share, card.sure_hit_rate) == (1.0, 1.0)


def test_the_base_rate_itself_has_no_skill_and_no_edge() -> None:
    labels = (np.random.default_rng(1).random(2_000) < 0.4).astype(float)
    card = score(np.full(2_000, 0.4), labels, 0.4, blocks(2_000))
    assert card.brier_skill == 0.0
    assert not card.has_edge
    assert (card.sure_share, card.sure_hit_rate) == (0.0, 0.0)


def test_overconfidence_shows_in_the_calibration_error() -> None:
    labels = (np.random.default_rng(1).random(4_000) < 0.6).astype(float)
    card = score(np.full(4_000, 0.9), labels, 0.5, blocks(4_000))
    assert card.calibration_error == pytest.approx(0.3, abs=0.03)
    assert card.sure_hit_rate == pytest.approx(0.6, abs=0.03)


def test_an_unchanged_price_is_half_a_hit() -> None:
    assert score(np.full(10, 0.7), np.full(10, 0.5), 0.5, blocks(10)).hit_rate == 0.5


def test_the_interval_holds_the_skill() -> None:
    random = np.random.default_rng(1)
    probabilities = random.random(4_000)
    labels = (random.random(4_000) < probabilities).astype(float)
    card = score(probabilities, labels, 0.5, blocks(4_000))
    assert card.brier_skill_low < card.brier_skill < card.brier_skill_high
    assert card.has_edge


def test_labels_that_equal_the_base_rate_leave_no_room_for_skill() -> None:
    assert score(np.full(10, 0.5), np.full(10, 0.5), 0.5, blocks(10)).brier_skill == 0.0
