"""A shadow is measured on the same samples, and costs nobody a prediction."""

import asyncio
from typing import Any

import numpy as np
import pytest
from builders.inference import a_card
from fakes.inference import FakeModel, FakeModels
from waiting import until

from services.inference.domain.calibration import Calibration
from services.inference.domain.errors import ModelFault
from services.inference.usecases.compare_shadows import MOST_SAMPLES, CompareShadows

ACTIVE = a_card()


class Stage:
    """An active version, and a shadow that says `says`."""

    def __init__(self, says: float, waiting: int = 8, **card: Any) -> None:
        self.models = FakeModels(FakeModel(ACTIVE))
        self.models.shadow = FakeModel(a_card(**({"version": "2"} | card)), says)
        self.shadows = CompareShadows(self.models, waiting)

    async def compared(self, samples: int) -> None:
        """Let the shadow work until it has seen so many samples, or skipped as many offers."""
        keeping = asyncio.create_task(self.shadows.keep())
        count = self.models.count
        await until(lambda: count.samples + count.skipped >= samples, "comparisons")
        keeping.cancel()


def rows(count: int) -> Any:
    return lambda card: np.zeros((count, len(card.features)))


async def test_signs_and_probabilities_are_compared_by_each_ones_own_calibration() -> None:
    stage = Stage(-2.0, calibration=Calibration(0.5, 0.0))
    stage.shadows.offer(ACTIVE, np.array([1.0, -1.0]), rows(2))
    await stage.compared(2)
    count = stage.models.count
    up = Calibration(1.0, 0.0)
    assert (count.samples, count.flips, count.skipped) == (2, 1, 0)
    assert count.shift == pytest.approx(abs(up.probability(-1.0) - up.probability(1.0)) + 0.0)


async def test_of_a_big_request_some_samples_are_compared() -> None:
    stage = Stage(1.0)
    stage.shadows.offer(ACTIVE, np.ones(5_000), rows(5_000))
    await stage.compared(MOST_SAMPLES)
    assert stage.models.count.samples == MOST_SAMPLES


async def test_what_does_not_fit_is_skipped_and_counted() -> None:
    stage = Stage(1.0, waiting=2)
    for _ in range(5):
        stage.shadows.offer(ACTIVE, 1.0, rows(1))
    assert stage.models.count.skipped == 3
    await stage.compared(5)
    assert stage.models.count.samples == 2


async def test_without_a_shadow_nothing_is_asked_for() -> None:
    stage = Stage(1.0)
    stage.models.shadow = None

    def never(card: object) -> Any:
        raise AssertionError("nobody needs a sample")

    stage.shadows.offer(ACTIVE, 1.0, never)


async def test_a_version_is_not_its_own_shadow_and_cold_samples_are_none() -> None:
    stage = Stage(1.0, version="1")
    stage.shadows.offer(ACTIVE, 1.0, rows(1))
    other = Stage(1.0)
    other.shadows.offer(ACTIVE, 1.0, lambda card: None)
    assert stage.shadows._offers.empty()
    assert other.shadows._offers.empty()


async def test_a_shadow_that_ended_meanwhile_is_not_counted() -> None:
    stage = Stage(1.0)
    stage.shadows.offer(ACTIVE, 1.0, rows(1))
    stage.models.shadow = None
    keeping = asyncio.create_task(stage.shadows.keep())
    await until(stage.shadows._offers.empty, "the offer to be taken")
    keeping.cancel()
    assert (stage.models.count.samples, stage.models.count.skipped) == (0, 0)


@pytest.mark.parametrize("trouble", ["raises", "no number"])
async def test_a_shadows_trouble_is_counted_and_nobody_elses(trouble: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(float("nan"))
    if trouble == "raises":

        async def logits(samples: object) -> np.ndarray:
            raise ModelFault("test-model")

        monkeypatch.setattr(stage.models.shadow, "logits", logits)
    stage.shadows.offer(ACTIVE, 1.0, rows(1))
    await stage.compared(1)
    assert (stage.models.count.samples, stage.models.count.skipped) == (0, 1)
