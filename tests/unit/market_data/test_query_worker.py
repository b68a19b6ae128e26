"""The process behind SQL, met at its pipes."""

import errno
import io
from datetime import date
from pathlib import Path

import msgspec
import polars as pl
import pyarrow as pa
import pytest
from builders.history import NOON_NS, a_store, quotes, recorded, trades

from services.market_data.adapters.arrow_frames import to_arrow, to_json
from services.market_data.adapters.history_files import HistoryFiles, Part
from services.market_data.adapters.history_tables import HistoryFrame
from services.market_data.adapters.query_frames import HEADER, Answer, Job, framed
from services.market_data.adapters.query_worker import serve
from services.market_data.adapters.store_quality import judged
from services.market_data.domain.history import Kind, Partition
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


class Merging(HistoryFiles):
    """Files of which one is merged away whenever it has just been found, for some times."""

    times = 0

    def parts(self, partition: Partition) -> list[Part]:
        found = super().parts(partition)
        if self.times and partition.kind is Kind.TRADES:
            self.times -= 1
            return [part._replace(path=part.path.with_name("merged-away.parquet")) for part in found]
        return found


@pytest.mark.parametrize(("times", "reason"), [(2, None), (3, "UNAVAILABLE")])
def test_a_file_that_is_merged_away_meanwhile_is_looked_for_again(
    files: HistoryFiles, times: int, reason: str | None
) -> None:
    merging = Merging(files.root)
    merging.times = times
    ((told, _),) = answers(merging, a_job("select count(*) as n from trades"))
    error = told.error()
    assert (error.reason if error else None) == reason


class Exhausted(HistoryFiles):
    """Files that cannot be listed or mapped for want of memory."""

    def parts(self, partition: Partition) -> list[Part]:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")


def test_memory_that_the_system_refuses_is_named_like_memory_that_python_refuses(files: HistoryFiles) -> None:
    ((told, _),) = answers(Exhausted(files.root), a_job("select count(*) as n from trades"))
    error = told.error()
    assert error is not None
    assert error.reason == "QUERY_MEMORY"


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
