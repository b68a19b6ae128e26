"""`ntrader train | evaluate`: learn from a user's own history, or only tell whether there is something to learn."""

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

from services.inference.adapters.registry_files import RegistryFiles
from services.inference.adapters.safetensors_file import FileLimits
from services.inference.adapters.trained_models import TrainedModelFiles
from services.inference.domain import model_card
from services.inference.domain.architectures import Mlp, Tcn
from services.inference.domain.training import MOST_EPOCHS, MOST_LEARNING_RATE
from services.inference.domain.walk_forward import walk_forward
from services.inference.training.history import History, read_history
from services.inference.training.study import (
    Study,
    figures,
    learner,
    samples_of,
    shuffled,
    stride_of,
    walk_of,
)
from services.inference.training.version import learn_for_use, write_version
from trading.errors import TradingError

ARCHITECTURES: dict[str, Mlp | Tcn] = {"mlp": Mlp((32, 16)), "tcn": Tcn(16, levels=4, kernel=3)}
SHIPPED = Path(str(resources.files("services.inference") / "models"))
_UNITS_NS = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86_400 * 10**9}
_DURATION = re.compile(r"([1-9][0-9]{0,6})(ms|s|m|h|d)")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Exit codes: 0 done, 1 refused, 2 wrong usage."""
    asked = _parser().parse_args(argv)
    try:
        document, text = asked.run(asked)
    except TradingError as error:
        print(f"ntrader: {error.message}", file=sys.stderr)
        return 1
    print(json.dumps(document) if asked.as_json else text)
    return 0


def _evaluate(asked: argparse.Namespace) -> tuple[dict[str, Any], str]:
    histories, study = read_history(asked.data, asked.symbols), _study(asked)
    samples = samples_of(histories, study)
    if asked.shuffle:
        samples = shuffled(samples, study.seed)
    _say(f"walking forward over {len(samples):,} rows of {', '.join(each.symbol for each in histories)}")
    evaluation = walk_forward(samples, walk_of(histories, study), learner(study, stride_of(histories, study)))
    return figures(evaluation), model_card.walk(evaluation)


def _train(asked: argparse.Namespace) -> tuple[dict[str, Any], str]:
    histories, study = read_history(asked.data, asked.symbols), _study(asked)
    name = asked.model or _name_of(histories)
    samples = samples_of(histories, study)
    _say(f"walking forward over {len(samples):,} rows of {', '.join(each.symbol for each in histories)}")
    evaluation = walk_forward(samples, walk_of(histories, study), learner(study, stride_of(histories, study)))
    _say("training the version for use")
    learnt = learn_for_use(samples, histories, study)
    own = asked.data_dir / "models"
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        write_version(made, name, learnt, histories, study, evaluation)
        version = TrainedModelFiles(RegistryFiles(SHIPPED, own), FileLimits()).keep(
            name, made / "model.safetensors", made / "card.md"
        )
    card = own / name / version / "card.md"
    document = {
        "model": name,
        "version": version,
        "card": str(card),
        "held_out": {**asdict(learnt.score), "has_edge": learnt.score.has_edge},
        "walk_forward": figures(evaluation),
    }
    return (
        document,
        f"{card.read_text()}\n{name} {version} is in {own}; `ntrader models promote {name} {version}` lets it answer.",
    )


def _name_of(histories: Sequence[History]) -> str:
    first = re.sub(r"[^a-z0-9]+", "-", histories[0].symbol.lower()).strip("-")
    return f"{first or 'history'}-history"


def _study(asked: argparse.Namespace) -> Study:
    return Study(
        asked.horizon_ns,
        ARCHITECTURES[asked.architecture],
        asked.epochs,
        asked.learning_rate,
        asked.weight_decay,
        asked.folds,
        asked.seed,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ntrader", description="Learns from a user's own history.")
    listed = parser.add_subparsers(required=True, metavar="COMMAND")
    train = listed.add_parser("train", help="make a new version of a model of your own history")
    evaluate = listed.add_parser("evaluate", help="tell whether a history has something to learn, by walking forward")
    for command, run in ((train, _train), (evaluate, _evaluate)):
        command.set_defaults(run=run)
        _add_common(command)
    train.add_argument("--model", type=_name, metavar="NAME", help="model (default: SYMBOL-history)")
    train.add_argument("--data-dir", type=Path, default=Path(".data"), metavar="DIR", help="fleet's directory (.data)")
    evaluate.add_argument("--shuffle", action="store_true", help="shuffle the labels: what remains is no edge")
    return parser


def _add_common(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--data", type=Path, action="append", required=True, metavar="FILE", help="Parquet, CSV or gzipped CSV")
    add("--symbols", type=_names, default=(), metavar="A,B", help="symbols of the files (default: all)")
    add("--horizon", dest="horizon_ns", type=_duration, required=True, metavar="15m", help="how far ahead: ms s m h d")
    add("--architecture", choices=sorted(ARCHITECTURES), default="mlp", help="kind of network (default mlp)")
    add("--epochs", type=_epochs, default=8, metavar="N", help="passes over the data (default 8)")
    add("--learning-rate", type=_rate, default=1e-3, metavar="R", help="step of the optimiser (default 0.001)")
    add("--weight-decay", type=float, default=1.0, metavar="W", help="the stronger, the smoother (default 1)")
    add("--folds", type=_folds, default=5, metavar="N", help="steps of the walk (default 5)")
    add("--seed", type=int, default=1, metavar="N", help="seed of weights and batches")
    add("--json", action="store_true", dest="as_json", help="print one JSON line")


def _duration(text: str) -> int:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration such as 500ms, 30s, 15m, 1h, 1d")
    return int(found[1]) * _UNITS_NS[found[2]]


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of small letters, digits, '.', '_' and '-'")
    return text


def _epochs(text: str) -> int:
    return _within(int(text), 1, MOST_EPOCHS)


def _folds(text: str) -> int:
    return _within(int(text), 1, 50)


def _rate(text: str) -> float:
    value = float(text)
    if not 0 < value <= MOST_LEARNING_RATE:
        raise argparse.ArgumentTypeError(f"expected above 0 and at most {MOST_LEARNING_RATE:g}, was {text}")
    return value


def _within(value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"expected {least} to {most}, was {value}")
    return value


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
