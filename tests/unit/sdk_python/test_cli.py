"""`ntrader` asks a gateway by itself and is the fleet's command line for the rest."""

import importlib.util
import shlex
import subprocess
import sys

import pytest
from neural_trader.cli import _parser, commands, main
from neural_trader.commands.command import sentence

from fleet.supervisor.commands import GATEWAY_COMMANDS
from fleet.supervisor.commands import _parser as fleet_parser


def run(*arguments: str) -> int:
    """The exit code of `ntrader` with these arguments."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_the_fleets_commands_and_ours_are_offered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["ntrader", "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert {"up", "down", "status", "demo", *commands()} <= set(capsys.readouterr().out.split())


def test_the_fleet_lists_the_commands_that_there_are() -> None:
    assert {name: sentence(text) for name, text in GATEWAY_COMMANDS.items()} == commands()


@pytest.mark.parametrize("name", [*commands(), "up", "down", "status", "demo"])
def test_every_command_explains_itself_by_an_example_that_it_takes(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An example that the command refuses would teach the wrong thing."""
    assert run(name, "--help") == 0
    said, _, example = capsys.readouterr().out.rpartition("example: ntrader ")
    ours = commands()
    assert name not in ours or ours[name].split()[0] in said
    words = shlex.split(example)
    assert words[0] == name
    assert callable((_parser()[0] if name in ours else fleet_parser()).parse_args(words).run)


def test_a_python_without_the_fleet_is_told_so_and_still_asks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert run("up") == 1
    said = capsys.readouterr().err
    assert "make setup" in said
    assert "orders" in said
    assert run("orders", "--help") == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("order", "hold", "AAPL", "1"),
        ("cancel",),
        ("cancel", "x", "--all"),
        ("limits", "set", "max_position"),
        ("events",),
    ],
)
def test_wrong_usage_is_two(arguments: tuple[str, ...]) -> None:
    assert run(*arguments) == 2


def test_no_fleet_and_no_address_is_said(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NEURAL_TRADER_URL", raising=False)
    assert run("orders", "--data-dir", str(tmp_path)) == 1
    assert "ntrader up" in capsys.readouterr().err


def test_a_gateway_that_is_gone_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], unused_tcp_port: int
) -> None:
    monkeypatch.setenv("NEURAL_TRADER_URL", f"http://127.0.0.1:{unused_tcp_port}")
    monkeypatch.setenv("NEURAL_TRADER_API_KEY", "nt_x_0123456789abcdef")
    assert run("order", "buy", "AAPL", "1", "--client-order-id", "mine-1") == 1
    said = capsys.readouterr().err
    assert "does not answer" in said
    assert "the order may exist; its client order id is mine-1" in said


def test_the_fleets_own_command_line_hands_over() -> None:
    """`python -m fleet orders` becomes `python -m neural_trader orders`."""
    asked = subprocess.run(
        [sys.executable, "-m", "fleet", "orders", "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    assert asked.returncode == 0
    assert "usage: ntrader orders" in asked.stdout
