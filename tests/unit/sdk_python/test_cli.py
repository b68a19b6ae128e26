"""`ntrader` is the fleet's command line under a short name."""

import importlib.util
import sys

import pytest
from neural_trader.cli import main


def test_the_fleets_commands_are_offered(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["ntrader", "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert {"up", "down", "status", "demo"} <= set(capsys.readouterr().out.split())


def test_a_python_without_the_fleet_is_told_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "make setup" in capsys.readouterr().err
