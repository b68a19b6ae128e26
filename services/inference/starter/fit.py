"""From markets to a judged model: train, calibrate on a later slice, judge on a still later one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from services.inference.domain import calibration, scorecard
from services.inference.domain.architectures import Mlp, Tcn
from services.inference.domain.calibration import Calibration
from services.inference.domain.learning import NumpyLearning
from services.inference.domain.samples import Samples, Slices, cut, joined, sample
from services.inference.domain.scorecard import Decile, Scorecard
from services.inference.domain.trade_flow import without_trades
from services.inference.domain.trainer import Recipe
from services.inference.starter.market import Market


@dataclass(frozen=True, slots=True)
class Starter:
    """A network and how it is trained; every `stride`-th row trains, for neighbours share most of their label.

    The strong weight decay keeps a network smooth: a calm market must not sound sure.
    """

    architecture: Mlp | Tcn
    window: int
    stride: int
    recipe: Recipe


STARTERS = {
    "mlp": Starter(Mlp((64, 32)), 1, 5, Recipe((64, 32), epochs=6, batch_rows=1024, weight_decay=1.0)),
    "tcn": Starter(Tcn(16, levels=4, kernel=3), 31, 5, Recipe(epochs=5, batch_rows=1024, weight_decay=1.0)),
}


@dataclass(frozen=True, slots=True)
class Judged:
    """What was learnt with its calibration, and its scorecard on each market; `tenths` are of all rows judged."""

    starter: Starter
    learning: NumpyLearning
    calibration: Calibration
    scores: dict[str, Scorecard]
    tenths: tuple[Decile, ...]
    training: Samples
    base_rate: float


def fit(markets: Sequence[Market], horizon_ns: int, kind: str, seed: int, say: Callable[[str], None]) -> Judged:
    """Fit one model to all markets, each seen with its trades and as quotes alone."""
    starter = STARTERS[kind]
    slices = dict(_slices(markets, horizon_ns, starter.window))
    training = joined([each.train[:: starter.stride] for each in slices.values()])
    say(f"training on {len(training):,} rows of {len(slices)} markets")
    labels = training.labels.astype(np.float32)
    learning = NumpyLearning(starter.architecture, training.features, labels, replace(starter.recipe, seed=seed))
    for loss in learning.epochs():
        say(f"epoch {len(learning.losses)}: log loss {loss:.5f}")
    later = joined([each.calibrate for each in slices.values()])
    platt = calibration.fit(learning.logits(later.features), later.labels)
    base_rate = float(training.labels.mean())
    said = {name: _probabilities(learning, platt, each.judge) for name, each in slices.items()}
    scores = {
        name: scorecard.score(said[name], each.judge.labels, base_rate, each.judge.block)
        for name, each in slices.items()
    }
    labels_judged = np.concatenate([each.judge.labels for each in slices.values()])
    tenths = scorecard.deciles(np.concatenate(list(said.values())), labels_judged)
    return Judged(starter, learning, platt, scores, tenths, training, base_rate)


def _slices(markets: Sequence[Market], horizon_ns: int, window: int) -> Iterator[tuple[str, Slices]]:
    for market in markets:
        yield market.name, cut(_samples(market, horizon_ns, window, quotes_only=False), horizon_ns)
        if any(series.has_trades for series in market.series):
            yield f"{market.name}.quotes_only", cut(_samples(market, horizon_ns, window, quotes_only=True), horizon_ns)


def _samples(market: Market, horizon_ns: int, window: int, *, quotes_only: bool) -> Samples:
    parts = []
    for number, series in enumerate(market.series):
        ticks = without_trades(series.ticks) if quotes_only else series.ticks
        parts.append(sample(ticks, series.time_ns, horizon_ns, block=number * 1_000_000, steps=window))
    return joined(parts)


def _probabilities(learning: NumpyLearning, platt: Calibration, held_out: Samples) -> scorecard.Floats:
    return np.asarray(platt.probabilities(learning.logits(held_out.features)), np.float64)
