"""What the shipped model promises, on simulated markets that it has never seen."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from servers import REPOSITORY

from services.inference.adapters.model_files import load_model
from services.inference.adapters.onnx_session import SessionRules
from services.inference.domain.feature_series import fold
from services.inference.domain.features import WARM_UP_TICKS, FeatureState
from services.inference.domain.model import opinions
from services.inference.domain.scorecard import SURE
from services.inference.domain.trade_flow import without_trades
from services.inference.starter.market import Series, read_market

SHIPPED = REPOSITORY / "services" / "inference" / "models" / "momentum-v1" / "1"
SECONDS = 600
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


async def confidence(series: Series, *, quotes_only: bool) -> np.ndarray:
    """The model's confidence at every warm tick."""
    model = load_model(SHIPPED, SessionRules())
    ticks = without_trades(series.ticks) if quotes_only else series.ticks
    logits = await model.logits(fold(FeatureState(), ticks)[WARM_UP_TICKS:])
    model.close()
    return opinions(model.card, logits)[1]


async def test_with_the_edge_on_it_is_sure_at_least_once_a_minute(bursts: tuple[Series, ...]) -> None:
    sure_minutes: set[int] = set()
    for series in bursts:
        sure = await confidence(series, quotes_only=False) > SURE
        minutes = (series.time_ns[WARM_UP_TICKS:] - series.time_ns[0]) // MINUTE_NS
        sure_minutes |= set(minutes[sure].tolist())
    assert sure_minutes == set(range(SECONDS // 60))


@pytest.mark.parametrize("quotes_only", [False, True])
async def test_with_the_edge_off_it_is_never_sure(calm: tuple[Series, ...], quotes_only: bool) -> None:
    for series in calm:
        assert (await confidence(series, quotes_only=quotes_only)).max() <= SURE


async def test_when_it_is_sure_it_is_right_as_often_as_it_says(bursts: tuple[Series, ...]) -> None:
    hits, said = [], []
    for series in bursts:
        model = load_model(SHIPPED, SessionRules())
        predictions, sure = opinions(model.card, await model.logits(fold(FeatureState(), series.ticks)))
        model.close()
        later = np.searchsorted(series.time_ns, series.time_ns + model.card.horizon_ns, side="right") - 1
        change = np.sign(series.ticks.price[later] - series.ticks.price) * np.sign(predictions)
        chosen = (sure > SURE) & (np.arange(len(sure)) >= WARM_UP_TICKS)
        hits.append((change[chosen] + 1) / 2)
        said.append(sure[chosen])
    assert np.concatenate(hits).mean() == pytest.approx(np.concatenate(said).mean(), abs=0.05)
