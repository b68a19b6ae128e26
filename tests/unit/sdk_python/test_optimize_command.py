"""`ntrader optimize`: what is asked of the gateway, and what a reader sees."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from neural_trader.cli import _parser
from neural_trader.place import Place
from neural_trader.rest import Rest

ANSWER = {
    "allocations": {"AAPL": 0.25, "TSLA": 0.0, "NVDA": 0.75},
    "cash": 0.0,
    "expected_return": 0.123456789,
    "risk": 0.2,
    "sharpe_ratio": 0.5,
    "objective_value": 0.5,
    "cvar": None,
    "turnover": None,
    "binding_constraints": ["budget"],
    "psd": "verified",
    "solver": {"route": "column-generation/piqp"},
    "input_sha256": "ab",
}


def asked(*arguments: str) -> tuple[str, dict[str, Any]]:
    """Path and body of the request that the command makes."""
    heard: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        heard.append(request)
        return httpx.Response(200, json={"points": [ANSWER]} if "frontier" in request.url.path else ANSWER)

    chosen = _parser()[0].parse_args(["optimize", *arguments])
    with Rest(Place("http://127.0.0.1:1", "key"), transport=httpx.MockTransport(answer)) as rest:
        assert chosen.run(chosen, rest) == 0
    return heard[0].url.path, json.loads(heard[0].content)


def test_symbols_are_asked_with_a_window() -> None:
    path, body = asked("AAPL", "TSLA", "--window", "60")
    assert path == "/v1/portfolio/optimize"
    assert body == {"symbols": ["AAPL", "TSLA"], "window_days": 60, "objective": "max_sharpe", "constraints": {}}


def test_every_option_finds_its_place() -> None:
    _, body = asked(
        "AAPL", "--objective", "target-risk", "--target", "0.2", "--risk-free-rate", "0.01", "--risk-aversion", "3",
        "--beta", "0.9", "--estimator", "ledoit-wolf", "--max", "0.4", "--min", "0.05", "--cap", "Tech=0.5",
        "--turnover", "0.3", "--cost", "0.001", "--held", "AAPL=0.2", "--cash",
    )  # fmt: skip
    assert body == {
        "symbols": ["AAPL"],
        "window_days": 252,
        "objective": "target_risk",
        "target_risk": 0.2,
        "risk_free_rate": 0.01,
        "risk_aversion": 3.0,
        "beta": 0.9,
        "covariance_estimator": "ledoit_wolf",
        "turnover_cost": 0.001,
        "current_positions": {"AAPL": 0.2},
        "constraints": {
            "max_position_size": 0.4,
            "min_position_size": 0.05,
            "sector_caps": {"Tech": 0.5},
            "turnover_limit": 0.3,
            "allow_cash": True,
        },
    }


def test_risk_budgets_and_bounds_of_single_symbols_find_their_place() -> None:
    _, body = asked(
        "AAPL", "TSLA", "--objective", "risk-parity", "--budget", "AAPL=3", "--budget", "TSLA=1",
        "--floor", "AAPL=0.1", "--ceiling", "TSLA=0.6",
    )  # fmt: skip
    assert body["risk_budgets"] == {"AAPL": 3.0, "TSLA": 1.0}
    assert body["constraints"] == {"lower_bounds": {"AAPL": 0.1}, "upper_bounds": {"TSLA": 0.6}}


@pytest.mark.parametrize(
    "content",
    [
        "date,AAPL,TSLA\n2024-01-02,0.01,-0.02\n2024-01-03,0.0,0.03\n",
        "AAPL, TSLA\n0.01,-0.02\n0.0,0.03\n",
        '{"symbols": ["AAPL", "TSLA"], "returns": [[0.01, -0.02], [0.0, 0.03]]}',
    ],
)
def test_a_file_of_returns_is_sent_as_it_is(content: str, tmp_path: Path) -> None:
    path = tmp_path / "returns"
    path.write_text(content)
    _, body = asked("--returns", str(path), "--objective", "min-cvar")
    assert (body["symbols"], body["returns"]) == (["AAPL", "TSLA"], [[0.01, -0.02], [0.0, 0.03]])
    assert "window_days" not in body


@pytest.mark.parametrize("content", ["A,B\n0.1,0.2\n", "A,B\n0.1,0.2\n0.1\n", "A,B\n0.1,0.2\n0.1,x\n", "{}", '{"a"'])
def test_a_file_that_holds_no_returns_is_wrong_usage(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "returns.csv"
    path.write_text(content)
    with pytest.raises(SystemExit) as ended:
        asked("--returns", str(path))
    assert ended.value.code == 2
    assert str(path) in capsys.readouterr().err


def test_a_file_that_is_not_there_and_a_cap_that_is_no_pair_are_wrong_usage() -> None:
    for wrong in (["--returns", "/nowhere/at/all"], ["AAPL", "--cap", "Tech"], ["AAPL", "--cap", "Tech=x"]):
        with pytest.raises(SystemExit) as ended:
            asked(*wrong)
        assert ended.value.code == 2


def test_a_reader_sees_what_is_held_and_how_it_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    asked("AAPL")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[1:3]] == [["NVDA", "0.750000"], ["AAPL", "0.250000"]]
    shown = "\n".join(lines)
    assert "TSLA" not in shown
    assert "0.123457" in shown
    assert "column-generation/piqp" in shown
    asked("AAPL", "--json")
    assert json.loads(capsys.readouterr().out) == ANSWER


def test_a_frontier_is_a_table_of_points(capsys: pytest.CaptureFixture[str]) -> None:
    path, body = asked("AAPL", "--frontier", "20")
    assert (path, body["points"]) == ("/v1/portfolio/frontier", 20)
    assert "0.2" in capsys.readouterr().out
