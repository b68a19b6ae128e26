"""A user's history as samples, a way to learn from them, and what walking forward through them finds."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from services.inference.domain.architectures import Mlp, Tcn
from services.inference.domain.features import WARM_UP_TICKS
from services.inference.domain.learning import NumpyLearning
from services.inference.domain.samples import EMBARGO_NS, Samples, joined, sample
from services.inference.domain.trainer import Recipe
from services.inference.domain.training_errors import TooLittleData
from services.inference.domain.walk_forward import Evaluation, Logits, Walk
from services.inference.training.history import History

_APART = 1_000_000
"""Blocks of one symbol, so that those of two never meet."""
_BATCH_ROWS = 512


@dataclass(frozen=True, slots=True)
class Study:
    """How to learn: a horizon in ns, a network, and the numbers of its training."""

    horizon_ns: int
    architecture: Mlp | Tcn
    epochs: int
    learning_rate: float
    weight_decay: float
    folds: int
    seed: int

    @property
    def window(self) -> int:
        """Rows that the network sees: those that its newest step depends on."""
        if isinstance(self.architecture, Mlp):
            return 1
        return 1 + (self.architecture.kernel - 1) * ((1 << self.architecture.levels) - 1)

    @property
    def recipe(self) -> Recipe:
        """The numbers of its training."""
        hidden = self.architecture.hidden if isinstance(self.architecture, Mlp) else ()
        return Recipe(hidden, self.epochs, _BATCH_ROWS, self.learning_rate, self.weight_decay, self.seed)


def embargo_ns(histories: Sequence[History], study: Study) -> int:
    """What is left out after each cut: longer than the features remember, and than the label looks ahead."""
    remembered = max(history.spacing_ns for history in histories) * (WARM_UP_TICKS + study.window)
    return max(EMBARGO_NS, remembered, study.horizon_ns)


def samples_of(histories: Sequence[History], study: Study) -> Samples:
    """The warm rows of every symbol; raises TooLittleData when there is none."""
    block_ns = embargo_ns(histories, study)
    parts = [
        sample(history.ticks, history.time_ns, study.horizon_ns, number * _APART, block_ns=block_ns, steps=study.window)
        for number, history in enumerate(histories)
    ]
    found = joined(parts)
    if not len(found):
        raise TooLittleData(
            f"Expected more than {WARM_UP_TICKS + study.window} ticks and a horizon of each symbol.", rows=0
        )
    return found


def walk_of(histories: Sequence[History], study: Study) -> Walk:
    """How to walk through these histories."""
    return Walk(study.horizon_ns, embargo_ns(histories, study), study.folds)


def stride_of(histories: Sequence[History], study: Study) -> int:
    """Every how-manieth row trains: neighbours share most of their label, four of one horizon are enough."""
    spacing_ns = min(history.spacing_ns for history in histories)
    return int(max(1, study.horizon_ns // (4 * spacing_ns)))


def learn(study: Study, training: Samples, say: Callable[[str], None] = lambda line: None) -> NumpyLearning:
    """Train on samples."""
    labels = training.labels.astype(np.float32)
    learning = NumpyLearning(study.architecture, training.features, labels, study.recipe)
    for loss in learning.epochs():
        say(f"epoch {len(learning.losses)}: log loss {loss:.5f}")
    return learning


def learner(study: Study, stride: int) -> Callable[[Samples], Logits]:
    """The same as a function from samples to the log odds that they teach."""

    def teach(training: Samples) -> Logits:
        return learn(study, training[::stride]).logits

    return teach


def shuffled(samples: Samples, seed: int) -> Samples:
    """The same rows with labels that have nothing to do with them: what any edge must be told from."""
    labels: npt.NDArray[np.float64] = np.random.default_rng(seed).permutation(samples.labels)
    return Samples(samples.features, labels, samples.time_ns, samples.block)


def figures(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation as JSON."""
    return {
        **asdict(evaluation.score),
        "has_edge": evaluation.score.has_edge,
        "deciles": [asdict(each) for each in evaluation.deciles],
        "folds": [
            {
                "start_ns": str(fold.start_ns),
                "end_ns": str(fold.end_ns),
                "trained_rows": fold.trained_rows,
                **asdict(fold.score),
            }
            for fold in evaluation.folds
        ],
    }
