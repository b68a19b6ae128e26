"""From markets to a judged model: train, calibrate on a later slice, judge on a still later one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from services.inference.domain import calibration, mlp, scorecard
from services.inference.domain.calibration import Calibration
from services.inference.domain.samples import Samples, Slices, cut, joined, sample
from services.inference.domain.scorecard import Scorecard
from services.inference.domain.trade_flow import without_trades
from services.inference.domain.trainer import Recipe
from services.inference.starter.market import Market

STRIDE = 5
"""Every fifth row trains: neighbours share most of their label."""
RECIPE = Recipe(epochs=6, batch_rows=1024, learning_rate=2e-3, weight_decay=1.0)
"""The strong weight decay keeps the network smooth: a calm market must not sound sure."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A network with its calibration, and its scorecard on each market."""

    network: mlp.Network
    calibration: Calibration
    scores: dict[str, Scorecard]
    rows: int
    base_rate: float


def fit(markets: Sequence[Market], horizon_ns: int, seed: int, say: Callable[[str], None]) -> Judged:
    """Fit one model to all markets, each seen with its trades and as quotes alone."""
    slices = dict(_slices(markets, horizon_ns))
    training = joined([each.train[::STRIDE] for each in slices.values()])
    say(f"training on {len(training):,} rows of {len(slices)} markets")
    recipe = Recipe(RECIPE.hidden, RECIPE.epochs, RECIPE.batch_rows, RECIPE.learning_rate, RECIPE.weight_decay, seed)
    network = mlp.train(
        training.features, training.labels, recipe, lambda epoch, loss: say(f"epoch {epoch}: log loss {loss:.5f}")
    )
    later = joined([each.calibrate for each in slices.values()])
    platt = calibration.fit(network.logits(later.features), later.labels)
    base_rate = float(training.labels.mean())
    scores = {name: _judge(network, platt, each.judge, base_rate) for name, each in slices.items()}
    return Judged(network, platt, scores, len(training), base_rate)


def _slices(markets: Sequence[Market], horizon_ns: int) -> Iterator[tuple[str, Slices]]:
    for market in markets:
        yield market.name, cut(_samples(market, horizon_ns, quotes_only=False), horizon_ns)
        if any(series.has_trades for series in market.series):
            yield f"{market.name}.quotes_only", cut(_samples(market, horizon_ns, quotes_only=True), horizon_ns)


def _samples(market: Market, horizon_ns: int, *, quotes_only: bool) -> Samples:
    parts = []
    for number, series in enumerate(market.series):
        ticks = without_trades(series.ticks) if quotes_only else series.ticks
        parts.append(sample(ticks, series.time_ns, horizon_ns, block=number * 1_000_000))
    return joined(parts)


def _judge(network: mlp.Network, platt: Calibration, held_out: Samples, base_rate: float) -> Scorecard:
    probabilities = platt.probabilities(network.logits(held_out.features))
    return scorecard.score(np.asarray(probabilities), held_out.labels, base_rate, held_out.block)
