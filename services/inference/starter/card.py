"""The model card: what a model was trained on, how it was judged, and whether there was an edge."""

from collections.abc import Sequence

from services.inference.domain.features import FEATURES
from services.inference.domain.scorecard import SURE, Scorecard
from services.inference.starter.fit import RECIPE, STRIDE, Judged
from services.inference.starter.market import Market

_CARD = """# {name} {version}

A multilayer perceptron ({shape}) that says how probable it is that the mid is higher in {horizon_ms} ms than now;
an unchanged mid counts as half.

**It was trained on simulated data only.** The paper venue's simulator plants momentum bursts that order flow gives
away; that is the simulator's own edge. What the model knows is how to find those bursts. It has seen no real market,
and nothing below is a claim about one.

## Data
{files}

Each market is seen with its trades and, as `quotes_only`, without them. Cut by time: 60 % to train (every {stride}th
row, {rows:,} rows), 20 % to calibrate (Platt: slope {slope:.4f}, intercept {intercept:.4f}), 20 % to judge;
a horizon is purged before each cut and 30 s are left out after it. Seed {seed}.

## Judged on the last slice of each market
| market | rows | Brier skill (95 % interval) | edge | hit rate | calibration error | over {sure} | hits there |
|---|---|---|---|---|---|---|---|
{scores}

Skill is against the base rate of the training data ({base_rate:.4f}); the interval is from a bootstrap over blocks of
30 s. "yes" under edge means that the whole interval lies above zero.
"""


def card(name: str, version: str, judged: Judged, markets: Sequence[Market], horizon_ns: int, seed: int) -> str:
    """The card as Markdown."""
    return _CARD.format(
        name=name,
        version=version,
        shape="-".join(map(str, (len(FEATURES), *RECIPE.hidden, 1))),
        horizon_ms=horizon_ns // 1_000_000,
        files="\n".join(map(_file, markets)),
        stride=STRIDE,
        rows=judged.rows,
        slope=judged.calibration.slope,
        intercept=judged.calibration.intercept,
        seed=seed,
        sure=SURE,
        scores="\n".join(_row(market, score) for market, score in judged.scores.items()),
        base_rate=judged.base_rate,
    )


def _file(market: Market) -> str:
    return (
        f"- `{market.name}`: {market.seconds / 60:.0f} minutes, {len(market.series)} symbols, SHA-256 `{market.sha256}`"
    )


def _row(market: str, score: Scorecard) -> str:
    skill = f"{score.brier_skill:+.4f} ({score.brier_skill_low:+.4f} to {score.brier_skill_high:+.4f})"
    sure = f"{score.sure_share:.2%} | {f'{score.sure_hit_rate:.3f}' if score.sure_share else 'none'}"
    return (
        f"| {market} | {score.rows:,} | {skill} | {'yes' if score.has_edge else 'no'} "
        f"| {score.hit_rate:.3f} | {score.calibration_error:.4f} | {sure} |"
    )
