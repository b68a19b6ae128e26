"""What is kept of the models that follow: bounded, per version, and told only of those that follow."""

import asyncio

import numpy as np
import pytest
from builders.inference import a_card
from waiting import until

from fleet.metrics import Metrics
from services.inference.adapters.drift_gauges import DriftGauges
from services.inference.domain.drift import distributions
from services.inference.domain.errors import NotFollowing
from services.inference.domain.features import FEATURES
from services.inference.domain.outcomes import Judged
from services.inference.domain.watches import MOST_VERSIONS, Drift, Watches, WatchRules
from services.inference.translate.drift import drift_message

RULES = WatchRules(rows=500, stride=1, outcomes=10, waiting=10)
TRAINED = np.random.default_rng(1).standard_normal((1_000, len(FEATURES)))


def test_features_that_moved_are_told_and_others_not() -> None:
    watches = Watches(RULES)
    watch = watches.of(a_card(distributions=distributions(FEATURES, TRAINED)))
    for row in np.random.default_rng(2).standard_normal((700, len(FEATURES))):
        watch.rows.see([row[0] + 5, *row[1:]])
    found = watches.drift("test-model", "1")
    psi = {each.feature: each.psi for each in found.features}
    assert found.rows == 500
    assert psi["return_1"] > 1 > max(value for name, value in psi.items() if name != "return_1")


def test_a_model_that_says_nothing_of_its_data_has_no_indices() -> None:
    watches = Watches(RULES)
    watches.of(a_card()).rows.see([0.0] * len(FEATURES))
    assert watches.drift("test-model", "1").features == []


def test_each_version_has_a_watch_of_its_own_and_the_oldest_goes() -> None:
    watches = Watches(RULES)
    first = watches.of(a_card())
    first.rows.see([0.0] * len(FEATURES))
    assert watches.of(a_card(version="2")).drift().rows == 0
    assert watches.of(a_card()) is first, "a canary's watch does not end that of the active version"
    assert [each.version for each in watches.newest()] == ["2"]
    for number in range(3, MOST_VERSIONS + 2):
        watches.of(a_card(version=str(number)))
    with pytest.raises(NotFollowing):
        watches.drift("test-model", "1")


def test_who_does_not_follow_has_no_drift() -> None:
    with pytest.raises(NotFollowing, match="Version '1' of 'test-model' does not follow"):
        Watches(RULES).drift("test-model", "1")


SOME = Drift("test-model", "1", 7, [], Judged(3, 0.2, 0.25, 0.6))
NONE = Drift("test-model", "1", 0, [], Judged(0, None, None, None))


def test_what_is_not_known_is_absent_on_the_wire() -> None:
    assert (drift_message(SOME).rolling_brier, drift_message(SOME).hit_rate) == (0.2, 0.6)
    assert not any(drift_message(NONE).HasField(name) for name in ("rolling_brier", "base_rate_brier", "hit_rate"))


def test_gauges_say_what_is_known() -> None:
    metrics, watches = Metrics(), Watches(RULES)
    gauges = DriftGauges(watches, metrics, 1.0)
    gauges.write(NONE)
    sample = metrics.registry.get_sample_value
    assert sample("nt_rolling_brier", {"model": "test-model"}) is None
    watch = watches.of(a_card(distributions=distributions(FEATURES, TRAINED)))
    watch.rows.see([9.0] * len(FEATURES))
    gauges.write(watch.drift())
    gauges.write(SOME)
    assert sample("nt_rolling_brier", {"model": "test-model"}) == 0.2
    assert sample("nt_base_rate_brier", {"model": "test-model"}) == 0.25
    assert sample("nt_hit_rate", {"model": "test-model"}) == 0.6
    assert sample("nt_outcomes", {"model": "test-model"}) == 3
    assert sample("nt_feature_psi", {"model": "test-model", "feature": "rsi_14"}) > 1


async def test_gauges_are_written_again_and_again() -> None:
    metrics, watches = Metrics(), Watches(RULES)
    keeping = asyncio.create_task(DriftGauges(watches, metrics, every_s=0.001).keep())
    watch = watches.of(a_card(distributions=distributions(FEATURES, TRAINED)))
    watch.rows.see([9.0] * len(FEATURES))
    labels = {"model": "test-model", "feature": "return_1"}
    await until(lambda: metrics.registry.get_sample_value("nt_feature_psi", labels) is not None, "a gauge")
    keeping.cancel()
