"""From rows to a judged model, and what is said of it."""

import numpy as np
import pytest
from builders.training import FEATURES, a_plan, some_rows

from services.inference.domain import calibration, model_card
from services.inference.domain.architectures import Mlp, Tcn
from services.inference.domain.learning import NumpyLearning, fitted_scaler, recipe_for, scaler_spec
from services.inference.domain.model_spec import ModelSpec, faults
from services.inference.domain.scorecard import deciles, score
from services.inference.domain.trained import Trained, conclude, describe, newest_step, parts, samples_of
from services.inference.domain.training import TrainingPlan, TrainingSet, plan_of
from services.inference.domain.training_errors import BadTrainingSet
from services.inference.domain.windows import Windows, dense


def trained(rows: TrainingSet, plan: TrainingPlan) -> tuple[NumpyLearning, Trained]:
    cut, features = parts(len(rows)), samples_of(rows, plan)
    assert isinstance(plan.architecture, Mlp | Tcn)
    hidden = plan.architecture.hidden if isinstance(plan.architecture, Mlp) else ()
    labels = rows.labels[cut.train].astype(np.float32)
    recipe = recipe_for(len(labels), hidden, plan.epochs, plan.learning_rate, plan.seed)
    learning = NumpyLearning(plan.architecture, features[cut.train], labels, recipe)
    list(learning.epochs())
    return learning, conclude(learning, scaler_spec(fitted_scaler(features[cut.train])), rows, plan, "test")


@pytest.mark.parametrize("rows", [300, 1_000, 100_000])
def test_parts_follow_one_another_with_a_gap_before_each_cut(rows: int) -> None:
    found, gap = parts(rows), round(rows / 100)
    assert found.is_judged
    assert found.calibrate.start - found.train.stop == found.judge.start - found.calibrate.stop == gap
    assert (found.train.start, found.judge.stop) == (0, rows)
    assert found.train.stop == pytest.approx(0.6 * rows, abs=gap + 1)


@pytest.mark.parametrize("rows", [4, 100, 250])
def test_few_rows_are_all_trained_with(rows: int) -> None:
    found = parts(rows)
    assert not found.is_judged
    assert (found.train, len(range(*found.calibrate.indices(rows)))) == (slice(0, rows), 0)


@pytest.mark.parametrize(
    "plan", [a_plan(epochs=20), a_plan(Tcn(4, levels=2, kernel=2), window=4, epochs=20)], ids=["mlp", "tcn"]
)
def test_an_edge_is_learnt_calibrated_and_told(plan: TrainingPlan) -> None:
    rows = some_rows(3_000, columns=plan.columns)
    if plan.window > 1:
        rows.labels[:] = (rows.features[:, -len(FEATURES)] > 0).astype(float)
    learning, found = trained(rows, plan)
    assert faults(found.spec) == []
    assert found.score is not None
    assert found.score.has_edge
    assert found.accuracy == found.score.hit_rate > 0.7
    assert found.spec.provenance.metrics["brier_skill"] == found.score.brier_skill
    assert set(found.spec.distributions) == set(FEATURES)
    assert np.array_equal(found.golden.logits, learning.logits(found.golden.inputs))
    card = describe("mine", found, plan, learning.losses)
    for part in ("# mine", "There was an edge", "where they come from is not known here", "trained anew"):
        assert part in card


def test_a_slice_of_one_class_calibrates_nothing() -> None:
    rows = some_rows(1_000)
    rows.labels[600:800] = 1.0
    _, found = trained(rows, a_plan())
    assert found.spec.calibration is None
    assert found.score is None
    assert 0 < found.accuracy < 1


def test_the_hash_is_of_rows_and_labels() -> None:
    one, same, other = some_rows(60), some_rows(60), some_rows(60)
    other.labels[0] = 1 - other.labels[0]
    hashes = [trained(rows, a_plan())[1].spec.provenance.training_data_sha256 for rows in (one, same, other)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_the_newest_step_of_a_window_is_a_row() -> None:
    rows = np.arange(24.0).reshape(2, 4, 3)
    assert newest_step(rows).tolist() == [[9.0, 10.0, 11.0], [21.0, 22.0, 23.0]]


def test_a_scaler_over_windows_counts_each_row_that_a_window_sees_once() -> None:
    table = np.random.default_rng(1).standard_normal((50, 3)).astype(np.float32)
    windows = Windows.ending_anywhere(table, 4)[10:20]
    assert fitted_scaler(windows).mean == pytest.approx(table[7:20].mean(axis=0), abs=1e-6)
    assert fitted_scaler(np.asarray(dense(windows))).mean.shape == (3,)


@pytest.mark.parametrize(("rows", "batch"), [(1, 1), (40, 2), (160, 10), (100_000, 1_024)])
def test_batches_give_few_rows_their_steps_too(rows: int, batch: int) -> None:
    assert recipe_for(rows, (8,), 1, 0.1, 1).batch_rows == batch


def test_another_kind_of_network_is_the_usual_one_of_its_kind() -> None:
    spec = ModelSpec(Mlp((8,)), FEATURES, 1, 10**9)
    assert plan_of(spec, "mlp", 1, 0.1, 1).architecture == Mlp((8,))
    assert isinstance(plan_of(spec, "tcn", 1, 0.1, 1).architecture, Tcn)
    with pytest.raises(BadTrainingSet, match="mlp, tcn, gru, lstm, patchtst"):
        plan_of(spec, "nhits", 1, 0.1, 1)


# The card


def test_no_score_claims_nothing() -> None:
    assert "Nothing is known of an edge" in model_card.judgement({})


def test_an_edge_is_told_with_where_it_is_and_where_not() -> None:
    labels = np.tile([0.0, 1.0], 500)
    sure = score(np.where(labels > 0, 0.9, 0.1), labels, 0.5, np.arange(1_000) // 20)
    none = score(np.full(1_000, 0.5), labels, 0.5, np.arange(1_000) // 20)
    assert "**There was an edge** on a, and none on b." in model_card.judgement({"a": sure, "b": none})
    assert "**There was no edge**" in model_card.judgement({"b": none})
    told = model_card.judgement({"a": sure}, deciles(np.where(labels > 0, 0.9, 0.1), labels))
    assert "| tenth by confidence | 1 |" in told
    assert "| 1.000 |" in told


@pytest.mark.parametrize(
    ("horizon_ns", "told"), [(900 * 10**9, "15 min"), (10**9, "1 s"), (500 * 10**6, "500 ms"), (7, "7 ns")]
)
def test_a_horizon_is_told_in_its_own_unit(horizon_ns: int, told: str) -> None:
    spec = ModelSpec(Mlp((8,)), FEATURES, 1, horizon_ns)
    assert f"higher after {told} than now" in model_card.card("mine", spec, "d", "m", "j")


# Calibration


def test_a_handful_of_perfectly_ordered_rows_proves_little() -> None:
    """Platt's correction: four rows in order are no reason to be sure."""
    found = calibration.fit(np.array([-2.0, -1.0, 1.0, 2.0]), np.array([0.0, 0.0, 1.0, 1.0]))
    assert found.probability(2.0) < 0.85
    assert found.probability(-2.0) > 0.15
