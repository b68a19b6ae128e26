"""`ntrader train` and `ntrader evaluate` on real minute bars, and what chance and a planted edge look like there."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from servers import REPOSITORY

from services.inference.adapters.safetensors_file import FileLimits, read_model
from services.inference.domain.architectures import Mlp
from services.inference.domain.samples import Samples
from services.inference.domain.walk_forward import walk_forward
from services.inference.training.__main__ import main
from services.inference.training.history import History, read_history
from services.inference.training.study import Study, learner, samples_of, shuffled, stride_of, walk_of

BARS = REPOSITORY.parent / "shared" / "data" / "btc-perp-20211231-20220201_1m.csv.gz"
MINUTE_NS = 60_000_000_000
STUDY = Study(15 * MINUTE_NS, Mlp((32, 16)), epochs=8, learning_rate=1e-3, weight_decay=1.0, folds=5, seed=1)
real = pytest.mark.skipif(not BARS.exists(), reason="the recorded bars are not beside the repository")


@pytest.fixture(scope="module")
def histories() -> list[History]:
    return read_history([BARS], ("BTC-USDT",))


@pytest.fixture(scope="module")
def samples(histories: list[History]) -> Samples:
    return samples_of(histories, STUDY)


def planted(samples: Samples) -> Samples:
    """The same rows; where the price lies against its mean tells the label six times in ten."""
    random = np.random.default_rng(5)
    assert isinstance(samples.features, np.ndarray)
    above = samples.features[:, 6] > 0
    labels = np.where(random.random(len(samples)) < 0.6, above, ~above).astype(np.float64)
    return Samples(samples.features, labels, samples.time_ns, samples.block)


@real
def test_real_minutes_give_a_whole_report(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", "--data", str(BARS), "--symbols", "BTC-USDT", "--horizon", "15m", "--json"]
    assert main(arguments) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert report["rows"] > 25_000
    assert report["brier_skill_low"] < report["brier_skill"] < report["brier_skill_high"]
    assert 0 <= report["calibration_error"] < 0.1
    assert [tenth["rows"] > 2_500 for tenth in report["deciles"]] == [True] * 10
    assert all(0.4 < tenth["hit_rate"] < 0.65 for tenth in report["deciles"])
    assert len(report["folds"]) == 5
    assert report["sure_share"] == 0.0, "nobody is sure of bitcoin a quarter of an hour ahead"


@real
def test_shuffled_labels_give_no_skill(histories: list[History], samples: Samples) -> None:
    walk, teach = walk_of(histories, STUDY), learner(STUDY, stride_of(histories, STUDY))
    for seed in (1, 2):
        assert not walk_forward(shuffled(samples, seed), walk, teach).score.has_edge


@real
def test_a_planted_edge_is_found(histories: list[History], samples: Samples) -> None:
    walk, teach = walk_of(histories, STUDY), learner(STUDY, stride_of(histories, STUDY))
    found = walk_forward(planted(samples), walk, teach).score
    assert found.has_edge
    assert found.hit_rate == pytest.approx(0.6, abs=0.02)
    assert 0.015 < found.brier_skill < 0.045, "a perfect model has 0.04"
    assert found.calibration_error < 0.05


def a_history(folder: Path, *, edge: bool = True) -> Path:
    """Minute bars whose moves go on for a while, or never do."""
    random = np.random.default_rng(1)
    direction = np.repeat(random.choice([-1.0, 1.0], 200), 30)
    moves = random.standard_normal(6_000) * 1e-3 + (direction * 8e-4 if edge else 0)
    close = 100 * np.exp(np.cumsum(moves))
    time_ns = 1_700_000_000_000_000_000 + np.arange(6_000) * MINUTE_NS
    frame = pl.DataFrame(
        {"timestamp_ns": time_ns, "open": close, "high": close, "low": close, "close": close, "volume": 1.0}
    )
    frame.write_parquet(folder / "eth-1m.parquet")
    return folder / "eth-1m.parquet"


def train(tmp_path: Path, file: Path, *more: str) -> list[str]:
    return ["train", "--data", str(file), "--horizon", "5m", "--data-dir", str(tmp_path), *more]


@pytest.mark.parametrize(
    "how", [["--epochs", "20"], ["--architecture", "tcn", "--epochs", "8", "--folds", "2"]], ids=["mlp", "tcn"]
)
def test_a_history_becomes_a_version_with_its_card(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], how: list[str]
) -> None:
    file = a_history(tmp_path)
    assert main(train(tmp_path, file, *how, "--json")) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["model"], document["version"]) == ("eth-history", "1")
    assert document["walk_forward"]["has_edge"]
    made = read_model(tmp_path / "models" / "eth-history" / "1" / "model.safetensors", FileLimits())
    assert made.spec.horizon_ns == 5 * MINUTE_NS
    assert made.spec.provenance.metrics["walk_forward.brier_skill"] == pytest.approx(
        document["walk_forward"]["brier_skill"]
    )
    assert made.golden is not None
    card = Path(document["card"]).read_text()
    for part in ("There was an edge", "6,000 bars from", "SHA-256", "tenth by confidence", "Walking forward"):
        assert part in card


def test_the_next_training_is_the_next_version_and_the_same_one_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, quick = a_history(tmp_path), ["--epochs", "1", "--folds", "1"]
    for seed, version in (("1", "1"), ("2", "2"), ("1", "1")):
        assert main(train(tmp_path, file, *quick, "--seed", seed)) == 0
        assert f"eth-history {version} is in" in capsys.readouterr().out


def test_a_history_without_an_edge_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(train(tmp_path, a_history(tmp_path, edge=False), "--model", "mine")) == 0
    said = capsys.readouterr().out
    assert said.count("There was no edge") == 2
    assert (tmp_path / "models" / "mine" / "1" / "card.md").exists()


def test_shuffling_is_offered_to_compare_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = a_history(tmp_path)
    assert main(["evaluate", "--data", str(file), "--horizon", "5m", "--shuffle", "--json"]) == 0
    assert not json.loads(capsys.readouterr().out)["has_edge"]


def test_a_short_history_is_refused_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = pl.read_parquet(a_history(tmp_path)).head(400)
    frame.write_parquet(tmp_path / "short.parquet")
    assert main(["evaluate", "--data", str(tmp_path / "short.parquet"), "--horizon", "5m"]) == 1
    assert "Expected at least 50 rows to" in capsys.readouterr().err
    frame.head(100).write_parquet(tmp_path / "short.parquet")
    assert main(["evaluate", "--data", str(tmp_path / "short.parquet"), "--horizon", "5m"]) == 1
    assert "Expected more than 129 ticks" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong",
    [
        ["--horizon", "soon"],
        ["--horizon", "5m", "--epochs", "0"],
        ["--horizon", "5m", "--learning-rate", "0"],
        ["--horizon", "5m", "--folds", "0"],
    ],
)
def test_wrong_usage_is_exit_code_2(tmp_path: Path, wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", "--data", str(tmp_path / "x.csv"), *wrong])
    assert caught.value.code == 2


def test_a_name_that_the_registry_would_refuse_is_refused_here(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main(train(tmp_path, tmp_path / "x.csv", "--model", "../up"))
    assert caught.value.code == 2


def test_ntrader_leads_there(tmp_path: Path) -> None:
    command = [Path(sys.executable).with_name("ntrader"), "evaluate", "--data", str(a_history(tmp_path)), "--json"]
    run = subprocess.run([*command, "--horizon", "5m"], capture_output=True, text=True, check=True, env={**os.environ})
    assert json.loads(run.stdout)["rows"] > 2_500
