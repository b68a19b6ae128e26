"""What the shipped models promise, on simulated markets that they have never seen."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from servers import REPOSITORY

from services.inference.adapters.model_files import load_model
from services.inference.adapters.onnx_session import OnnxModel, SessionRules
from services.inference.domain.feature_series import fold
from services.inference.domain.features import WARM_UP_TICKS, FeatureState
from services.inference.domain.model import opinions
from services.inference.domain.model_spec import Precision
from services.inference.domain.scorecard import SURE
from services.inference.domain.trade_flow import without_trades
from services.inference.domain.windows import Windows
from services.inference.starter.market import Series, read_market

SHIPPED = REPOSITORY / "services" / "inference" / "models"
MODELS = ("momentum-v1", "neural-momentum-v1")
SECONDS = 600
ROWS = 4096
HELD_OUT_SEED = 90_210
MINUTE_NS = 60_000_000_000


def export(folder: Path, *flags: str) -> tuple[Series, ...]:
    """Ten minutes of the paper venue's market."""
    out = folder / "market.parquet"
    command = [sys.executable, "-m", "services.paper_venue", "export", "--seed", str(HELD_OUT_SEED)]
    subprocess.run([*command, "--seconds", str(SECONDS), "--out", str(out), *flags], check=True, cwd=REPOSITORY)
    return read_market(out).series


@pytest.fixture(scope="module")
def bursts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Series, ...]:
    """The market with its edge."""
    return export(tmp_path_factory.mktemp("bursts"))


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Series, ...]:
    """The market without it."""
    return export(tmp_path_factory.mktemp("calm"), "--no-edge")


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Iterator[OnnxModel]:
    """A shipped model in the runtime that serves it."""
    loaded = load_model(SHIPPED / request.param / "1", SessionRules())
    yield loaded
    loaded.close()


async def said(model: OnnxModel, series: Series, *, quotes_only: bool = False) -> tuple[slice, np.ndarray, np.ndarray]:
    """The warm rows of a series, and what the model makes of them: predictions and confidence."""
    ticks = without_trades(series.ticks) if quotes_only else series.ticks
    features = fold(FeatureState(), ticks).astype(np.float32)
    warm = slice(WARM_UP_TICKS + model.card.window - 1, len(features))
    windows = Windows.ending_anywhere(features, model.card.window)[warm]
    parts = [windows[start : start + ROWS].dense() for start in range(0, len(windows), ROWS)]
    logits = [await model.logits(part if len(model.card.sample_shape) == 2 else part[:, -1]) for part in parts]
    return warm, *opinions(model.card, np.concatenate(logits))


async def test_with_the_edge_on_it_is_sure_at_least_once_a_minute(model: OnnxModel, bursts: tuple[Series, ...]) -> None:
    sure_minutes: set[int] = set()
    for series in bursts:
        warm, _, confidence = await said(model, series)
        minutes = (series.time_ns[warm] - series.time_ns[0]) // MINUTE_NS
        sure_minutes |= set(minutes[confidence > SURE].tolist())
    assert sure_minutes == set(range(SECONDS // 60))


@pytest.mark.parametrize("quotes_only", [False, True])
async def test_with_the_edge_off_it_is_never_sure(
    model: OnnxModel, calm: tuple[Series, ...], quotes_only: bool
) -> None:
    for series in calm:
        _, _, confidence = await said(model, series, quotes_only=quotes_only)
        assert confidence.max() <= SURE


async def test_when_it_is_sure_it_is_right_as_often_as_it_says(model: OnnxModel, bursts: tuple[Series, ...]) -> None:
    hits, sure = [], []
    for series in bursts:
        warm, predictions, confidence = await said(model, series)
        later = np.searchsorted(series.time_ns, series.time_ns[warm] + model.card.horizon_ns, side="right") - 1
        change = np.sign(series.ticks.price[later] - series.ticks.price[warm]) * np.sign(predictions)
        hits.append((change[confidence > SURE] + 1) / 2)
        sure.append(confidence[confidence > SURE])
    assert np.concatenate(hits).mean() == pytest.approx(np.concatenate(sure).mean(), abs=0.05)


@pytest.mark.parametrize("name", MODELS)
def test_its_card_says_that_its_market_was_simulated_and_where_there_was_an_edge(name: str) -> None:
    card = (SHIPPED / name / "1" / "card.md").read_text()
    assert "trained on simulated data only" in card
    assert "**There was an edge** on bursts, bursts.quotes_only, and none on calm" in card


@pytest.mark.parametrize("precision", ["fp16", "int8"])
@pytest.mark.parametrize("name", MODELS)
def test_it_brings_enough_samples_to_be_judged_at_a_lower_precision_and_passes(name: str, precision: Precision) -> None:
    loaded = load_model(SHIPPED / name / "1", SessionRules(gpu="off"), precision)
    try:
        assert loaded.card.precision == precision
    finally:
        loaded.close()
