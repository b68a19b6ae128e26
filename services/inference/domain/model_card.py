"""The model card: what a model learnt from, how it was judged, and plainly whether there was an edge."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from services.inference.domain.model_spec import ModelSpec
from services.inference.domain.scorecard import SURE, Decile, Scorecard
from services.inference.domain.walk_forward import Evaluation

_HEAD = "| {} | rows | Brier skill (95 % interval) | edge | hit rate | calibration error | over {} | hits there |"
_NO_JUDGEMENT = (
    "There were too few rows to calibrate with and to judge by. **Nothing is known of an edge**, and the model says no "
    "confidence: its answers are marked `calibrated: false`."
)


def card(name: str, spec: ModelSpec, data: str, method: str, judgement: str) -> str:
    """A card as Markdown from its three parts; the version is the name of the directory that it lies in."""
    return f"""# {name}

{_shape(spec)}
It says how probable it is that the price is higher after {_duration(spec.horizon_ns)} than now; an unchanged price
counts as half.

## Data
{data}

## Method
{method}

## Judged
{judgement}
"""


def judgement(scores: Mapping[str, Scorecard], tenths: Sequence[Decile] = (), what: str = "data") -> str:
    """The verdict on held-out data, in words and in figures; no scores means that nothing could be judged."""
    if not scores:
        return _NO_JUDGEMENT
    parts = [_verdict(scores), table(scores, what)]
    return "\n\n".join([*parts, *([_tenths(tenths)] if tenths else []), _EXPLAINED])


def walk(evaluation: Evaluation) -> str:
    """What a walk forward found: all folds together, by tenths of confidence, and fold by fold."""
    folds = {
        f"{number} ({_day(fold.start_ns)} to {_day(fold.end_ns)}, learnt from {fold.trained_rows:,})": fold.score
        for number, fold in enumerate(evaluation.folds, 1)
    }
    return (
        judgement({"all folds": evaluation.score}, evaluation.deciles, "walk forward") + "\n\n" + table(folds, "fold")
    )


def table(scores: Mapping[str, Scorecard], what: str) -> str:
    """Scorecards as rows of a table."""
    return "\n".join(
        (_HEAD.format(what, SURE), "|---" * 8 + "|", *(_row(name, score) for name, score in scores.items()))
    )


_EXPLAINED = """Skill is 1 − Brier / Brier of the base rate known beforehand; its interval is from a bootstrap over
blocks of time. "yes" under edge means that the whole interval lies above zero. The calibration error is the expected
|hit share − confidence|."""


def _verdict(scores: Mapping[str, Scorecard]) -> str:
    found = [name for name, score in scores.items() if score.has_edge]
    if not found:
        return "**There was no edge**: what it says of data it has not seen is no better than the base rate."
    missed = [name for name in scores if name not in found]
    where = f" on {', '.join(found)}" if len(scores) > 1 else ""
    rest = f", and none on {', '.join(missed)}" if missed else ""
    claim = "It is an edge of this data; nothing here is a claim about another market."
    return f"**There was an edge**{where}{rest}.\n{claim}"


def _row(name: str, score: Scorecard) -> str:
    skill = f"{score.brier_skill:+.4f} ({score.brier_skill_low:+.4f} to {score.brier_skill_high:+.4f})"
    sure = f"{score.sure_share:.2%} | {f'{score.sure_hit_rate:.3f}' if score.sure_share else 'none'}"
    return (
        f"| {name} | {score.rows:,} | {skill} | {'yes' if score.has_edge else 'no'} "
        f"| {score.hit_rate:.3f} | {score.calibration_error:.4f} | {sure} |"
    )


def _tenths(tenths: Sequence[Decile]) -> str:
    names = " | ".join(str(number) for number in range(1, len(tenths) + 1))
    confidence = " | ".join(f"{each.confidence:.3f}" for each in tenths)
    hits = " | ".join(f"{each.hit_rate:.3f}" for each in tenths)
    return "\n".join(
        (
            f"| tenth by confidence | {names} |",
            "|---" * (len(tenths) + 1) + "|",
            f"| mean confidence | {confidence} |",
            f"| hit rate | {hits} |",
        )
    )


def _shape(spec: ModelSpec) -> str:
    kind = type(spec.architecture).__name__.lower()
    seen = "one row" if spec.window == 1 else f"a window of {spec.window} rows"
    calibrated = "calibrated" if spec.calibration else "not calibrated"
    return f"A network of the kind `{kind}` that reads {seen} of {len(spec.features)} features; {calibrated}."


def _duration(horizon_ns: int) -> str:
    for unit_ns, name in ((60_000_000_000, "min"), (1_000_000_000, "s"), (1_000_000, "ms")):
        if horizon_ns >= unit_ns and not horizon_ns % unit_ns:
            return f"{horizon_ns // unit_ns} {name}"
    return f"{horizon_ns} ns"


def _day(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M")
