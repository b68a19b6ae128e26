"""`ntrader rebalance`: what is asked of the gateway, and what a reader sees."""

import json
from typing import Any

import httpx
import pytest
from neural_trader.cli import _parser
from neural_trader.place import Place
from neural_trader.rest import Problem, Rest

ORDER = {
    "symbol": "AAPL",
    "side": "SELL",
    "quantity": "10",
    "filled_quantity": "0",
    "status": None,
    "weight_before": 0.5,
    "weight_target": 0.4,
    "problem": None,
}


def a_rebalance(state: str) -> dict[str, Any]:
    return {
        "id": "r-1",
        "account": "main",
        "state": state,
        "equity": "1000",
        "turnover": 0.1,
        "error": "AAPL was denied: no" if state == "failed" else None,
        "orders": [ORDER],
        "left_alone": {"SPY": "drift_band"},
        "created_time_ns": "1760000000000000000",
    }


class Gateway:
    """Answers as the gateway does, and remembers what it was asked; a rebalance ends after two looks."""

    def __init__(self, end: str = "done") -> None:
        self.end = end
        self.asked: list[tuple[str, str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/v1/portfolio/")
        self.asked.append((request.method, path, json.loads(request.content) if request.content else None))
        if path == "schedules":
            schedule = {
                "account": "main",
                "every_seconds": 60,
                "enabled": True,
                "execute": False,
                "last_run_ns": None,
                "last_rebalance_id": None,
                "last_error": "NO_EQUITY: none",
            }
            return httpx.Response(200, json={"schedules": [schedule]})
        if path.startswith("schedules/"):
            kept = {"account": "main", "every_seconds": 60, "execute": False, "enabled": True}
            return httpx.Response(204) if request.method == "DELETE" else httpx.Response(200, json=kept)
        if request.method == "GET" and path == "rebalances":
            return httpx.Response(200, json={"rebalances": [a_rebalance("done")], "next_cursor": None})
        return httpx.Response(200, json=a_rebalance(self._state(request.method, path)))

    def _state(self, method: str, path: str) -> str:
        if path == "rebalances":
            return "proposed"
        if method == "DELETE":
            return "canceled"
        looks = sum(method == "GET" for method, _, _ in self.asked)
        return self.end if looks >= 2 else "executing"


def run(gateway: Gateway, *arguments: str) -> int:
    """The exit code of a command."""
    chosen = _parser()[0].parse_args(["rebalance", *arguments])
    with Rest(Place("http://127.0.0.1:1", "key"), transport=httpx.MockTransport(gateway)) as rest:
        code: int = chosen.run(chosen, rest)
        return code


def test_a_proposal_says_targets_and_rules() -> None:
    gateway = Gateway()
    rules = ["--drift-band", "0.01", "--min-trade-value", "100", "--turnover-limit", "0.5", "--keep-others"]
    assert run(gateway, "propose", "AAPL=0.4", "BRK.B=0.1", *rules, "--account", "b") == 0
    assert gateway.asked == [
        (
            "POST",
            "rebalances",
            {
                "targets": {"AAPL": 0.4, "BRK.B": 0.1},
                "drift_band": 0.01,
                "min_trade_value": "100",
                "turnover_limit": 0.5,
                "keep_others": True,
                "account": "b",
            },
        )
    ]


def test_targets_may_be_found_by_an_optimisation() -> None:
    gateway = Gateway()
    run(gateway, "propose", "--optimize", "AAPL,MSFT", "--objective", "min_variance", "--window", "60")
    problem = {"symbols": ["AAPL", "MSFT"], "objective": "min_variance", "window_days": 60}
    assert gateway.asked[0][2] == {"optimize": problem, "keep_others": False}


@pytest.mark.parametrize(("end", "code"), [("done", 0), ("failed", 1)])
def test_execute_and_wait_ends_with_what_became_of_it(end: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    gateway = Gateway(end)
    assert run(gateway, "propose", "AAPL=0.4", "--execute", "--wait") == code
    assert [asked[:2] for asked in gateway.asked] == [
        ("POST", "rebalances"),
        ("POST", "rebalances/r-1/execute"),
        ("GET", "rebalances/r-1"),
        ("GET", "rebalances/r-1"),
    ]
    printed = capsys.readouterr().out
    assert end in printed
    assert ("AAPL was denied: no" in printed) == (end == "failed")
    assert "drift_band" in printed


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["execute", "a/b"], ("POST", "rebalances/a/b/execute")),
        (["show", "r-1"], ("GET", "rebalances/r-1")),
        (["cancel", "r-1"], ("DELETE", "rebalances/r-1")),
        (["list"], ("GET", "rebalances")),
        (["schedules"], ("GET", "schedules")),
        (["unschedule", "--account", "b"], ("DELETE", "schedules/b")),
    ],
)
def test_every_action_asks_its_route(arguments: list[str], asked: tuple[str, str]) -> None:
    gateway = Gateway()
    assert run(gateway, *arguments) == 0
    assert gateway.asked[0][:2] == asked


def test_a_schedule_runs_from_now_on() -> None:
    gateway = Gateway()
    assert run(gateway, "schedule", "AAPL=0.4", "--every", "60") == 0
    body = {"targets": {"AAPL": 0.4}, "keep_others": False, "every_seconds": 60, "execute": False, "enabled": True}
    assert gateway.asked == [("PUT", "schedules/main", body)]


@pytest.mark.parametrize("wrong", [["propose", "AAPL"], ["propose", "AAPL=x"], ["show"], ["schedule", "AAPL=1"]])
def test_what_cannot_be_asked_is_said_before_asking(wrong: list[str]) -> None:
    gateway = Gateway()
    with pytest.raises(Problem):
        run(gateway, *wrong)
    assert gateway.asked == []
