"""The process behind SQL, met at its pipes."""

import io
from datetime import date
from pathlib import Path

import msgspec
import polars as pl
import pyarrow as pa
import pytest
from builders.history import NOON_NS, a_store, quotes, recorded, trades

from services.market_data.adapters.arrow_frames import to_arrow, to_json
from services.market_data.adapters.history_files import HistoryFiles
from services.market_data.adapters.history_tables import HistoryFrame
from services.market_data.adapters.query_frames import HEADER, Answer, Job, framed
from services.market_data.adapters.query_worker import serve
from services.market_data.adapters.store_quality import judged
from services.market_data.domain.history import Kind
from trading.errors import InvalidArgument


@pytest.fixture
def files(tmp_path: Path) -> HistoryFiles:
    store = a_store(tmp_path)
    store.record(recorded(quotes([NOON_NS, NOON_NS + 1]), trades([NOON_NS, NOON_NS])))
    return store.files


def answers(files: HistoryFiles, *jobs: Job) -> list[tuple[Answer, bytes]]:
    """What the process says to some jobs."""
    said = io.BytesIO()
    serve(io.BytesIO(b"".join(map(framed, jobs))), said, files)
    said.seek(0)
    found = []
    while header := said.read(HEADER.size):
        told = msgspec.msgpack.decode(said.read(HEADER.unpack(header)[0]), type=Answer)
        found.append((told, said.read(told.size)))
    return found


def a_job(sql: str, *, as_json: bool = True) -> Job:
    return Job(sql, 10, as_json, timeout_s=60)


def test_jobs_are_answered_one_after_the_other_until_the_pipe_ends(files: HistoryFiles) -> None:
    (first, text), (second, data) = answers(
        files, a_job("select count(*) as n from quotes"), a_job("select bid from quotes order by bid", as_json=False)
    )

    assert (first.rows, first.truncated, msgspec.json.decode(text)["columns"]) == (1, False, {"n": ["2"]})
    assert second.rows == 2
    assert pa.ipc.open_stream(data).read_all()["bid"].to_pylist() == [100.0, 100.01]


def test_a_wrong_job_is_answered_by_name_and_the_next_one_is_served(files: HistoryFiles) -> None:
    (wrong, nothing), (right, _) = answers(files, a_job("select nothing from quotes"), a_job("select 1 as one"))

    assert isinstance(wrong.error(), InvalidArgument)
    assert (nothing, right.error(), right.rows) == (b"", None, 1)


def test_a_fault_is_hidden_from_the_caller_and_logged(
    files: HistoryFiles, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a secret place")

    monkeypatch.setattr("services.market_data.adapters.query_worker.tables", fail)
    ((told, _),) = answers(files, a_job("select 1"))

    assert (told.reason, "secret" in told.message) == ("QUERY_FAILED", False)
    assert "a secret place" in capsys.readouterr().err


def test_memory_that_is_not_there_is_said(files: HistoryFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("services.market_data.adapters.query_worker.tables", fail)
    ((told, _),) = answers(files, a_job("select 1"))

    assert told.reason == "QUERY_MEMORY"


def test_columns_of_every_type_have_a_form_on_the_wire() -> None:
    frame = pl.DataFrame(
        {
            "d": [date(2026, 3, 2), None],
            "n": [1, None],
            "e": pl.Series(["x", "y"], dtype=pl.Enum(["x", "y"])),
            "m": pl.Series(["1.5", None]).cast(pl.Decimal(10, 2)),
        }
    )
    found = HistoryFrame(frame, truncated=False)

    table = pa.ipc.open_stream(b"".join(to_arrow(found).parts)).read_all()
    columns = msgspec.json.decode(b"".join(to_json(found).parts))["columns"]

    assert table["e"].to_pylist() == columns["e"] == ["x", "y"]
    assert table["n"].type == table["m"].type == pa.float64()
    assert columns["d"] == ["2026-03-02", None]
    assert columns["m"] == [1.5, None]


def test_trades_that_came_twice_are_reported(files: HistoryFiles, tmp_path: Path) -> None:
    store = a_store(tmp_path)
    store.record(recorded(trades([NOON_NS, NOON_NS])))

    ((series, found),) = judged(store, [Kind.TRADES], ["AAPL"])

    assert series == (Kind.TRADES, "", "paper", "AAPL")
    assert (found.rows, found.duplicates, found.impossible) == (4, 2, 0)
