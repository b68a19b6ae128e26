"""`ntrader record` as a person runs it: a process, a venue, a file."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from builders.live_venue import LiveVenue, live_venue
from servers import REPOSITORY

NTRADER = [sys.executable, "-m", "fleet", "record"]


@pytest.fixture(scope="module")
def venue() -> Iterator[LiveVenue]:
    with live_venue("--quote-rate", "50", "--trade-rate", "20") as running:
        yield running


def start(venue: LiveVenue, *arguments: str, stderr: int = subprocess.PIPE, **env: str) -> subprocess.Popen[str]:
    path = os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "libs"), str(REPOSITORY / "libs" / "generated")))
    environment = {**os.environ, "PYTHONPATH": path, **venue.settings, **env}
    return subprocess.Popen([*NTRADER, *arguments], stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment)


def record(venue: LiveVenue, *arguments: str, **env: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    process = start(venue, *arguments, **env)
    said, complained = process.communicate(timeout=60)
    return process.returncode, said, complained


@pytest.mark.parametrize(
    "protocol",
    ["binance", pytest.param("paper", marks=pytest.mark.slow), pytest.param("polygon", marks=pytest.mark.slow)],
)
def test_a_recording_holds_what_the_venue_said(venue: LiveVenue, tmp_path: Path, protocol: str) -> None:
    out = tmp_path / "day.parquet"

    code, said, complained = record(
        venue, "--venue", protocol, "--symbols", "BTCUSDT,ETH/USD", "--seconds", "2", "--out", str(out), "--json"
    )

    assert code == 0, complained
    frame = pl.read_parquet(out)
    counts = {kind: len(rows) for (kind,), rows in frame.group_by("kind")}
    assert json.loads(said) == {
        "out": str(out), "quotes": counts["quote"], "trades": counts["trade"], "gaps": 0, "complaint": "",
    }  # fmt: skip
    assert set(frame["symbol"]) == {"BTC-USDT", "ETH-USDT"}
    assert set(frame["venue"]) == {protocol}
    for _, rows in frame.group_by("symbol", "kind"):
        assert rows["sequence"].to_list() == list(range(len(rows)))
    ids = frame.filter(pl.col("kind") == "trade")
    assert ids.select("symbol", "trade_id").is_unique().all()
    assert pl.read_parquet(tmp_path / "day.gaps.parquet").is_empty()
    assert "of 2 s" in complained


def test_ctrl_c_ends_it_early_and_keeps_what_was_recorded(venue: LiveVenue, tmp_path: Path) -> None:
    out, (screen, terminal) = tmp_path / "day.parquet", pty.openpty()
    process = start(
        venue, "--venue", "paper", "--symbols", "AAPL", "--seconds", "3600", "--out", str(out), stderr=terminal
    )
    shown = ""
    while not re.search(r"[1-9]\d* quotes", shown):
        assert select.select([screen], [], [], 30)[0], f"It has recorded nothing yet: {shown!r}"
        shown += os.read(screen, 1024).decode()
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)

    assert process.returncode == 0
    assert said.startswith(f"{out}: ")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["day.gaps.parquet", "day.parquet"]


@pytest.mark.slow
def test_a_venue_that_refuses_us_is_exit_code_one_and_no_file(venue: LiveVenue, tmp_path: Path) -> None:
    out = tmp_path / "day.parquet"

    code, said, complained = record(
        venue, "--venue", "polygon", "--symbols", "AAPL", "--seconds", "60", "--out", str(out), "--quiet",
        POLYGON_API_KEY="wrong",
    )  # fmt: skip

    assert (code, said) == (1, "")
    assert "Unknown API Key" in complained
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_venue_that_nobody_knows_is_exit_code_two(venue: LiveVenue, tmp_path: Path) -> None:
    code, _, complained = record(
        venue, "--venue", "nyse", "--symbols", "AAPL", "--seconds", "1", "--out", str(tmp_path / "day.parquet")
    )

    assert code == 2
    assert "expected one of paper, alpaca" in complained
