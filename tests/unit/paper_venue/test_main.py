"""The command line says no in one line, and exports what a seed makes."""

import socket
from pathlib import Path

import polars as pl
import pytest

from services.paper_venue.__main__ import main
from services.paper_venue.cli import UsageError, parse
from services.paper_venue.domain.sessions import SessionRule


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--symbols", "NOPE"), "NOPE"),
        (("--speed", "fast"), "--speed"),
        (("--speed", "-1"), "--speed"),
        (("--market", "/nowhere/none.parquet"), "none.parquet: No such file"),
        (("--port", "99999"), "--port"),
        (("--sessions", "sometimes"), "--sessions"),
        (("--nonsense",), "unrecognized arguments"),
        (("export",), "export needs --out"),
        (("export", "--seconds", "0", "--out", "x.parquet"), "export needs --out"),
        (("export", "--seconds", "1", "--out", "/nowhere/at/all.parquet"), "No such file"),
        (("--host", "203.0.113.1"), "cannot listen on 203.0.113.1"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_code_two(
    arguments: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--json", *arguments]) == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert complaint in said.err
    assert len(said.err.strip().splitlines()) == 1


def test_missing_columns_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lacking = tmp_path / "lacking.csv"
    lacking.write_text("timestamp_ns,bid,ask\n1,2,3\n")

    assert main(["--market", str(lacking)]) == 2
    assert "lacking.csv: missing columns" in capsys.readouterr().err


def test_a_taken_port_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["--port", str(taken.getsockname()[1])]) == 2

    assert "cannot listen on 127.0.0.1" in capsys.readouterr().err


def test_help_tells_flags_and_variables(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])

    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(word in shown for word in ("--market", "NT_PAPER_SEED", "--no-edge", "export"))


def test_secrets_are_not_repeated_in_complaints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NT_PAPER_SECRET_KEY", "hush")
    with pytest.raises(UsageError) as refused:
        parse(["--port", "-1"])

    assert "hush" not in str(refused.value)


def test_flags_come_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NT_PAPER_SEED", "5")
    monkeypatch.setenv("NT_PAPER_SESSIONS", "nyse")
    monkeypatch.setenv("NT_PAPER_SYMBOLS", "AAPL, MSFT")
    settings, _ = parse(["--seed", "6", "--no-edge", "--market", "a", "--market", "b", "--speed", "max"])

    assert (settings.seed, settings.sessions, settings.edge) == (6, SessionRule.NYSE, False)
    assert settings.simulated_symbols == ("AAPL", "MSFT")
    assert settings.files == (Path("a"), Path("b"))
    assert settings.speed_factor is None


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_export_writes_quotes_and_trades_that_repeat_by_seed(tmp_path: Path, suffix: str) -> None:
    read = pl.read_parquet if suffix == "parquet" else pl.read_csv
    files = [tmp_path / f"{name}.{suffix}" for name in ("first", "again")]
    for file in files:
        assert main(["export", "--seed", "3", "--seconds", "6", "--symbols", "AAPL,BTC-USDT", "--out", str(file)]) == 0
    quotes, trades = read(files[0]), read(tmp_path / f"first-trades.{suffix}")

    assert quotes.columns == ["timestamp_ns", "symbol", "bid", "bid_size", "ask", "ask_size"]
    assert trades.columns == ["timestamp_ns", "symbol", "price", "size", "id", "side"]
    assert set(quotes["symbol"]) == {"AAPL", "BTC-USDT"}
    assert quotes.equals(read(files[1]))
    times = quotes["timestamp_ns"].to_numpy()
    assert 5e9 < times[-1] - times[0] < 6e9
