"""Rebalances through the whole fleet: weights end within a lot of their targets, whatever is killed on the way."""

import subprocess
from decimal import Decimal
from typing import Any

import psutil
import pytest
from e2e.conftest import NTRADER, Fleet
from e2e.test_recovery import book, is_ready, quietly, traded
from servers import wait_until

pytestmark = [pytest.mark.fleet, pytest.mark.slow, pytest.mark.timeout(240)]

LOTS = {"BTC-USDT": Decimal("0.0001"), "ETH-USDT": Decimal("0.0001")}
SHARE = Decimal("0.000000001")


def proposed(fleet: Fleet, **body: Any) -> dict[str, Any]:
    answer = fleet.client.post("/v1/portfolio/rebalances", json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    assert answer.headers["location"].endswith(found["id"])
    return found


def shown(fleet: Fleet, rebalance: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = fleet.client.get(f"/v1/portfolio/rebalances/{rebalance['id']}").raise_for_status().json()
    return found


def started(fleet: Fleet, rebalance: dict[str, Any]) -> None:
    answer = fleet.client.post(f"/v1/portfolio/rebalances/{rebalance['id']}/execute")
    assert answer.status_code == 202, answer.text


def ended(fleet: Fleet, rebalance: dict[str, Any], timeout_s: float = 60) -> dict[str, Any]:
    wait_until(quietly(lambda: shown(fleet, rebalance)["state"] not in {"proposed", "executing"}), "its end", timeout_s)
    return shown(fleet, rebalance)


def orders_of(fleet: Fleet, rebalance: dict[str, Any]) -> list[dict[str, Any]]:
    """Execution's own orders of a rebalance."""
    prefix = rebalance["id"].replace("-", "")
    page = fleet.client.get("/v1/orders", params={"limit": 1000}).raise_for_status().json()
    return [order for order in page["orders"] if order["client_order_id"].startswith(prefix)]


def assert_at_target(fleet: Fleet, rebalance: dict[str, Any]) -> None:
    """Every traded position is within one lot of weight × equity ÷ price, and was placed once."""
    wait_until(quietly(lambda: traded(fleet) == book(fleet)), "positions = Σ fills", 20)
    held = book(fleet)
    for order in rebalance["orders"]:
        wanted = Decimal(repr(order["weight_target"])) * Decimal(rebalance["equity"]) / Decimal(order["price"])
        lot = LOTS.get(order["symbol"], SHARE)
        assert abs(held.get(order["symbol"], Decimal(0)) - wanted) <= lot, order
    names = [order["client_order_id"] for order in orders_of(fleet, rebalance)]
    assert sorted(names) == sorted(order["client_order_id"] for order in rebalance["orders"])


def test_weights_become_orders_fills_and_weights(fleet: Fleet) -> None:
    first = proposed(fleet, targets={"AAPL": 0.3, "MSFT": 0.2, "BTC/USD": 0.2})
    assert (first["state"], orders_of(fleet, first)) == ("proposed", [])
    started(fleet, first)
    done = ended(fleet, first)
    assert (done["state"], done["error"]) == ("done", None)
    assert_at_target(fleet, done)
    second = proposed(fleet, targets={"AAPL": 0.1, "TSLA": 0.5, "SPY": 0.2})
    assert [order["side"] for order in second["orders"]] == ["SELL", "SELL", "SELL", "BUY", "BUY"]
    started(fleet, second)
    done = ended(fleet, second)
    assert done["state"] == "done"
    assert_at_target(fleet, done)
    sells = [order["created_time_ns"] for order in orders_of(fleet, done) if order["side"] == "SELL"]
    buys = [order["created_time_ns"] for order in orders_of(fleet, done) if order["side"] == "BUY"]
    assert max(map(int, sells)) < min(map(int, buys))


def test_executing_twice_places_nothing_twice(fleet: Fleet) -> None:
    rebalance = proposed(fleet, targets={"AAPL": 0.2, "NVDA": 0.3})
    for _ in range(3):
        started(fleet, rebalance)
    done = ended(fleet, rebalance)
    started(fleet, rebalance)
    assert done["state"] == "done"
    assert_at_target(fleet, done)
    assert shown(fleet, rebalance) == done


@pytest.mark.parametrize("placed", [0, 1, 4])
def test_a_portfolio_that_is_killed_half_way_goes_on_where_it_was(fleet: Fleet, placed: int) -> None:
    turned = book(fleet).get("MSFT", Decimal(0)) > 0
    small, large = (0.05, 0.16) if turned else (0.16, 0.05)
    targets = {"AAPL": small, "MSFT": large, "NVDA": small, "TSLA": large, "SPY": small, "ETH-USDT": large}
    rebalance = proposed(fleet, targets=targets)
    victim = fleet.service("portfolio")
    started(fleet, rebalance)
    wait_until(lambda: len(orders_of(fleet, rebalance)) >= placed, "the first orders")
    victim.kill()
    psutil.wait_procs([victim], timeout=60)
    wait_until(quietly(lambda: is_ready(fleet)), "the fleet after kill -9 of portfolio", 60)
    done = ended(fleet, rebalance)
    assert (done["state"], done["error"]) == ("done", None)
    assert_at_target(fleet, done)


def test_an_execution_that_is_killed_half_way_is_asked_again(fleet: Fleet) -> None:
    """An order whose death fell between its intent and the venue is never sent again: execution says so by name."""
    targets = {"AAPL": 0.2, "TSLA": 0.2, "SPY": 0.2}
    rebalance = proposed(fleet, targets=targets)
    victim = fleet.service("execution")
    started(fleet, rebalance)
    victim.kill()
    found = ended(fleet, rebalance, 90)
    stated = {order["client_order_id"]: order["status"] for order in found["orders"] if order["status"]}
    assert stated == {order["client_order_id"]: order["status"] for order in orders_of(fleet, found)}
    if found["state"] == "failed":
        assert "NOT_AT_VENUE" in found["error"]
        wait_until(quietly(lambda: traded(fleet) == book(fleet)), "positions = Σ fills", 20)
        found = proposed(fleet, targets=targets)
        started(fleet, found)
        found = ended(fleet, found)
    assert (found["state"], found["error"]) == ("done", None)
    assert_at_target(fleet, found)


def test_a_denied_order_fails_it_with_the_reason_and_leaves_the_rest_stated(fleet: Fleet) -> None:
    limits = fleet.client.get("/v1/risk-limits").raise_for_status().json()
    del limits["updated_time_ns"]  # whatever they are by then, these are to stand again
    rebalance = proposed(fleet, targets={"AAPL": 0.6, "TSLA": 0.2, "SPY": 0.2})
    answer = fleet.client.put("/v1/risk-limits", json={**limits, "max_order_notional": "1000"})
    assert answer.status_code == 200, answer.text
    try:
        started(fleet, rebalance)
        failed = ended(fleet, rebalance)
    finally:
        fleet.client.put("/v1/risk-limits", json=limits).raise_for_status()
    assert failed["state"] == "failed"
    denied = [order for order in failed["orders"] if order["status"] == "DENIED"]
    assert denied
    assert denied[0]["problem"].startswith("ORDER_NOTIONAL")
    assert denied[0]["problem"] in failed["error"]
    stated = {order["client_order_id"]: order["status"] for order in failed["orders"] if order["status"]}
    assert stated == {order["client_order_id"]: order["status"] for order in orders_of(fleet, failed)}


def test_risk_losses_and_shocks_of_the_book(fleet: Fleet) -> None:
    rebalance = proposed(fleet, targets={"AAPL": 0.3, "TSLA": 0.2, "SPY": 0.3})
    started(fleet, rebalance)
    assert ended(fleet, rebalance)["state"] == "done"
    risk = fleet.client.post("/v1/portfolio/risk", json={"account": "main"}).raise_for_status().json()
    held = fleet.client.get("/v1/positions").raise_for_status().json()["positions"]
    gross = sum(abs(Decimal(position["market_value"])) for position in held)
    assert risk["gross_exposure"] == pytest.approx(float(gross), rel=0.01)
    assert 0 < risk["var_95"] <= risk["cvar_95"]
    assert risk["beta"] is not None
    simulated = fleet.client.post("/v1/portfolio/risk/simulate", json={"seed": 1}).raise_for_status().json()
    assert simulated["var_95"] == pytest.approx(risk["var_95"], rel=0.25)
    stress = fleet.client.post("/v1/portfolio/risk/stress", json={}).raise_for_status().json()
    outcomes = {outcome["name"]: outcome for outcome in stress["outcomes"]}
    assert outcomes["market_down_10"]["fraction"] == pytest.approx(
        -0.1 * risk["beta"] * risk["net_exposure"] / risk["gross_exposure"], rel=0.02
    )


def test_an_optimisation_finds_the_targets(fleet: Fleet) -> None:
    problem = {"symbols": ["AAPL", "MSFT", "SPY"], "window_days": 200, "objective": "min_variance"}
    rebalance = proposed(fleet, optimize=problem)
    assert sum(rebalance["rules"]["targets"].values()) == pytest.approx(1.0)
    answer = fleet.client.delete(f"/v1/portfolio/rebalances/{rebalance['id']}")
    assert (answer.status_code, answer.json()["state"]) == (200, "canceled")
    refused = fleet.client.post(f"/v1/portfolio/rebalances/{rebalance['id']}/execute")
    assert (refused.status_code, refused.json()["code"]) == (409, "REBALANCE_CLOSED")


def test_a_schedule_survives_a_restart_and_runs_by_itself(fleet: Fleet) -> None:
    body = {"targets": {"AAPL": 0.3, "SPY": 0.3}, "every_seconds": 10, "execute": True, "enabled": True}
    assert fleet.client.put("/v1/portfolio/schedules/main", json=body).status_code == 200
    try:
        victim = fleet.service("portfolio")
        victim.kill()
        psutil.wait_procs([victim], timeout=60)

        def ran() -> bool:
            (schedule,) = fleet.client.get("/v1/portfolio/schedules").raise_for_status().json()["schedules"]
            assert schedule["last_error"] is None, schedule
            return schedule["last_rebalance_id"] is not None

        wait_until(quietly(ran), "a scheduled rebalance", 60)
    finally:
        assert fleet.client.delete("/v1/portfolio/schedules/main").status_code == 204
    page = fleet.client.get("/v1/portfolio/rebalances", params={"limit": 1}).raise_for_status().json()
    (newest,) = page["rebalances"]
    assert newest["scheduled"]
    assert ended(fleet, newest)["state"] == "done"
    assert page["next_cursor"] == newest["id"]


def test_the_command_line_moves_the_book(fleet: Fleet) -> None:
    command = [*NTRADER, "rebalance", "propose", "AAPL=0.1", "SPY=0.1", "--execute", "--wait"]
    run = subprocess.run([*command, "--data-dir", str(fleet.data_dir)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "done" in run.stdout.split()
    for asked in (["rebalance", "list"], ["risk"], ["stress"], ["simulate"]):
        run = subprocess.run(
            [*NTRADER, *asked, "--data-dir", str(fleet.data_dir)], capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
