"""The committed script makes a model from market files, the same one each time."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from services.inference.adapters.safetensors_file import FileLimits, SafetensorsFile, read_model
from services.inference.domain.architectures import Mlp, Tcn
from services.inference.starter.__main__ import main
from services.inference.starter.market import read_market

SECONDS, RATE = 600, 10
COUNT = SECONDS * RATE
START_NS = 1_704_205_800_000_000_000
SYMBOLS = ("AAPL", "BTC-USDT")


def write_market(file: Path, seed: int, *, edge: bool) -> Path:
    """Ten minutes of two symbols; with the edge the lean of the displayed sizes tells the next second's drift."""
    random = np.random.default_rng(seed)
    frames = [_quotes(symbol, random, edge=edge) for symbol in SYMBOLS]
    pl.concat(frames).sort("timestamp_ns", maintain_order=True).write_parquet(file)
    return file


def write_trades(file: Path) -> None:
    """One trade a second of each symbol, in the twin of a market file."""
    times = START_NS + np.arange(SECONDS) * 10**9
    frames = [
        pl.DataFrame({"timestamp_ns": times, "symbol": symbol, "price": 100.0, "size": 1.0}) for symbol in SYMBOLS
    ]
    pl.concat(frames).write_parquet(file.with_name(f"{file.stem}-trades.parquet"))


def _quotes(symbol: str, random: np.random.Generator, *, edge: bool) -> pl.DataFrame:
    direction = np.repeat(random.choice([-1.0, 1.0], SECONDS // 5), 5 * RATE)
    drift = 3e-4 * direction if edge else 0.0
    mid = 100 * np.exp(np.cumsum(random.standard_normal(COUNT) * 2e-4 + drift))
    lean = np.exp(direction)
    return pl.DataFrame(
        {
            "timestamp_ns": START_NS + np.arange(COUNT) * (10**9 // RATE),
            "symbol": [symbol] * COUNT,
            "bid": np.round(mid - 0.005, 3),
            "bid_size": 100 * lean,
            "ask": np.round(mid + 0.005, 3),
            "ask_size": 100 / lean,
        }
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two markets, one with an edge and one without."""
    folder = tmp_path_factory.mktemp("markets")
    out = folder / "models" / "test-model" / "3"
    edge, calm = (
        write_market(folder / "edge.parquet", 1, edge=True),
        write_market(folder / "calm.parquet", 2, edge=False),
    )
    write_trades(edge)
    assert main(["--market", str(edge), "--market", str(calm), "--out", str(out)]) == 0
    return out


def read(made: Path) -> SafetensorsFile:
    return read_model(made / "model.safetensors", FileLimits())


def test_the_file_tells_all_that_is_known_of_the_model(made: Path) -> None:
    spec = read(made).spec
    assert isinstance(spec.architecture, Mlp)
    assert spec.horizon_ns == 500_000_000
    assert spec.calibration is not None
    assert set(spec.distributions) == set(spec.features)
    assert "edge (10 min), calm (10 min)" in spec.provenance.training_data
    assert len(spec.provenance.training_data_sha256) == 64
    assert read(made).golden is not None


def test_the_edge_is_found_where_it_is_and_only_there(made: Path) -> None:
    metrics = read(made).spec.provenance.metrics
    assert metrics["edge.brier_skill_low"] > 0.1
    assert metrics["edge.quotes_only.brier_skill_low"] > 0.1, "it can do without the trades"
    assert metrics["calm.brier_skill_low"] < 0
    assert metrics["calm.hit_rate"] == pytest.approx(0.5, abs=0.05)


def test_a_sequence_model_finds_it_too(made: Path, tmp_path: Path) -> None:
    folder, out = made.parents[2], tmp_path / "test-sequence" / "1"
    files = ["--market", str(folder / "edge.parquet"), "--market", str(folder / "calm.parquet")]
    assert main([*files, "--architecture", "tcn", "--out", str(out)]) == 0
    spec = read(out).spec
    assert isinstance(spec.architecture, Tcn)
    assert spec.window == 31
    assert spec.provenance.metrics["edge.brier_skill_low"] > 0.1
    assert spec.provenance.metrics["calm.brier_skill_low"] < 0
    assert "a window of 31 rows" in (out / "card.md").read_text()


def test_the_card_says_what_it_was_trained_on_and_whether_there_was_an_edge(made: Path) -> None:
    card = (made / "card.md").read_text()
    assert "trained on simulated data only" in card
    assert "| edge | " in card
    assert " | yes | " in card
    assert " | no | " in card


def test_the_same_files_and_seed_give_the_same_model(made: Path, tmp_path: Path) -> None:
    folder, again = made.parents[2], tmp_path / "test-model" / "3"
    main(["--market", str(folder / "edge.parquet"), "--market", str(folder / "calm.parquet"), "--out", str(again)])
    for name in ("model.safetensors", "card.md"):
        assert (again / name).read_bytes() == (made / name).read_bytes()


def test_the_twin_brings_the_trades_and_hides_their_sides(tmp_path: Path) -> None:
    file = write_market(tmp_path / "m.parquet", 1, edge=False)
    trades = pl.DataFrame(
        {"timestamp_ns": [START_NS + 5], "symbol": ["AAPL"], "price": [1.0], "size": [7.0], "side": ["buy"]}
    )
    trades.write_parquet(tmp_path / "m-trades.parquet")
    traded, untraded = read_market(file).series
    assert (traded.symbol, traded.has_trades) == ("AAPL", True)
    assert (untraded.symbol, untraded.has_trades) == ("BTC-USDT", False)
    assert traded.ticks.volume[1] == 7.0
    assert traded.ticks.signs[1] == -1.0, "below the mid it sold, whatever the file says"


def test_empty_and_crossed_books_are_left_out(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "timestamp_ns": [1, 2, 3],
            "symbol": ["AAPL"] * 3,
            "bid": [100.0, 0.0, 102.0],
            "bid_size": [1.0] * 3,
            "ask": [101.0, 101.0, 101.0],
            "ask_size": [1.0] * 3,
        }
    )
    frame.write_parquet(tmp_path / "m.parquet")
    assert len(read_market(tmp_path / "m.parquet").series[0].ticks) == 1
