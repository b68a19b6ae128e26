"""The store: what is recorded comes back whole, whatever happens to the process that records it."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from builders.history import (
    DAY,
    NOON_NS,
    a_bar_at,
    a_minute,
    a_store,
    bars_of_day,
    quotes,
    quotes_of_day,
    recorded,
    trades,
)
from servers import REPOSITORY

from services.market_data.adapters.parquet_store import MERGED_PARTS, ParquetStore
from services.market_data.domain.history import Kind, Partition, Period
from trading.clock import DAY_NS, MINUTE_NS
from trading.market import Interval

WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from builders.history import a_store, quotes, recorded
store = a_store(Path(sys.argv[1]))
at = int(sys.argv[2])
while True:
    store.record(recorded(quotes([at + row for row in range(1000)])))
    store.compact(store.all_partitions(), parts_least=2)
    at += 1000
    print(at, flush=True)
"""


@pytest.fixture
def store(tmp_path: Path) -> ParquetStore:
    return a_store(tmp_path / "history")


def closes(store: ParquetStore, start_ns: int = 0, end_ns: int = 2**62) -> list[float]:
    """The closes of AAPL's minutes."""
    found = store.bars("paper", ["AAPL"], Interval.ONE_MINUTE, start_ns, end_ns)
    return [bar.close_nanos / 1e9 for bar in found["AAPL"]]


def test_quotes_and_trades_come_back_as_they_were_published(store: ParquetStore) -> None:
    block, prints = quotes([NOON_NS, NOON_NS, NOON_NS + 3]), trades([NOON_NS + 1, NOON_NS + 2])

    assert store.record(recorded(block, prints)) == 5

    kept = store.frame(quotes_of_day())
    assert {name: kept[name].to_list() for name in kept.columns} == {
        name: getattr(block, name).tolist() for name in kept.columns
    }
    printed = store.frame(Partition(Kind.TRADES, "paper", "AAPL", DAY))
    assert printed["trade_id"].to_list() == list(prints.trade_ids)
    assert printed["price_nanos"].to_list() == prints.price_nanos.tolist()
    assert printed["side_sign"].to_list() == [1, 1]


def test_trades_without_ids_are_kept_without_ids(store: ParquetStore) -> None:
    store.record(recorded(replace(trades([NOON_NS, NOON_NS + 1]), trade_ids=())))

    assert store.frame(Partition(Kind.TRADES, "paper", "AAPL", DAY))["trade_id"].to_list() == ["", ""]


def test_a_block_over_midnight_is_cut_there(store: ParquetStore) -> None:
    store.record(recorded(quotes([DAY.end_ns - 1, DAY.end_ns, DAY.end_ns + 1])))

    assert [store.rows(one) for one in store.files.partitions(Kind.QUOTES)] == [1, 2]


def test_blocks_out_of_order_are_sorted_by_time_and_ties_keep_their_order(store: ParquetStore) -> None:
    store.record(recorded(quotes([NOON_NS + 9, NOON_NS + 9], bid=5), quotes([NOON_NS], bid=7)))

    assert store.frame(quotes_of_day())["bid_nanos"].to_list() == [7 * 10**9, 5 * 10**9, 5_010_000_000]


def test_a_bar_that_was_published_again_counts_once_and_as_the_newer(store: ParquetStore) -> None:
    store.record(recorded(a_minute(0, 10), a_minute(1, 11)))
    store.record(recorded(a_minute(1, 12)))

    assert closes(store) == [10, 12]
    assert closes(store, NOON_NS + MINUTE_NS, NOON_NS + 2 * MINUTE_NS) == [12]


def test_what_the_venue_says_of_a_period_wins_and_recorded_bars_fill_the_rest(store: ParquetStore) -> None:
    store.record(recorded(a_minute(0, 10), a_minute(1, 11)))
    assert not store.is_whole(bars_of_day())

    store.keep_whole(bars_of_day(), [a_minute(1, 21), a_minute(2, 22)])

    assert store.is_whole(bars_of_day())
    assert closes(store) == [10, 21, 22]


def test_a_period_that_the_venue_knows_nothing_of_is_whole_too(store: ParquetStore) -> None:
    store.keep_whole(bars_of_day(), [])

    assert store.is_whole(bars_of_day())
    assert closes(store) == []


def test_merging_changes_no_row(store: ParquetStore) -> None:
    for at in range(MERGED_PARTS):
        store.record(recorded(quotes([NOON_NS + at * 10, NOON_NS + at * 10 + 5])))
    before = store.frame(quotes_of_day())

    assert store.compact(store.all_partitions()) == 1
    assert len(store.files.parts(quotes_of_day())) == 1
    assert store.frame(quotes_of_day()).equals(before)
    assert store.compact(store.all_partitions()) == 0


def test_a_merge_of_a_whole_period_stays_whole(store: ParquetStore) -> None:
    store.keep_whole(bars_of_day(), [a_minute(0, 10)])
    store.record(recorded(a_minute(0, 11)))
    store.record(recorded(a_minute(1, 12)))

    assert store.compact(store.all_partitions(), parts_least=2) == 1
    assert store.is_whole(bars_of_day())
    assert closes(store) == [11, 12]


def test_only_what_was_written_or_merged_is_looked_at_again(store: ParquetStore) -> None:
    for _ in range(MERGED_PARTS):
        store.record(recorded(quotes([NOON_NS])))
    store.keep_whole(bars_of_day(), [])

    assert set(store.take_touched()) == {quotes_of_day(), bars_of_day()}
    assert store.take_touched() == []
    store.compact(store.all_partitions())
    assert store.take_touched() == [quotes_of_day()]


def test_large_files_are_not_rewritten_with_small_ones(store: ParquetStore) -> None:
    times = [NOON_NS + row * 999_983 for row in range(60_000)]
    store.record(recorded(quotes(times)))
    for at in range(MERGED_PARTS):
        store.record(recorded(quotes([NOON_NS + at])))
    big = store.files.parts(quotes_of_day())[0]

    store.compact(store.all_partitions())

    first, *rest = store.files.parts(quotes_of_day())
    assert (first, len(rest)) == (big, 1)


def test_old_ticks_of_the_venue_go_and_nothing_else(store: ParquetStore) -> None:
    old_ns = NOON_NS - 40 * DAY_NS
    store.record(recorded(quotes([old_ns, NOON_NS]), trades([old_ns]), quotes([old_ns], venue="import")))
    store.record(recorded(a_bar_at(old_ns, 10)))

    assert store.retain((Kind.QUOTES, Kind.TRADES), "paper", 30, NOON_NS) == 2

    left = [(one.kind, one.venue) for kind in Kind for one in store.files.partitions(kind)]
    assert left == [(Kind.BARS, "paper"), (Kind.QUOTES, "import"), (Kind.QUOTES, "paper")]


def test_hours_lie_by_the_month_and_days_by_the_year(store: ParquetStore) -> None:
    for interval in (Interval.ONE_HOUR, Interval.ONE_DAY):
        store.record(recorded(*(a_bar_at(NOON_NS + at * DAY_NS, 10, interval=interval) for at in range(40))))

    assert [one.period for one in store.files.partitions(Kind.BARS, interval=Interval.ONE_DAY)] == [Period("2026")]
    hours = store.files.partitions(Kind.BARS, interval=Interval.ONE_HOUR)
    assert [(one.period.name, store.rows(one)) for one in hours] == [("2026-03", 30), ("2026-04", 10)]


def test_a_killed_writer_leaves_every_finished_row_readable_once(tmp_path: Path) -> None:
    """Killed with SIGKILL at a random moment of writing and merging, several times over."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "tests")))}
    store = a_store(tmp_path)
    for first_ns in range(NOON_NS, NOON_NS + 3 * MINUTE_NS, MINUTE_NS):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(first_ns)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as writer:
            assert writer.stdout is not None
            finished_ns = [int(writer.stdout.readline()) for _ in range(7)]
            writer.send_signal(signal.SIGKILL)
            finished_ns += [int(line) for line in writer.stdout if line.strip()]
        rows = store.frame(quotes_of_day())["event_time_ns"]
        assert rows.n_unique() == len(rows)
        assert set(range(first_ns, finished_ns[-1])) <= set(rows.to_list())
    store.files.sweep(store.all_partitions(), older_than_s=0)
    assert not list(tmp_path.rglob("*.tmp"))
    assert all(len(pl.read_parquet(path, hive_partitioning=False)) for path in tmp_path.rglob("*.parquet"))
