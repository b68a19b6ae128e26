"""Decoded files: the same rows as the Parquet file says, faster, or not used at all."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from builders.history import DAY, NOON_NS, a_day_of_quotes, everything_of, quotes, quotes_of_day, recorded, trades
from servers import REPOSITORY

from services.market_data.adapters.decoded_files import BATCH_ROWS, decode, decoded_bytes
from services.market_data.adapters.history_files import decoded_path
from services.market_data.adapters.parquet_store import ParquetStore
from services.market_data.domain.history import Kind, Partition
from trading.clock import DAY_NS

ROWS = 20_000
DECODER = """
import sys
from pathlib import Path
from builders.history import a_day_of_quotes, a_sealed_store, quotes_of_day, recorded
store, sealed = a_sealed_store(Path(sys.argv[1]))
rows = int(sys.argv[2])
while True:
    store.record(recorded(a_day_of_quotes(4_000, first=rows)))
    rows += 4_000
    sealed.plan(2**62)
    sealed.go_on(2**40)
    print(rows, flush=True)
"""


@pytest.fixture
def store(tmp_path: Path) -> ParquetStore:
    store = ParquetStore(tmp_path / "history", mapped_bytes_most=2**30, cached_bytes_most=2**20)
    store.record(recorded(a_day_of_quotes(ROWS)))
    return store


def the_file(store: ParquetStore, partition: Partition | None = None) -> Path:
    """The decoded file of the one part of a partition, made now."""
    (part,) = store.files.parts(partition or quotes_of_day())
    assert decode(store.files, (partition or quotes_of_day()).kind, part) > 0
    return decoded_path(part)


def is_mapped(store: ParquetStore) -> bool:
    (part,) = store.files.parts(quotes_of_day())
    return store.decoded.frame(Kind.QUOTES, part, part.path.stat()) is not None


def test_quotes_come_back_as_the_parquet_file_has_them(store: ParquetStore) -> None:
    before = everything_of(store, Kind.QUOTES)

    the_file(store)

    assert is_mapped(store)
    assert everything_of(store, Kind.QUOTES).equals(before)
    assert before["bid"].null_count() > 0


def test_trades_come_back_with_their_ids(store: ParquetStore) -> None:
    block = trades([NOON_NS + at for at in range(ROWS)])
    names = tuple(f"the {at}th trade of this day" if at % 2 else "" for at in range(ROWS))
    store.record(recorded(replace(block, trade_ids=names)))
    before = everything_of(store, Kind.TRADES)

    the_file(store, Partition(Kind.TRADES, "paper", "AAPL", DAY))

    assert everything_of(store, Kind.TRADES).equals(before)
    assert before["trade_id"].to_list() == list(names)


def test_more_rows_than_are_decoded_at_a_time_are_several_batches(
    store: ParquetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.market_data.adapters.decoded_files.BATCH_ROWS", BATCH_ROWS // 2**8)
    before = everything_of(store, Kind.QUOTES)

    the_file(store)

    assert is_mapped(store)
    assert everything_of(store, Kind.QUOTES).equals(before)


def _flip(data: bytearray) -> None:
    data[len(data) // 2] ^= 1


def _swap_pages(data: bytearray) -> None:
    data[4096:8192], data[8192:12288] = data[8192:12288], data[4096:8192]


def _truncate(data: bytearray) -> None:
    del data[-4096:]


def _empty(data: bytearray) -> None:
    data.clear()


def _zero(data: bytearray) -> None:
    data[:] = bytes(len(data))


def _other_version(data: bytearray) -> None:
    data[-33] += 1  # the last octet of the magic


@pytest.mark.parametrize("damage", [_flip, _swap_pages, _truncate, _empty, _zero, _other_version])
def test_a_damaged_file_is_not_used(store: ParquetStore, damage: Callable[[bytearray], None]) -> None:
    before = everything_of(store, Kind.QUOTES)
    path = the_file(store)
    data = bytearray(path.read_bytes())
    damage(data)
    path.write_bytes(data)

    assert not is_mapped(store)
    assert everything_of(store, Kind.QUOTES).equals(before)


def test_a_file_whose_content_changed_is_taken_away_to_be_made_anew(store: ParquetStore) -> None:
    path = the_file(store)
    data = bytearray(path.read_bytes())
    _flip(data)
    path.write_bytes(data)

    assert not is_mapped(store)
    assert not path.exists()
    the_file(store)
    assert is_mapped(store)


def test_a_file_of_another_parquet_file_is_not_used(store: ParquetStore) -> None:
    the_file(store)
    (part,) = store.files.parts(quotes_of_day())
    pl.read_parquet(part.path, hive_partitioning=False).head(7).write_parquet(part.path)

    assert decoded_bytes(part) == 0
    assert len(everything_of(store, Kind.QUOTES)) == 7


def test_a_file_that_is_open_already_is_not_used_for_a_changed_parquet_file(store: ParquetStore) -> None:
    the_file(store)
    assert is_mapped(store)
    (part,) = store.files.parts(quotes_of_day())
    os.utime(part.path, ns=(1, 1))

    assert not is_mapped(store)


def test_a_small_file_is_read_once_and_kept(store: ParquetStore) -> None:
    store.record(recorded(quotes([NOON_NS], symbol="MSFT")))
    (part,) = store.files.parts(quotes_of_day("MSFT"))
    status = part.path.stat()

    first = store.decoded.frame(Kind.QUOTES, part, status)

    assert first is not None
    assert store.decoded.frame(Kind.QUOTES, part, status) is first
    assert first["bid"].to_list() == [100.0]


def test_nothing_is_kept_beyond_the_limits(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    store.record(recorded(quotes([NOON_NS])))
    (part,) = store.files.parts(quotes_of_day())

    first = store.decoded.frame(Kind.QUOTES, part, part.path.stat())

    assert store.decoded.frame(Kind.QUOTES, part, part.path.stat()) is not first


def test_retention_takes_both_files(store: ParquetStore) -> None:
    path = the_file(store)

    assert store.retain((Kind.QUOTES,), "paper", 1, NOON_NS + 9 * DAY_NS) == 1

    assert not path.parent.exists()


def test_what_a_merge_left_alone_is_swept_away(store: ParquetStore) -> None:
    path = the_file(store)
    store.record(recorded(quotes([NOON_NS])))
    store.join(quotes_of_day())

    store.files.sweep([quotes_of_day()], older_than_s=0)

    assert not path.exists()
    assert len(everything_of(store, Kind.QUOTES)) == ROWS + 1


def test_a_part_that_is_gone_gets_no_file(store: ParquetStore) -> None:
    (part,) = store.files.parts(quotes_of_day())
    store.files.remove(quotes_of_day())

    assert decode(store.files, Kind.QUOTES, part) == 0
    assert store.files.partitions(Kind.QUOTES) == []


def test_a_killed_decoder_never_leaves_wrong_rows(tmp_path: Path) -> None:
    """Killed with SIGKILL at a random moment of joining and decoding, several times over."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "tests")))}
    finished = 0
    for kill_after in (2, 3, 5):
        command = [sys.executable, "-c", DECODER, str(tmp_path), str(finished)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as writer:
            assert writer.stdout is not None
            for _ in range(kill_after):
                finished = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            finished = max([finished, *(int(line) for line in writer.stdout if line.strip())])
        store = ParquetStore(tmp_path, mapped_bytes_most=2**30)
        rows = everything_of(store, Kind.QUOTES, rows_most=10**6)
        expected = a_day_of_quotes(len(rows))
        assert finished <= len(rows) <= finished + 4_000
        assert (rows["timestamp_ns"].to_numpy() == expected.event_time_ns).all()
        assert np.array_equal(rows["ask"].to_numpy(), expected.ask_nanos / 1e9)
        finished = len(rows)
    assert list(tmp_path.rglob("*.decoded"))
