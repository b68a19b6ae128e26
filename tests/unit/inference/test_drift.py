"""What counts as drift, and what does not."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inference.domain.drift import (
    LARGE_SHIFT,
    Distribution,
    RowWindow,
    distributions,
    drift,
    misfit,
    psi,
)

NAMES = ("calm", "sparse")


def some_features(count: int = 20_000, seed: int = 1, *, shift: float = 0.0) -> np.ndarray:
    """Rows of a normal feature and of one that is mostly 0."""
    random = np.random.default_rng(seed)
    sparse = np.where(random.random(count) < 0.7, 0.0, random.standard_normal(count))
    return np.stack((random.standard_normal(count) + shift, sparse + shift), axis=1)


def test_the_data_a_model_was_trained_on_does_not_drift() -> None:
    features = some_features()
    found = drift(NAMES, distributions(NAMES, features), features)
    assert [each.feature for each in found] == list(NAMES)
    assert [each.psi for each in found] == pytest.approx([0.0, 0.0], abs=1e-12)
    assert [each.mean for each in found] == pytest.approx([each.trained_mean for each in found])


def test_more_of_the_same_market_drifts_little_and_another_market_much() -> None:
    trained = distributions(NAMES, some_features())
    assert max(each.psi for each in drift(NAMES, trained, some_features(2_000, seed=2))) < 0.05
    assert min(each.psi for each in drift(NAMES, trained, some_features(2_000, seed=2, shift=1.0))) > LARGE_SHIFT


def test_the_index_is_the_sum_over_the_bins() -> None:
    trained = Distribution(edges=(0.0,), shares=(0.5, 0.5), mean=0.0)
    live = np.array([-1.0, 1.0, 1.0, 1.0])
    expected = (0.25 - 0.5) * np.log(0.25 / 0.5) + (0.75 - 0.5) * np.log(0.75 / 0.5)
    assert psi(trained, live) == pytest.approx(expected)


def test_a_value_on_an_edge_belongs_above_it() -> None:
    trained = Distribution(edges=(0.0,), shares=(0.0, 1.0), mean=0.0)
    assert psi(trained, np.zeros(9)) == pytest.approx(0.0, abs=1e-2)


def test_no_rows_and_no_distribution_say_nothing() -> None:
    trained = distributions(NAMES, some_features())
    assert drift(NAMES, trained, np.empty((0, 2))) == []
    assert drift(NAMES, {}, some_features()) == []
    assert psi(trained["calm"], np.empty(0)) == 0.0


@given(seed=st.integers(0, 1_000), count=st.integers(1, 300), bins=st.integers(2, 20), levels=st.integers(1, 30))
def test_distributions_of_anything_are_sound_and_survive_json(seed: int, count: int, bins: int, levels: int) -> None:
    features = np.random.default_rng(seed).integers(0, levels, (count, 2)) / 7
    found = distributions(NAMES, features, bins)
    assert misfit(found, NAMES) is None
    assert all(len(each.edges) < bins for each in found.values())
    assert msgspec.json.decode(msgspec.json.encode(found), type=dict[str, Distribution]) == found


@pytest.mark.parametrize(
    "features",
    [np.empty((0, 2)), np.zeros((3, 1)), np.full((3, 2), np.nan), np.zeros(3)],
    ids=["no rows", "another width", "not finite", "no table"],
)
def test_what_is_no_table_of_features_has_no_distribution(features: np.ndarray) -> None:
    with pytest.raises(ValueError, match="Expected"):
        distributions(NAMES, features)


SOUND = Distribution((0.0, 1.0), (0.2, 0.3, 0.5), 0.4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"edges": (1.0, 0.0)},
        {"edges": (0.0, float("nan"))},
        {"edges": (0.0,)},
        {"shares": (0.2, 0.3, 0.6)},
        {"shares": (-0.2, 0.7, 0.5)},
        {"mean": float("inf")},
    ],
)
def test_unsound_distributions_are_named(wrong: dict[str, object]) -> None:
    assert misfit({"calm": SOUND, "sparse": SOUND}, NAMES) is None
    found = misfit({"calm": msgspec.structs.replace(SOUND, **wrong), "sparse": SOUND}, NAMES)
    assert found is not None
    assert found.endswith("of calm.")


def test_distributions_of_other_features_do_not_fit() -> None:
    assert misfit({}, NAMES) is None
    assert "Expected distributions of" in str(misfit({"calm": SOUND}, NAMES))


def test_a_window_keeps_every_nth_row_and_the_newest_of_those() -> None:
    window = RowWindow(1, capacity=3, stride=2)
    assert len(window.rows) == 0
    for value in range(9):
        window.see((float(value),))
    assert sorted(window.rows[:, 0].tolist()) == [4.0, 6.0, 8.0]
