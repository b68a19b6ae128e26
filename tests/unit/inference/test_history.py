"""A user's history in the forms that files have, and what is said of files that cannot be learnt from."""

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from services.inference.training.history import BadHistory, History, read_history

START_NS = 1_700_000_000_000_000_000
MINUTE_NS = 60_000_000_000


def written(folder: Path, name: str, frame: pl.DataFrame) -> Path:
    file = folder / name
    if name.endswith(".parquet"):
        frame.write_parquet(file)
    elif name.endswith(".gz"):
        file.write_bytes(gzip.compress(frame.write_csv().encode()))
    else:
        frame.write_csv(file)
    return file


def bars(count: int = 5, **more: object) -> pl.DataFrame:
    prices = 100 + np.arange(count, dtype=np.float64)
    return pl.DataFrame(
        {
            "timestamp_ns": START_NS + np.arange(count) * MINUTE_NS,
            "open": prices,
            "high": prices + 1,
            "low": prices - 1,
            "close": prices,
            "volume": np.full(count, 7.0),
            **more,
        }
    )


def only(files: Path, *symbols: str) -> History:
    (found,) = read_history([files], symbols)
    return found


@pytest.mark.parametrize("name", ["btc-1m.parquet", "btc_1m.csv", "btc 1m.csv.gz"])
def test_bars_become_ticks_at_their_close(tmp_path: Path, name: str) -> None:
    found = only(written(tmp_path, name, bars()))
    assert (found.symbol, found.kind, found.file) == ("BTC", "bars", name)
    assert found.ticks.price.tolist() == [100.0, 101.0, 102.0, 103.0, 104.0]
    assert found.ticks.volume.tolist() == [7.0] * 5
    assert found.ticks.signs.tolist() == [0.0, 1.0, 1.0, 1.0, 1.0]
    assert found.time_ns.tolist() == (START_NS + np.arange(5) * MINUTE_NS).tolist()
    assert found.spacing_ns == MINUTE_NS


def test_a_named_symbol_is_the_files_when_it_names_none(tmp_path: Path) -> None:
    assert only(written(tmp_path, "x.csv", bars()), "BTC-USDT").symbol == "BTC-USDT"


def test_a_column_of_symbols_parts_the_file(tmp_path: Path) -> None:
    frame = pl.concat([bars(3, symbol=["A"] * 3), bars(4, symbol=["B"] * 4)])
    file = written(tmp_path, "x.parquet", frame)
    assert [(each.symbol, len(each.ticks)) for each in read_history([file], ())] == [("A", 3), ("B", 4)]
    assert only(file, "B").symbol == "B"
    with pytest.raises(BadHistory, match="No file has C"):
        read_history([file], ("A", "C"))


def test_quotes_keep_their_sizes_and_lose_broken_books(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "timestamp_ns": [3, 1, 2],
            "bid": [99.0, 100.0, 105.0],
            "ask": [101.0, 102.0, 104.0],
            "bid_size": [1.0, 2.0, 3.0],
            "ask_size": [4.0, 5.0, 6.0],
        }
    )
    found = only(written(tmp_path, "q.parquet", frame))
    assert found.kind == "quotes"
    assert found.time_ns.tolist() == [1, 3]
    assert found.ticks.price.tolist() == [101.0, 100.0]
    assert found.ticks.bid_size.tolist() == [2.0, 1.0]


def test_trades_have_sizes_by_any_name_and_signs_by_the_tick_rule(tmp_path: Path) -> None:
    frame = pl.DataFrame({"ts": [1, 2, 3], "price": [10.0, 9.0, 9.0], "qty": [1.0, 2.0, 3.0]})
    found = only(written(tmp_path, "t.csv", frame))
    assert (found.kind, found.ticks.volume.tolist()) == ("trades", [1.0, 2.0, 3.0])
    assert found.ticks.signs.tolist() == [0.0, -1.0, -1.0]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("timestamp", ["2023-11-14 22:13:20.000000", "2023-11-14 22:14:20.000000"]),
        ("timestamp", [1_700_000_000_000, 1_700_000_060_000]),
        ("date", ["2023-11-14T22:13:20", "2023-11-14T22:14:20"]),
    ],
)
def test_times_are_read_as_ns_whatever_their_form(tmp_path: Path, name: str, values: list[object]) -> None:
    frame = pl.DataFrame({name: values, "close": [1.0, 2.0]})
    assert only(written(tmp_path, "x.csv", frame)).time_ns.tolist() == [START_NS, START_NS + MINUTE_NS]


@pytest.mark.parametrize(
    ("name", "frame", "expected"),
    [
        ("x.xlsx", bars(), "expected a file named"),
        ("x.csv", bars().drop("timestamp_ns"), "expected a column timestamp_ns"),
        ("x.csv", bars().select("timestamp_ns", "volume"), "expected the columns"),
        ("x.csv", bars().with_columns(pl.lit("soon").alias("timestamp_ns")), "is no time"),
        ("x.csv", bars().with_columns(pl.lit("much").alias("close")), "expected numbers"),
        ("x.csv", bars().with_columns(pl.lit(-1.0).alias("close")), "no row with a price above 0"),
    ],
)
def test_a_file_that_cannot_be_learnt_from_is_told(
    tmp_path: Path, name: str, frame: pl.DataFrame, expected: str
) -> None:
    with pytest.raises(BadHistory, match=expected):
        read_history([written(tmp_path, name, frame)], ())


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadHistory, match="cannot be read"):
        read_history([tmp_path / "none.parquet"], ())


def test_a_single_tick_has_a_spacing_too(tmp_path: Path) -> None:
    assert only(written(tmp_path, "x.csv", bars(1))).spacing_ns == 1
