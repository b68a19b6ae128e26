"""kill -9 of each service: the fleet comes back by itself and the books agree."""

import contextlib
from collections.abc import Callable
from decimal import Decimal

import httpx
import psutil
import pytest
from e2e.conftest import Fleet
from servers import wait_until

pytestmark = [pytest.mark.fleet, pytest.mark.slow, pytest.mark.timeout(240)]


def is_ready(fleet: Fleet) -> bool:
    """The gateway and everything behind it answer."""
    with contextlib.suppress(httpx.TransportError):
        return fleet.client.get("/readyz").status_code == 200
    return False


def quietly(condition: Callable[[], bool]) -> Callable[[], bool]:
    """A condition that is false while the fleet cannot answer."""

    def check() -> bool:
        with contextlib.suppress(httpx.HTTPError, KeyError):
            return condition()
        return False

    return check


def traded(fleet: Fleet) -> dict[str, Decimal]:
    """Σ signed fills by symbol, from the orders alone."""
    total: dict[str, Decimal] = {}
    cursor = ""
    while True:
        page = fleet.client.get("/v1/orders", params={"cursor": cursor} if cursor else {}).raise_for_status().json()
        for order in page["orders"]:
            sign = 1 if order["side"] == "BUY" else -1
            total[order["symbol"]] = total.get(order["symbol"], Decimal(0)) + sign * Decimal(order["filled_quantity"])
        cursor = page["next_cursor"]
        if not cursor:
            return {symbol: quantity for symbol, quantity in total.items() if quantity}


def book(fleet: Fleet) -> dict[str, Decimal]:
    """What portfolio holds."""
    rows = fleet.client.get("/v1/positions").raise_for_status().json()["positions"]
    return {row["symbol"]: Decimal(row["quantity"]) for row in rows if Decimal(row["quantity"])}


@pytest.mark.parametrize("service", ["market_data", "inference", "execution", "portfolio", "gateway", "nats"])
def test_a_killed_part_comes_back_and_nothing_is_lost(fleet: Fleet, service: str) -> None:
    accepted = fleet.buy(quantity="2").json()["client_order_id"]
    victim = fleet.service(service)
    victim.kill()
    psutil.wait_procs([victim], timeout=60)
    wait_until(lambda: not psutil.pid_exists(victim.pid) or fleet.status()["services"] != [], "the end of the victim")
    wait_until(
        lambda: any(row["name"] == service and row["restarts"] for row in fleet.status()["services"]), "a restart"
    )
    wait_until(lambda: is_ready(fleet), f"the fleet after kill -9 of {service}", 30)
    wait_until(quietly(lambda: fleet.buy(quantity="1").json().get("status") == "FILLED"), "an order after it", 30)
    orders = fleet.client.get("/v1/orders", params={"symbol": "AAPL"}).json()["orders"]
    assert [order["status"] for order in orders if order["client_order_id"] == accepted] == ["FILLED"]
    wait_until(quietly(lambda: traded(fleet) == book(fleet)), "positions = Σ fills", 15)
