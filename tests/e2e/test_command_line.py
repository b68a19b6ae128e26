"""`ntrader` walks an order through the whole fleet, and the fleet through its kill switch."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from e2e.conftest import Fleet
from servers import wait_until

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(180)]
COMMAND_TIMEOUT_S = 40


def ntrader(fleet: Fleet, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command that finds the fleet by its data directory."""
    command = [sys.executable, "-m", "neural_trader", *arguments, "--data-dir", str(fleet.data_dir)]
    told_elsewhere = {"NEURAL_TRADER_URL", "NEURAL_TRADER_API_KEY"}
    environment = {name: value for name, value in os.environ.items() if name not in told_elsewhere}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, env=environment, check=False
    )


def document(fleet: Fleet, *arguments: str) -> Any:
    """What a command that succeeds prints for a program."""
    run = ntrader(fleet, *arguments, "--json")
    assert run.returncode == 0, run.stdout + run.stderr
    return json.loads(run.stdout)


def test_buy_orders_events_halt_resume(fleet: Fleet, tmp_path: Path) -> None:
    bought = document(fleet, "order", "buy", "AAPL", "10", "--client-order-id", "cli-1")
    assert bought["status"] == "FILLED"
    assert document(fleet, "order", "buy", "AAPL", "10", "--client-order-id", "cli-1")["order_id"] == bought["order_id"]

    listed = ntrader(fleet, "orders", "--symbol", "AAPL", "--status", "FILLED")
    assert bought["order_id"] in listed.stdout
    kinds = [event["kind"] for event in document(fleet, "events", bought["order_id"])["events"]]
    assert (kinds[0], kinds[-1]) == ("INITIALIZED", "FILL")

    halted = document(fleet, "halt", "--reason", "drill")
    assert halted["trading_state"] == "HALTED"
    denied = ntrader(fleet, "order", "buy", "AAPL", "1")
    assert denied.returncode == 1
    assert "TRADING_HALTED" in denied.stdout
    assert document(fleet, "resume")["trading_state"] == "ACTIVE"
    assert document(fleet, "order", "buy", "AAPL", "1")["status"] == "FILLED"

    trail = document(fleet, "audit", "--subject", "trading_state")["entries"]
    assert [entry["value"]["state"] for entry in trail[:2]] == ["ACTIVE", "HALTED"]
    assert trail[1]["reason"] == "drill"

    file = tmp_path / "day.csv"
    assert ntrader(fleet, "statement", "--out", str(file)).returncode == 0
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert bought["order_id"] in {row["order_id"] for row in rows if row["record"] == "trade"}
    assert "AAPL" in {row["symbol"] for row in rows if row["record"] == "position"}


def test_a_resting_order_is_changed_and_canceled_with_all_others(fleet: Fleet) -> None:
    bid = fleet.client.get("/v1/market-data/quotes/MSFT").raise_for_status().json()["bid"]
    price, higher = f"{bid * 0.95:.2f}", f"{bid * 0.96:.2f}"
    resting = document(fleet, "order", "buy", "MSFT", "5", "--price", price, "--tif", "gtc")
    assert resting["status"] == "ACCEPTED"
    changed = document(fleet, "modify", resting["order_id"], "--price", higher, "--quantity", "6")
    assert float(changed["price"]) == float(higher)
    assert changed["quantity"] == "6"
    assert document(fleet, "cancel", "--all", "--symbol", "MSFT") == {"cancels_requested": 1}
    path = f"/v1/orders/{resting['order_id']}"
    wait_until(lambda: fleet.client.get(path).json()["status"] == "CANCELED", "the cancel")
    refused = ntrader(fleet, "modify", resting["order_id"], "--quantity", "7")
    assert refused.returncode == 1
    assert "ORDER_CLOSED" in refused.stderr


def test_limits_and_the_venues_word(fleet: Fleet) -> None:
    assert document(fleet, "limits", "set", "max_position=100000")["max_position"] == "100000"
    assert document(fleet, "limits")["max_position"] == "100000"
    assert document(fleet, "limits", "set", "max_position=none")["max_position"] is None
    comparison = fleet.client.get("/v1/execution/venue-comparison").raise_for_status().json()
    assert {each["subject"] for each in comparison["comparisons"]} >= {"cash"}
    compared = ntrader(fleet, "compare")
    assert compared.returncode in {0, 1}, compared.stderr
    assert "SUBJECT" in compared.stdout


def test_a_model_is_trained_promoted_asked_and_rolled_back(fleet: Fleet) -> None:
    model = "/v1/models/momentum-v1"
    before = document(fleet, "models", "show", "momentum-v1")["models"][0]
    rows = np.random.default_rng(1).standard_normal((400, len(before["features"]))).round(4)
    wish = {"features": rows.tolist(), "labels": (rows[:, 0] > 0).astype(int).tolist(), "epochs": 5}
    job_id = fleet.client.post(f"{model}/train", json=wish).raise_for_status().json()["job_id"]
    seen: list[dict[str, Any]] = []

    def ended() -> bool:
        seen.append(fleet.client.get(f"/v1/training-jobs/{job_id}").raise_for_status().json())
        return seen[-1]["state"] not in {"queued", "running"}

    wait_until(ended, "the training job", timeout_s=120)
    job = seen[-1]
    assert (job["state"], job["error"], job["epoch"], len(job["loss"])) == ("succeeded", None, 5, 5)
    assert [each["epoch"] for each in seen] == sorted(each["epoch"] for each in seen)
    listed = document(fleet, "jobs", "--model", "momentum-v1", "--state", "succeeded")["training_jobs"]
    assert [each["id"] for each in listed] == [job_id]
    watched = ntrader(fleet, "jobs", "watch", job_id)
    assert (watched.returncode, "succeeded: epoch 5 of 5" in watched.stderr) == (0, True)

    versions = fleet.client.get(f"{model}/versions").raise_for_status().json()["models"]
    assert {each["version"] for each in versions} >= {before["active_version"], job["version"]}
    assert asked(fleet) == before["active_version"], "nobody has promoted it yet"
    assert document(fleet, "models", "promote", "momentum-v1", job["version"])["active_version"] == job["version"]
    assert asked(fleet) == job["version"]
    assert document(fleet, "models", "rollback", "momentum-v1")["active_version"] == before["active_version"]
    assert asked(fleet) == before["active_version"]


def asked(fleet: Fleet) -> str:
    """The version that a prediction of the newest quote comes from."""
    answer = document(fleet, "predict", "AAPL")
    assert 0.5 <= answer["confidence"][0] <= 1
    version: str = answer["version"]
    return version
