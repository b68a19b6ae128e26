"""`ntrader history` as a person types it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from builders.history import NOON_NS, a_day_of_quotes, a_minute, a_store, quotes, recorded
from servers import REPOSITORY

from services.market_data.adapters.history_cli import main


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with two flushes of quotes and three minutes."""
    store = a_store(tmp_path / "history")
    store.record(recorded(quotes([NOON_NS]), *(a_minute(at, 100 + at) for at in range(3))))
    store.record(recorded(quotes([NOON_NS + 1])))
    return tmp_path


def run(data: Path, *arguments: str) -> int:
    return main([*arguments, "--data-dir", str(data)])


def test_list_says_what_there_is(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(data, "list", "--json") == 0

    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["kind"], row["interval"], row["symbol"], row["rows"], row["files"]) for row in rows] == [
        ("bars", "1m", "AAPL", 3, 1),
        ("quotes", "", "AAPL", 2, 2),
    ]
    assert {row["first"] for row in rows} == {"2026-03-02"}


def test_an_empty_directory_is_said_to_be_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "list") == 0
    assert capsys.readouterr().err == "Nothing is stored.\n"


@pytest.mark.parametrize(
    ("form", "text"),
    [("csv", "top\n102.0\n"), ("json", '{"columns":{"top":[102.0]},"rows":1,"truncated":false}\n')],
)
def test_query_prints_the_rows(data: Path, capsys: pytest.CaptureFixture[str], form: str, text: str) -> None:
    assert run(data, "query", "select max(close) as top from bars_1m", "--format", form) == 0
    assert capsys.readouterr().out == text


def test_query_draws_a_table_and_says_when_it_is_cut(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(data, "query", "select close from bars order by close", "--limit", "2") == 0

    said = capsys.readouterr()
    assert "101.0" in said.out
    assert "102.0" not in said.out
    assert "--limit" in said.err


@pytest.mark.parametrize(
    "sql", ["drop table bars", "select * from read_csv('/etc/passwd')", "select nothing from bars"]
)
def test_a_query_that_cannot_run_is_one_line_and_code_one(
    data: Path, capsys: pytest.CaptureFixture[str], sql: str
) -> None:
    assert run(data, "query", sql) == 1

    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 1)


def test_export_import_and_compact_work_hand_in_hand(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = data / "aapl.csv"

    assert run(data, "export", str(out), "--kind", "quotes", "--symbols", "aapl", "--start", "2026-03-02T12:00") == 0
    assert run(data, "import", str(out), "--venue", "again") == 0
    assert run(data, "import", str(out), "--venue", "again") == 1
    assert run(data, "compact") == 0
    assert run(data, "list", "--kind", "quotes", "--json") == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [f"{out}: 2 rows", f"{out}: 2 rows", "1 partitions merged, 0 days sealed, 2 files removed"]
    assert [json.loads(line)["rows"] for line in lines[3:]] == [2, 2]


def test_compact_decodes_the_days_that_have_ended(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    a_store(data / "history").record(recorded(a_day_of_quotes(20_000)))
    assert run(data, "compact", "--decoded-megabytes", "0") == 0
    assert list(data.rglob("*.decoded")) == []

    assert run(data, "compact") == 0

    assert len(list(data.rglob("*.decoded"))) == 1
    assert "1 days sealed" in capsys.readouterr().out
    monkeypatch.setenv("NT_HISTORY_DECODED_MEGABYTES", "many")
    with pytest.raises(SystemExit):
        run(data, "compact")
    assert "many is no number" in capsys.readouterr().err


def test_an_export_of_nothing_is_code_one(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(data, "export", str(data / "x.csv"), "--kind", "trades") == 1
    assert not (data / "x.csv").exists()


def test_quality_reports_each_series(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = a_store(data / "history")
    store.record(recorded(a_minute(9, 100), quotes([NOON_NS + 400 * 10**9], bid=50)))

    assert run(data, "quality", "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["kind"], row["rows"], row["gaps"]) for row in rows] == [("bars", 4, 1), ("quotes", 3, 1)]

    assert run(data, "quality", "--kind", "bars") == 0
    assert "gap 2026-03-02 12:03:00 to 2026-03-02 12:09:00, 360 s" in capsys.readouterr().out


def test_a_missing_file_is_one_line_and_code_one(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(data, "import", str(data / "none.csv")) == 1
    assert "No such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["query"], ["export", "x", "--kind", "news"], ["list", "--kind", "x"], ["query", "select 1", "--limit", "0"], []],
)
def test_wrong_usage_is_code_two(data: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2


def test_ntrader_becomes_the_command(data: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "fleet", "history", "list", "--data-dir", str(data)]
    found = subprocess.run(command, capture_output=True, text=True, env=env, check=False, cwd=REPOSITORY)

    assert found.returncode == 0, found.stderr
    head = " ".join(found.stdout.splitlines()[0].split())
    assert head == "kind interval venue symbol first last rows files bytes"
