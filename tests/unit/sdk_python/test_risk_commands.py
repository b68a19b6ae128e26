"""`ntrader risk | simulate | stress`: what is asked of the gateway, and what a reader sees."""

import json
from typing import Any

import httpx
import pytest
from neural_trader.cli import _parser
from neural_trader.place import Place
from neural_trader.rest import Rest

RISK = {"var_95": 0.0213456789, "beta": None, "observations": 252, "input_sha256": "ab"}
SIMULATION = {"value": 100.0, "var_95": 2.0, "percentiles": {"5": -2.0}, "symbols": ["AAPL"], "input_sha256": "ab"}
STRESS = {
    "outcomes": [
        {"name": "shocks", "profit": -10.0, "fraction": -0.1, "by_symbol": {}, "error": None},
        {"name": "pandemic_2020", "profit": 0.0, "fraction": 0.0, "by_symbol": {}, "error": "No history of AAPL."},
    ]
}
ANSWERS = {"risk": RISK, "risk/simulate": SIMULATION, "risk/stress": STRESS}


def asked(*arguments: str) -> tuple[str, dict[str, Any]]:
    """Path and body of the request that a command makes."""
    heard: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        heard.append(request)
        return httpx.Response(200, json=ANSWERS[request.url.path.removeprefix("/v1/portfolio/")])

    chosen = _parser()[0].parse_args(arguments)
    with Rest(Place("http://127.0.0.1:1", "key"), transport=httpx.MockTransport(answer)) as rest:
        assert chosen.run(chosen, rest) == 0
    return heard[0].url.path, json.loads(heard[0].content)


@pytest.mark.parametrize(
    ("arguments", "path", "body"),
    [
        (["risk"], "risk", {"account": "main"}),
        (["risk", "--account", "b", "--window", "60"], "risk", {"account": "b", "window_days": 60}),
        (
            ["risk", "AAPL=100", "TSLA=-5.5", "--benchmark", "QQQ"],
            "risk",
            {
                "symbols": ["AAPL", "TSLA"],
                "positions": [100.0, -5.5],
                "position_kind": "notional",
                "window_days": 252,
                "benchmark": "QQQ",
            },
        ),
        (
            ["simulate", "--method", "student-t", "--horizon", "10", "--paths", "500", "--seed", "3"],
            "risk/simulate",
            {"method": "student_t", "horizon_days": 10, "paths": 500, "seed": 3},
        ),
        (["simulate", "AAPL=100"], "risk/simulate", {"symbols": ["AAPL"], "values": [100.0]}),
        (["stress"], "risk/stress", {}),
        (
            ["stress", "--shock", "AAPL=-0.2", "--sector", "Energy=0.1", "--market", "-0.1"],
            "risk/stress",
            {
                "scenarios": [
                    {
                        "name": "shocks",
                        "symbol_shocks": {"AAPL": -0.2},
                        "sector_shocks": {"Energy": 0.1},
                        "market_shock": -0.1,
                    }
                ]
            },
        ),
        (
            ["stress", "--history", "2020-02-20..2020-03-23"],
            "risk/stress",
            {
                "scenarios": [
                    {
                        "name": "2020-02-20..2020-03-23",
                        "history_start": "2020-02-20",
                        "history_end": "2020-03-23",
                    }
                ]
            },
        ),
    ],
)
def test_the_options_say_what_is_asked(arguments: list[str], path: str, body: dict[str, Any]) -> None:
    assert asked(*arguments) == (f"/v1/portfolio/{path}", body)


def test_a_reader_sees_figures_and_why_one_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    asked("risk")
    asked("simulate")
    asked("stress")
    printed = capsys.readouterr().out
    assert "0.021346" in printed
    assert "PERCENT" in printed
    assert "No history of AAPL." in printed
    assert "ab" not in printed.split()


def test_a_program_gets_the_document_as_it_came(capsys: pytest.CaptureFixture[str]) -> None:
    asked("risk", "--json")
    assert json.loads(capsys.readouterr().out) == RISK


@pytest.mark.parametrize("wrong", [["risk", "AAPL"], ["stress", "--shock", "=1"], ["stress", "--history", "2020"]])
def test_what_is_no_pair_is_wrong_usage(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        _parser()[0].parse_args(wrong)
    assert ended.value.code == 2
