"""Market files in and out: every spelling that the layout allows, and a clear no to anything else."""

import gzip
from pathlib import Path

import polars as pl
import pytest
from builders.history import NOON_NS, a_minute, a_store, quotes, recorded, trades

from services.market_data.adapters.market_files import Import, export_file, import_file
from services.market_data.adapters.parquet_store import ParquetStore
from services.market_data.adapters.recording_file import RecordingFile
from services.market_data.domain.frame_query import Selection
from services.market_data.domain.history import Kind
from trading.errors import AlreadyExists, InvalidArgument
from trading.market import Interval

WANTED = Import("import")


@pytest.fixture
def store(tmp_path: Path) -> ParquetStore:
    return a_store(tmp_path / "history")


def silent(done: int, total: int) -> None:
    assert done <= total


def bring(store: ParquetStore, file: Path, wanted: Import = WANTED) -> int:
    return import_file(store, file, wanted, silent)


def a_file(tmp_path: Path, name: str, text: str) -> Path:
    file = tmp_path / name
    file.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return file


def series(store: ParquetStore) -> list[tuple[str, str, str, int]]:
    """What is stored: kind, interval, symbol and rows."""
    found = [one for kind in Kind for one in store.files.partitions(kind)]
    return [(one.kind.value, one.interval or "", one.symbol, store.rows(one)) for one in found]


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("bac-quotes.csv", "timestamp_ns,bid,bid_size,ask,ask_size\n5,1,2,3,4\n5,,,3,4\n", ("quotes", "", "BAC", 2)),
        ("bac.csv.gz", "timestamp,price,amount,side,id\n1,2.5,3,buy,x1\n", ("trades", "", "BAC", 1)),
        ("x.csv", "ts,symbol,price,qty\n1,btc/usd,2,3\n", ("trades", "", "BTC-USDT", 1)),
        (
            "spy.csv",
            "date,open,high,low,close,volume\n2020-01-02,1,2,1,2,9\n2020-01-03,1,2,1,2,9\n",
            ("bars", "1d", "SPY", 2),
        ),
        ("a.csv", "Timestamp,Open,High,Low,Close,Volume\n0,1,2,1,2,9\n300000,1,2,1,2,9\n", ("bars", "5m", "A", 2)),
    ],
)
def test_a_file_is_recognised_by_its_columns(
    store: ParquetStore, tmp_path: Path, name: str, text: str, found: tuple[str, str, str, int]
) -> None:
    assert bring(store, a_file(tmp_path, name, text)) == found[3]
    assert series(store) == [found]


def test_amounts_become_exact_nanos_and_sides_signs(store: ParquetStore, tmp_path: Path) -> None:
    rows = ("1570752011620,0.001413,23.5,sell,7", "1570752011621,400.27,1,BUY,8", "1570752011622,1,1,?,9")
    text = "\n".join(("timestamp,price,size,side,id", *rows, ""))
    bring(store, a_file(tmp_path, "xrp.csv", text))

    frame = store.frame(store.files.partitions(Kind.TRADES)[0])
    assert frame["event_time_ns"][0] == 1_570_752_011_620_000_000
    assert frame["price_nanos"].to_list() == [1_413_000, 400_270_000_000, 10**9]
    assert frame["side_sign"].to_list() == [-1, 1, 0]
    assert frame["trade_id"].to_list() == ["7", "8", "9"]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.csv", "price,size\n1,2\n", "No time column"),
        ("a.csv", "timestamp_ns,price\n1,2\n", "Missing columns"),
        ("a.csv", "timestamp_ns,price,size\n1,-2,1\n", "row 1"),
        ("a.csv", "timestamp_ns,price,size\n1,2,1\n1,,1\n", "row 2"),
        ("a.csv", "timestamp_ns,price,size\n1,1e11,1\n", "out of range"),
        ("a.csv", "timestamp_ns,price,size\n1,many,1\n", "no numbers"),
        ("a.csv", "timestamp_ns,price,size\n-1,1,1\n", "negative"),
        ("a.csv", "timestamp_ns,price,size\n,1,1\n", "empty"),
        ("a.csv", "date,price,size\nyesterday,1,1\n", "to parse dates"),
        ("-.csv", "timestamp_ns,price,size\n1,1,1\n", "names no symbol"),
        ("a.csv", "timestamp_ns,open,high,low,close,volume\n1,1,1,1,1,1\n", "name --interval"),
        ("a.parquet", "PAR1 and nothing else", "a.parquet"),
        ("a.csv", "", "a.csv"),
        ("a.csv", "timestamp_ns,symbol,price,size\n1,A B,1,1\n", "symbol"),
    ],
)
def test_a_file_that_no_market_wrote_is_refused_by_name(
    store: ParquetStore, tmp_path: Path, name: str, text: str, says: str
) -> None:
    file = a_file(tmp_path, name, text)

    with pytest.raises(InvalidArgument, match=says) as refused:
        bring(store, file)

    assert str(file) in refused.value.message
    assert series(store) == []


def test_symbols_choose_rows_or_name_the_file(store: ParquetStore, tmp_path: Path) -> None:
    mixed = a_file(tmp_path, "x.csv", "timestamp_ns,symbol,price,size\n1,AAPL,1,1\n2,MSFT,1,1\n3,SPY,1,1\n")
    alone = a_file(tmp_path, "y.csv", "timestamp_ns,price,size\n1,1,1\n")

    bring(store, mixed, Import("import", ("spy", "AAPL")))
    bring(store, alone, Import("import", ("TSLA",)))

    assert [symbol for _, _, symbol, _ in series(store)] == ["AAPL", "SPY", "TSLA"]


def test_the_same_file_is_imported_once_unless_wanted_again(store: ParquetStore, tmp_path: Path) -> None:
    file = a_file(tmp_path, "a.csv", "timestamp_ns,price,size\n1,1,1\n")
    bring(store, file)

    with pytest.raises(AlreadyExists):
        bring(store, file)

    bring(store, file, Import("other"))
    bring(store, file, Import("import", again=True))
    assert [rows for *_, rows in series(store)] == [2, 1]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("kind", list(Kind))
def test_what_was_exported_can_be_imported_again(store: ParquetStore, tmp_path: Path, kind: Kind, suffix: str) -> None:
    times = [NOON_NS, NOON_NS + 60 * 10**9, NOON_NS + 120 * 10**9]
    store.record(recorded(quotes(times), trades(times), *(a_minute(at, 100.01 + at) for at in range(3))))
    interval = Interval.ONE_MINUTE if kind is Kind.BARS else None
    out = tmp_path / f"aapl{suffix}"

    assert export_file(store.files, Selection(kind, (), 0, 2**62, interval), out, silent) == 3
    bring(store, out, Import("back"))

    before, after = store.files.partitions(kind)[::-1]
    assert (before.venue, after.venue) == ("paper", "back")
    assert store.frame(after).equals(store.frame(before))


def test_an_export_of_nothing_writes_no_file(store: ParquetStore, tmp_path: Path) -> None:
    assert export_file(store.files, Selection(Kind.QUOTES, ("AAPL",), 0, 9), tmp_path / "out.parquet", silent) == 0
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


def test_an_export_is_cut_to_its_range_and_symbols(store: ParquetStore, tmp_path: Path) -> None:
    store.record(recorded(*(quotes([NOON_NS, NOON_NS + 5], symbol=symbol) for symbol in ("AAPL", "MSFT"))))
    out = tmp_path / "out.parquet"

    export_file(store.files, Selection(Kind.QUOTES, ("MSFT",), NOON_NS + 1, NOON_NS + 6), out, silent)

    assert pl.read_parquet(out).select("symbol", "timestamp_ns").rows() == [("MSFT", NOON_NS + 5)]


def test_an_export_over_a_file_replaces_it_only_when_it_is_whole(store: ParquetStore, tmp_path: Path) -> None:
    store.record(recorded(quotes([NOON_NS])))
    out = tmp_path / "out.csv"
    out.write_text("old")

    def fail(done: int, total: int) -> None:
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        export_file(store.files, Selection(Kind.QUOTES, (), 0, 2**62), out, fail)

    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["out.csv"]
    assert out.read_text() == "old"


async def a_recording(folder: Path) -> Path:
    """Two venues' quotes and trades, as `ntrader record` writes them."""
    path = folder / "day.parquet"
    async with RecordingFile(path) as recording:
        for venue in ("binance", "paper"):
            await recording.quotes(quotes([NOON_NS, NOON_NS + 5], venue=venue), 0)
            await recording.trades(trades([NOON_NS + 1], venue=venue), 0)
    return path


async def test_a_recording_is_brought_in_under_the_venue_that_it_names(store: ParquetStore, tmp_path: Path) -> None:
    file = await a_recording(tmp_path)

    assert bring(store, file, Import()) == 6

    found = [one for kind in Kind for one in store.files.partitions(kind)]
    assert [(one.kind, one.venue, one.symbol, store.rows(one)) for one in found] == [
        (Kind.QUOTES, "binance", "AAPL", 2),
        (Kind.QUOTES, "paper", "AAPL", 2),
        (Kind.TRADES, "binance", "AAPL", 1),
        (Kind.TRADES, "paper", "AAPL", 1),
    ]
    assert store.frame(found[0])["receive_time_ns"].to_list() == [NOON_NS + 5, NOON_NS + 10]
    assert store.frame(found[2]).select("side_sign", "trade_id").rows() == [(1, "0")]


async def test_a_recording_may_be_given_another_venue(store: ParquetStore, tmp_path: Path) -> None:
    bring(store, await a_recording(tmp_path), Import("mine", ("AAPL",)))

    assert {one.venue for kind in Kind for one in store.files.partitions(kind)} == {"mine"}
