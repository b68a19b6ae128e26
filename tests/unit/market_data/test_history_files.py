"""The files of the history: atomic, escaped, merged without a moment of doubt."""

import os
import time
from pathlib import Path

import pytest
from builders.history import DAY, bars_of_day, quotes_of_day

from services.market_data.adapters.history_files import HistoryFiles, Merge, Write
from services.market_data.domain.history import Kind, Partition, Period, Stretch, periods, stretch_of
from trading.clock import DAY_NS
from trading.errors import InvalidArgument
from trading.market import Interval


def writing(text: str) -> Write:
    def write(path: Path) -> None:
        path.write_text(text)

    return write


def texts(files: HistoryFiles, partition: Partition) -> list[str]:
    return [part.path.read_text() for part in files.parts(partition)]


@pytest.fixture
def files(tmp_path: Path) -> HistoryFiles:
    return HistoryFiles(tmp_path / "history")


def test_files_are_read_in_the_order_of_their_writing(files: HistoryFiles) -> None:
    for text in ("one", "two", "three"):
        files.add(quotes_of_day(), writing(text))

    assert texts(files, quotes_of_day()) == ["one", "two", "three"]


def test_a_file_that_cannot_be_written_leaves_nothing(files: HistoryFiles) -> None:
    def fail(path: Path) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        files.add(quotes_of_day(), fail)

    assert files.parts(quotes_of_day()) == []
    assert [path.name for path in files.root.rglob("*") if path.is_file()] == []


def test_a_merge_takes_the_place_of_what_it_merged_at_once(files: HistoryFiles) -> None:
    for text in ("one", "two", "three"):
        files.add(quotes_of_day(), writing(text))

    files.replace(quotes_of_day(), lambda parts: Merge(parts[:2], writing("one and two"), is_whole=False))

    assert texts(files, quotes_of_day()) == ["one and two", "three"]


def test_what_was_merged_is_removed_later_and_only_that(files: HistoryFiles) -> None:
    for text in ("one", "two"):
        os.utime(files.add(quotes_of_day(), writing(text)), (1, 1))  # a reader of old files has as long as one of new
    files.replace(quotes_of_day(), lambda parts: Merge(parts, writing("both"), is_whole=False))

    assert files.sweep([quotes_of_day()], older_than_s=60) == 0
    assert files.sweep([quotes_of_day()], older_than_s=0) == 2
    assert texts(files, quotes_of_day()) == ["both"]


def test_a_clock_set_back_loses_no_file(files: HistoryFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    files.add(quotes_of_day(), writing("one"))
    files.add(quotes_of_day(), writing("two"))
    files.replace(quotes_of_day(), lambda parts: Merge(parts, writing("both"), is_whole=False))
    monkeypatch.setattr(time, "time_ns", lambda: 1)
    files.add(quotes_of_day(), writing("three"))

    assert texts(files, quotes_of_day()) == ["both", "three"]


def test_merging_all_again_replaces_the_earlier_merge(files: HistoryFiles) -> None:
    for text in ("first", "second"):
        files.replace(bars_of_day(), lambda parts, text=text: Merge(parts, writing(text), is_whole=True))

    assert texts(files, bars_of_day()) == ["second"]
    assert [part.is_whole for part in files.parts(bars_of_day())] == [True]


def test_nothing_chosen_is_nothing_replaced(files: HistoryFiles) -> None:
    files.add(quotes_of_day(), writing("one"))

    assert files.replace(quotes_of_day(), lambda parts: None) is False
    assert texts(files, quotes_of_day()) == ["one"]


def test_leftovers_of_a_killed_writer_are_never_read_and_are_swept(files: HistoryFiles) -> None:
    path = files.add(quotes_of_day(), writing("one"))
    leftover = path.parent / "0123456789abcdef.tmp"
    leftover.write_text("half")
    os.utime(leftover, (1, 1))

    assert texts(files, quotes_of_day()) == ["one"]
    assert files.sweep([quotes_of_day()], older_than_s=3600) == 1
    assert not leftover.exists()


@pytest.mark.parametrize(
    "symbol",
    ["../../etc/passwd", "BRK.B", "a/b", "..", ".", "%2F", "BTC-USDT", "*", "x=y", "date=1", "a b", "é", "\x00"],
)
def test_no_symbol_leaves_its_folder_and_every_symbol_comes_back(files: HistoryFiles, symbol: str) -> None:
    partition = Partition(Kind.TRADES, "paper", symbol, DAY)
    path = files.add(partition, writing(symbol))

    assert path.resolve().is_relative_to(files.root.resolve() / "trades" / "venue=paper")
    assert len(path.relative_to(files.root).parts) == 5
    assert files.partitions(Kind.TRADES) == [partition]
    assert files.partitions(Kind.TRADES, symbols=[symbol]) == [partition]


def test_an_empty_symbol_is_refused(files: HistoryFiles) -> None:
    with pytest.raises(InvalidArgument):
        files.add(Partition(Kind.TRADES, "paper", "", DAY), writing(""))


def test_partitions_come_in_the_order_asked_and_within_the_range(files: HistoryFiles) -> None:
    for symbol in ("AAPL", "MSFT"):
        for day in ("2026-03-01", "2026-03-02", "2026-03-03"):
            files.add(Partition(Kind.QUOTES, "paper", symbol, Period(day)), writing(day))

    found = files.partitions(
        Kind.QUOTES, symbols=["MSFT", "AAPL", "NONE"], start_ns=DAY.start_ns, end_ns=DAY.end_ns + 1
    )

    assert [(one.symbol, one.period.name) for one in found] == [
        ("MSFT", "2026-03-02"),
        ("MSFT", "2026-03-03"),
        ("AAPL", "2026-03-02"),
        ("AAPL", "2026-03-03"),
    ]


def test_bars_of_each_interval_lie_apart(files: HistoryFiles) -> None:
    for interval in Interval:
        files.add(bars_of_day(interval=interval), writing(interval))

    assert [one.interval for one in files.partitions(Kind.BARS, interval=Interval.ONE_HOUR)] == [Interval.ONE_HOUR]
    assert len(files.partitions(Kind.BARS)) == 4


def test_a_removed_partition_is_gone(files: HistoryFiles) -> None:
    files.add(quotes_of_day(), writing("one"))
    files.remove(quotes_of_day())

    assert files.partitions(Kind.QUOTES) == []


@pytest.mark.parametrize(
    ("interval", "name", "days"),
    [(None, "2024-02-29", 1), (Interval.FIVE_MINUTES, "2024-02-29", 1), (Interval.ONE_HOUR, "2024-02", 29)],
)
def test_a_period_spans_its_day_month_or_year(interval: Interval | None, name: str, days: int) -> None:
    period = Period.named(name)

    assert (period.end_ns - period.start_ns) // DAY_NS == days
    assert Period.holding(period.end_ns - 1, stretch_of(interval)) == period
    assert Period.holding(period.end_ns, stretch_of(interval)) != period


@pytest.mark.parametrize(("stretch", "count"), [(Stretch.DAY, 59), (Stretch.MONTH, 2), (Stretch.YEAR, 2)])
def test_periods_follow_one_another_without_a_hole(stretch: Stretch, count: int) -> None:
    found = list(periods(Period("2023-12-01").start_ns, Period("2024-01-28").end_ns, stretch))

    assert [after.start_ns for after in found[1:]] == [before.end_ns for before in found[:-1]]
    assert len(found) == count


@pytest.mark.parametrize("name", ["", "20", "2026-13", "2026-02-30", "20260302", "../x", "2026-03-02-1", "2026-W01-1"])
def test_only_real_periods_have_names(name: str) -> None:
    with pytest.raises(InvalidArgument):
        Period.named(name)
