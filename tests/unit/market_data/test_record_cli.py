"""What `ntrader record` understands, what it refuses, and how it says that it goes on."""

from pathlib import Path

import pytest

from services.market_data.adapters.record_cli import Progress, parse
from services.market_data.domain.recording import RecordedCounts


def words(path: Path, **changed: str | None) -> list[str]:
    said = {"venue": "paper", "symbols": "AAPL", "seconds": "1", "out": str(path)} | changed
    return [word for name, text in said.items() if text is not None for word in (f"--{name}", text)]


def test_what_is_no_word_of_its_own_is_a_setting_of_the_service(tmp_path: Path) -> None:
    said, flags = parse([*words(tmp_path / "a.parquet"), "--binance-rest-url", "http://localhost"])

    assert (said.seconds, said.out, said.json, said.quiet) == (1.0, tmp_path / "a.parquet", False, False)
    assert flags == ["--market-data-venues", "paper", "--symbols", "AAPL", "--binance-rest-url", "http://localhost"]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"seconds": "0"}, "more than 0 seconds"),
        ({"seconds": "nan"}, "more than 0 seconds"),
        ({"seconds": "soon"}, "--seconds"),
        ({"seconds": None}, "--seconds"),
        ({"venue": None}, "--venue"),
        ({"out": "day.csv"}, "ends with .parquet"),
        ({"out": "/nowhere/day.parquet"}, "there is no directory /nowhere"),
    ],
)
def test_wrong_words_are_exit_code_two(
    tmp_path: Path, changed: dict[str, str | None], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(words(tmp_path / "a.parquet", **changed))

    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_help_names_what_a_person_needs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--help"])

    said = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    assert all(word in said for word in ("--venue", "--symbols", "--seconds", "--out", "Exit codes", "Ctrl-C"))


def test_a_log_hears_now_and_then_and_not_at_every_look(capsys: pytest.CaptureFixture[str]) -> None:
    progress, counts = Progress(60.0), RecordedCounts(1_234, 5, 0)
    for passed_s in (0.0, 0.1, 4.9, 5.0, 5.1):
        progress(counts, passed_s)
    progress.finish()

    assert capsys.readouterr().err.splitlines() == [
        "   0.0 of 60 s: 1,234 quotes, 5 trades, 0 gaps",
        "   5.0 of 60 s: 1,234 quotes, 5 trades, 0 gaps",
    ]
