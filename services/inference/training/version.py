"""Writes what was learnt from a user's history: a new version in the registry's directory, with its card."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from services.inference.adapters.code_version import code_version
from services.inference.adapters.safetensors_file import write_model
from services.inference.domain import calibration, model_card, scorecard
from services.inference.domain.calibration import Calibration
from services.inference.domain.drift import distributions
from services.inference.domain.features import FEATURES
from services.inference.domain.learning import NumpyLearning, scaler_spec
from services.inference.domain.model_spec import GOLDEN_SAMPLES, Golden, ModelSpec, Platt, Provenance
from services.inference.domain.samples import Samples, cut
from services.inference.domain.scorecard import Scorecard
from services.inference.domain.trained import metrics
from services.inference.domain.walk_forward import Evaluation
from services.inference.domain.windows import Windows, dense
from services.inference.training.history import History
from services.inference.training.study import Study, embargo_ns, learn, stride_of


class Learnt(NamedTuple):
    """A network for use, its calibration, and the figures of the newest fifth, which it has not seen."""

    learning: NumpyLearning
    platt: Calibration
    score: Scorecard
    tenths: tuple[scorecard.Decile, ...]
    training: Samples


def learn_for_use(samples: Samples, histories: Sequence[History], study: Study) -> Learnt:
    """Train on the oldest 60 %, calibrate on the next 20 %, judge on the rest; purged and embargoed."""
    slices = cut(samples, study.horizon_ns, embargo_ns(histories, study))
    training = slices.train[:: stride_of(histories, study)]
    learning = learn(study, training)
    platt = calibration.fit(learning.logits(slices.calibrate.features), slices.calibrate.labels)
    held_out = slices.judge
    said = np.asarray(platt.probabilities(learning.logits(held_out.features)))
    card = scorecard.score(said, held_out.labels, float(training.labels.mean()), held_out.block)
    return Learnt(learning, platt, card, scorecard.deciles(said, held_out.labels), training)


def write_version(
    directory: Path,
    name: str,
    learnt: Learnt,
    histories: Sequence[History],
    study: Study,
    evaluation: Evaluation,
) -> None:
    """Write model and card into a directory that is there."""
    spec = _spec(learnt, histories, study, evaluation)
    rows = np.linspace(0, len(learnt.training) - 1, GOLDEN_SAMPLES).astype(np.int64)
    inputs = np.asarray(dense(learnt.training.features[rows]), np.float32)
    golden = Golden(inputs, np.asarray(learnt.learning.logits(inputs), np.float32))
    write_model(directory / "model.safetensors", spec, learnt.learning.tensors(), golden)
    (directory / "card.md").write_text(_card(name, spec, learnt, histories, study, evaluation))


def _spec(learnt: Learnt, histories: Sequence[History], study: Study, evaluation: Evaluation) -> ModelSpec:
    told = "; ".join(f"{each.symbol}: {len(each.ticks):,} {each.kind} of {each.file}" for each in histories)
    hashes = "".join(dict.fromkeys(each.sha256 for each in histories))
    features = learnt.training.features
    newest = features.table[features.ends] if isinstance(features, Windows) else features
    figures = metrics(learnt.score) | {f"walk_forward.{key}": each for key, each in metrics(evaluation.score).items()}
    return ModelSpec(
        architecture=study.architecture,
        features=FEATURES,
        window=study.window,
        horizon_ns=study.horizon_ns,
        scaler=scaler_spec(learnt.learning.scaler),
        calibration=Platt(learnt.platt.slope, learnt.platt.intercept),
        provenance=Provenance(
            f"A user's history. {told}.", hashlib.sha256(hashes.encode()).hexdigest(), code_version(), figures
        ),
        distributions=distributions(FEATURES, newest),
    )


def _card(
    name: str, spec: ModelSpec, learnt: Learnt, histories: Sequence[History], study: Study, evaluation: Evaluation
) -> str:
    files = "\n".join(
        f"- {each.symbol}: {len(each.ticks):,} {each.kind} from {_moment(each.time_ns[0])} to "
        f"{_moment(each.time_ns[-1])} UTC, {each.spacing_ns / 1e9:g} s apart (median), `{each.file}`, "
        f"SHA-256 `{each.sha256}`"
        for each in histories
    )
    kinds = " and ".join(sorted({each.kind for each in histories}))
    data = (
        f"A user's own history; where it comes from is not known here. One row is made of each of its {kinds}. **The "
        "live service makes a row of every quote**: on quotes that come at another pace than these rows, what this "
        f"model says means nothing.\n\n{files}"
    )
    method = (
        f"Adam on the log loss, {study.epochs} epochs, learning rate {study.learning_rate:g}, weight decay "
        f"{study.weight_decay:g}, seed {study.seed}; every {stride_of(histories, study)}th row trains "
        f"({len(learnt.training):,} rows). 60 % of the time to train, 20 % to calibrate (Platt: slope "
        f"{learnt.platt.slope:.4f}, intercept {learnt.platt.intercept:.4f}), 20 % to judge; a horizon is purged before "
        f"each cut and {embargo_ns(histories, study) / 1e9:g} s are left out after it. The walk forward does the same "
        f"{study.folds} times with a growing past, each time with a network of its own."
    )
    judged = (
        f"### The newest fifth\n{model_card.judgement({'held out': learnt.score}, learnt.tenths)}\n\n"
        f"### Walking forward\n{model_card.walk(evaluation)}"
    )
    return model_card.card(name, spec, data, method, judged)


def _moment(time_ns: np.int64) -> str:
    return datetime.fromtimestamp(int(time_ns) / 1e9, UTC).strftime("%Y-%m-%d %H:%M")
