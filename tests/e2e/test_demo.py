"""The main job, run as a newcomer runs it."""

import csv
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from e2e.conftest import NTRADER
from servers import SHARED_DATA

pytestmark = [pytest.mark.fleet, pytest.mark.slow, pytest.mark.timeout(400)]
BAC = SHARED_DATA / "bac-quotes-2013-10-07.parquet"


def demo(tmp_path: Path, *flags: str) -> dict[str, Any]:
    """Run `ntrader demo`; its JSON report."""
    report = tmp_path / "report.json"
    command = [*NTRADER, "demo", "--json", str(report), *flags]
    run = subprocess.run(command, capture_output=True, text=True, timeout=390, check=False)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-5000:]
    facts: dict[str, Any] = json.loads(report.read_text())
    return facts


def assert_every_stage_worked(facts: dict[str, Any]) -> None:
    assert facts["ticks"]["market_data"] == facts["ticks"]["venue"] > 0
    assert facts["ticks"]["lost"] == 0
    assert facts["predictions"] > 0
    assert facts["signals"] > 0
    assert facts["fills"] > 0
    assert sum(facts["orders"].values()) > 0
    assert facts["books"] == {"positions_equal_fills": True, "cash_exact": True}
    for window in ("tick_to_signal", "tick_to_order_reply"):
        assert 0 < facts["latency_us"][window]["p50"] <= facts["latency_us"][window]["p99"]
    assert {"market_data", "inference", "execution", "portfolio", "gateway"} <= set(facts["rss_mb"])


def test_a_simulated_market_is_traded_and_the_books_agree(tmp_path: Path) -> None:
    facts = demo(tmp_path, "--seconds", "12")
    assert_every_stage_worked(facts)


def test_a_small_recorded_market_is_traded_to_its_end(tmp_path: Path) -> None:
    market = tmp_path / "ibm-quotes.csv"
    with market.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["timestamp_ns", "bid", "bid_size", "ask", "ask_size"])
        for step in range(20_000):
            mid = 150 + 2 * ((step // 500) % 2) * (step % 500) / 500
            at = 1_700_000_000_000_000_000 + step * 50_000_000
            rows.writerow([at, f"{mid - 0.01:.2f}", 100 + step % 7 * 100, f"{mid + 0.01:.2f}", 100 + step % 5 * 100])
    facts = demo(tmp_path, "--market", str(market))
    assert facts["ticks"]["venue"] >= 20_000
    assert_every_stage_worked(facts)


@pytest.mark.skipif(not BAC.exists(), reason="The recorded BAC day is not beside this checkout.")
def test_a_real_day_of_quotes_arrives_whole(tmp_path: Path) -> None:
    facts = demo(tmp_path, "--market", str(BAC))
    assert facts["ticks"]["venue"] >= 476_854
    assert_every_stage_worked(facts)
