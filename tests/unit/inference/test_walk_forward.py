"""Walking forward: no slice knows another's future, an edge is found, and noise has none."""

import numpy as np
import pytest
from builders.inference import SECOND_NS

from services.inference.domain.samples import Samples, Slices
from services.inference.domain.training_errors import TooLittleData
from services.inference.domain.walk_forward import Features, Walk, folds, walk_forward
from services.inference.domain.windows import dense

WALK = Walk(horizon_ns=10 * SECOND_NS, embargo_ns=100 * SECOND_NS, folds=4)


def some_samples(rows: int = 6_000, *, edge: bool = True, symbols: int = 1) -> Samples:
    """Rows a second apart; the sign of the first column is the label's in seven of ten."""
    random = np.random.default_rng(1)
    features = random.standard_normal((rows * symbols, 2))
    told = random.random(len(features)) < (0.7 if edge else 0.5)
    labels = np.where(told, features[:, 0] > 0, features[:, 0] <= 0).astype(np.float64)
    time_ns = np.tile(np.arange(rows, dtype=np.int64) * SECOND_NS, symbols)
    return Samples(features, labels, time_ns, time_ns // (100 * SECOND_NS))


def the_first_column(training: Samples) -> object:
    """A learner that knows where to look, and learns only how much to believe it."""
    return lambda features: dense(features)[:, 0].astype(np.float64)


def slices_of(samples: Samples) -> list[Slices]:
    return list(folds(samples, WALK))


@pytest.mark.parametrize("symbols", [1, 3])
def test_slices_are_apart_by_the_horizon_and_the_embargo(symbols: int) -> None:
    for slices in slices_of(some_samples(symbols=symbols)):
        for earlier, later in ((slices.train, slices.calibrate), (slices.calibrate, slices.judge)):
            assert later.time_ns.min() - (earlier.time_ns.max() + WALK.horizon_ns) >= WALK.embargo_ns


def test_the_past_grows_and_every_row_is_judged_at_most_once() -> None:
    found = slices_of(some_samples())
    assert [len(slices.train) for slices in found] == sorted(len(slices.train) for slices in found)
    judged = np.concatenate([slices.judge.time_ns for slices in found])
    assert len(np.unique(judged)) == len(judged)
    assert judged.max() == some_samples().time_ns.max()


def test_learning_never_sees_what_it_is_judged_by() -> None:
    seen: list[int] = []

    def learn(training: Samples) -> object:
        seen.append(int(training.time_ns.max()))
        return the_first_column(training)

    evaluation = walk_forward(some_samples(), WALK, learn)  # type: ignore[arg-type]
    for newest_ns, fold in zip(seen, evaluation.folds, strict=True):
        assert newest_ns + WALK.horizon_ns + WALK.embargo_ns <= fold.start_ns
        assert fold.start_ns < fold.end_ns


def test_an_edge_is_found_with_its_interval_and_tenths() -> None:
    evaluation = walk_forward(some_samples(), WALK, the_first_column)  # type: ignore[arg-type]
    assert evaluation.score.has_edge
    assert evaluation.score.brier_skill_low < evaluation.score.brier_skill < evaluation.score.brier_skill_high
    assert evaluation.score.hit_rate == pytest.approx(0.7, abs=0.03)
    assert len(evaluation.deciles) == 10
    confidence = [tenth.confidence for tenth in evaluation.deciles]
    assert confidence == sorted(confidence)
    assert evaluation.score.rows == sum(fold.score.rows for fold in evaluation.folds)
    assert sum(tenth.rows for tenth in evaluation.deciles) == evaluation.score.rows


def test_noise_has_no_edge() -> None:
    evaluation = walk_forward(some_samples(edge=False), WALK, the_first_column)  # type: ignore[arg-type]
    assert not evaluation.score.has_edge
    assert evaluation.score.sure_share == 0.0


def test_the_base_rate_is_the_one_known_beforehand() -> None:
    """A market that turns around beats a base rate learnt from the future, and not the one of the past."""
    samples = some_samples(edge=False)
    labels = (samples.time_ns > samples.time_ns.max() * 0.5).astype(np.float64)
    labels[::7] = 1 - labels[::7]
    turned = Samples(np.zeros_like(samples.features), labels, samples.time_ns, samples.block)

    def nothing(_training: Samples) -> object:
        return lambda features: np.zeros(len(features))

    first = walk_forward(turned, WALK, nothing).folds[0].score  # type: ignore[arg-type]
    assert first.base_rate < 0.3


def test_too_little_data_is_named_with_the_slice_and_its_rows() -> None:
    with pytest.raises(TooLittleData) as caught:
        walk_forward(some_samples(600), WALK, the_first_column)  # type: ignore[arg-type]
    assert caught.value.metadata["slice"] in {"train", "calibrate", "judge"}
    assert caught.value.metadata["rows"] < 50


def test_features_may_be_windows() -> None:
    from services.inference.domain.windows import Windows

    flat = some_samples()
    seen: Features = Windows.ending_anywhere(flat.features.astype(np.float32), 3)  # type: ignore[union-attr]
    windowed = Samples(seen, flat.labels, flat.time_ns, flat.block)[2:]  # type: ignore[arg-type]

    def newest(_training: Samples) -> object:
        return lambda features: dense(features)[:, -1, 0].astype(np.float64)

    assert walk_forward(windowed, WALK, newest).score.has_edge  # type: ignore[arg-type]
