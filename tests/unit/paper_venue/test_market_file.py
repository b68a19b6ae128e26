"""Market files are recognised by their columns, read exactly, and refused by name."""

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from servers import SHARED_DATA

from services.paper_venue.adapters.market_files import load_recording, save_ticks
from services.paper_venue.domain.market_file import MarketFileError, layout_of, symbol_of_file, tick_of
from services.paper_venue.domain.replay import Recording
from services.paper_venue.domain.ticks import Kind, Row
from trading.instruments import CATALOGUE, AssetClass, Instruments

QUOTES = {"timestamp_ns": [5, 5, 7], "bid": [13.84, 13.84, 13.85], "bid_size": [700.0] * 3}
QUOTES |= {"ask": [14.02, 13.95, 13.95], "ask_size": [500.0, 20_000.0, 1.5]}


def write(path: Path, columns: dict[str, list[object]]) -> Path:
    frame = pl.DataFrame(columns)
    frame.write_parquet(path) if path.suffix == ".parquet" else frame.write_csv(path)
    return path


def load(*files: Path, symbols: tuple[str, ...] = ()) -> Recording:
    return load_recording(files, symbols, Instruments(CATALOGUE))


def rows(recording: Recording) -> list[Row]:
    return list(recording.ticks.rows())


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_quotes_are_read_exactly(tmp_path: Path, suffix: str) -> None:
    recording = load(write(tmp_path / f"bac-quotes{suffix}", QUOTES))

    assert [i.symbol for i in recording.instruments] == ["BAC"]
    assert rows(recording)[1] == (5, Kind.QUOTE, 0, 13_840_000_000, 700 * 10**9, 13_950_000_000, 20_000 * 10**9, 0.0)
    assert rows(recording)[2].d == 1_500_000_000


def test_quotes_of_one_time_are_all_kept(tmp_path: Path) -> None:
    columns = {name: [values[0]] * 50 for name, values in QUOTES.items()}

    assert len(load(write(tmp_path / "bac.parquet", columns)).ticks) == 50


def test_trades_carry_side_and_id(tmp_path: Path) -> None:
    columns = {"timestamp": [1, 2, 3], "price": [1.5, 1.6, 1.7], "amount": [1.0, 2.0, 3.0]}
    columns |= {"id": ["41", "42", "43"], "side": ["buy", "SELL", "?"]}
    recording = load(write(tmp_path / "aapl.csv", columns))

    assert [(row.time_ns, row.c, row.d) for row in rows(recording)] == [
        (1_000_000, 1, 41),
        (2_000_000, -1, 42),
        (3_000_000, 0, 43),
    ]


def test_ids_that_are_no_numbers_are_counted(tmp_path: Path) -> None:
    columns = {"timestamp_ns": [1, 2], "price": [1.5, 1.6], "size": [1.0, 2.0], "id": ["x1", "x2"]}

    assert [row.d for row in rows(load(write(tmp_path / "aapl.parquet", columns)))] == [1, 2]


def test_bars_of_dates_are_read(tmp_path: Path) -> None:
    columns = {"date": [date(2021, 1, 4)], "open": [1.0], "high": [4.0], "low": [0.5], "close": [2.0], "volume": [9.5]}
    recording = load(write(tmp_path / "spy.parquet", columns))

    (row,) = rows(recording)
    assert (row.time_ns, row.kind, row.b, row.volume) == (1_609_718_400 * 10**9, Kind.BAR, 4 * 10**9, 9.5)


@pytest.mark.parametrize("text", ["2021-12-31 23:01:00.000000", "2021-12-31T23:01:00Z"])
def test_times_may_be_text(tmp_path: Path, text: str) -> None:
    columns = {"timestamp": [text], "price": [1.0], "size": [1.0]}

    assert rows(load(write(tmp_path / "spy.csv", columns)))[0].time_ns == 1_640_991_660 * 10**9


def test_an_empty_side_of_a_quote_is_nothing(tmp_path: Path) -> None:
    columns = QUOTES | {"bid": [None, 13.84, 13.85], "bid_size": [None, 700.0, 700.0]}

    assert rows(load(write(tmp_path / "bac.parquet", columns)))[0].a == 0


def test_rows_are_put_in_order_of_time(tmp_path: Path) -> None:
    columns = {"timestamp_ns": [9, 3, 6], "price": [1.0, 2.0, 3.0], "size": [1.0] * 3}

    assert [row.time_ns for row in rows(load(write(tmp_path / "spy.parquet", columns)))] == [3, 6, 9]


def test_several_files_merge_by_time_with_ties_in_file_order(tmp_path: Path) -> None:
    quotes = write(tmp_path / "bac-quotes.parquet", QUOTES)
    trades = write(tmp_path / "bac-trades.parquet", {"timestamp_ns": [5, 6], "price": [1.0, 2.0], "size": [1.0, 1.0]})
    kinds = [(row.time_ns, row.kind) for row in rows(load(quotes, trades))]

    q, t = Kind.QUOTE, Kind.TRADE
    assert kinds == [(5, q), (5, q), (5, t), (6, t), (7, q)]
    assert [(row.time_ns, row.kind) for row in rows(load(trades, quotes))][:2] == [(5, t), (5, q)]


def test_the_symbol_column_decides_and_asked_symbols_choose(tmp_path: Path) -> None:
    columns = {"timestamp_ns": [1, 2, 3], "symbol": ["AAPL", "BTC/USD", "MSFT"], "price": [1.0] * 3, "size": [1.0] * 3}
    file = write(tmp_path / "some.parquet", columns)

    assert [i.symbol for i in load(file).instruments] == ["AAPL", "BTC-USDT", "MSFT"]
    assert [i.symbol for i in load(file, symbols=("MSFT", "BTC-USDT")).instruments] == ["BTC-USDT", "MSFT"]


def test_one_asked_symbol_names_a_file_without_a_symbol_column(tmp_path: Path) -> None:
    file = write(tmp_path / "some.parquet", QUOTES)

    assert load(file, symbols=("BAC",)).instruments[0].symbol == "BAC"
    assert load(file).instruments[0].symbol == "SOME"


def test_unknown_instruments_take_their_tick_from_the_data(tmp_path: Path) -> None:
    columns = {"timestamp_ns": [1, 2], "price": [0.25, 0.375], "size": [1.0, 1.0]}
    coin = load(write(tmp_path / "x.parquet", columns), symbols=("XRP-ETH",)).instruments[0]

    assert coin.asset_class is AssetClass.CRYPTO
    assert coin.venue_symbols["alpaca"] == "XRP/ETH"
    assert coin.tick_nanos == 125_000_000


def test_a_tick_of_no_prices_is_the_smallest() -> None:
    assert tick_of(np.zeros(3, np.int64)) == 1


def test_a_name_without_a_word_is_no_symbol() -> None:
    with pytest.raises(MarketFileError, match="--symbols"):
        symbol_of_file("---", ())


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"bid": [1.0]}, "no time column"),
        ({"timestamp_ns": [1], "bid": [1.0], "ask": [2.0]}, "missing columns"),
        ({"timestamp_ns": [1], "price": [-1.0], "size": [1.0]}, r"price is out of range in row 1"),
        ({"timestamp_ns": [1], "price": [1e10], "size": [1.0]}, r"price is out of range in row 1"),
        ({"timestamp_ns": [1, 2], "price": [1.0, None], "size": [1.0, 1.0]}, r"price is empty in row 2"),
        ({"timestamp_ns": [1], "price": ["one"], "size": [1.0]}, "price holds no numbers"),
        ({"timestamp_ns": [-1], "price": [1.0], "size": [1.0]}, "negative times"),
        ({"timestamp_ns": [None, 1], "price": [1.0, 1.0], "size": [1.0, 1.0]}, "empty times"),
        ({"timestamp": ["yesterday"], "price": [1.0], "size": [1.0]}, "holds no times"),
        ({"timestamp_ns": [True], "price": [1.0], "size": [1.0]}, "holds no times"),
        ({"timestamp_ns": [1], "symbol": [None], "price": [1.0], "size": [1.0]}, "empty symbols"),
        ({"timestamp_ns": [1], "symbol": ["A B"], "price": [1.0], "size": [1.0]}, "Expected a symbol"),
    ],
)
def test_bad_columns_are_refused_with_file_and_reason(
    tmp_path: Path, columns: dict[str, list[object]], complaint: str
) -> None:
    with pytest.raises(MarketFileError, match=rf"bad\.parquet: .*{complaint}"):
        load(write(tmp_path / "bad.parquet", columns))


def test_garbage_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bad.parquet"
    file.write_bytes(b"PAR1" + bytes(range(256)))
    with pytest.raises(MarketFileError, match="neither Parquet nor CSV"):
        load(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MarketFileError, match=r"none\.csv: No such file"):
        load(tmp_path / "none.csv")


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MarketFileError, match="no rows"):
        load(write(tmp_path / "aapl.csv", {"timestamp_ns": [], "price": [], "size": []}))


def test_the_first_time_column_by_precision_is_taken() -> None:
    layout = layout_of(["Date", "TIMESTAMP_NS", "price", "amount"], "x")

    assert (layout.time, layout.columns) == ("TIMESTAMP_NS", {"price": "price", "size": "amount"})


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_what_is_exported_is_replayed_alike(tmp_path: Path, suffix: str) -> None:
    quotes = load(write(tmp_path / "bac.parquet", QUOTES))
    trades = {"timestamp_ns": [5], "price": [0.5], "size": [2.0], "id": [77], "side": ["sell"]}
    prints = load(write(tmp_path / "aapl.parquet", trades))
    for recording, kind in ((quotes, Kind.QUOTE), (prints, Kind.TRADE)):
        copy = tmp_path / f"copy{kind.value}{suffix}"
        symbols = [i.symbol for i in recording.instruments]
        assert save_ticks(recording.ticks, symbols, kind, copy) == len(recording.ticks)
        assert rows(load(copy)) == rows(recording)


@pytest.mark.skipif(not SHARED_DATA.exists(), reason="The real data is not beside this checkout.")
@pytest.mark.parametrize(
    ("file", "symbol", "count"),
    [
        ("bac-quotes-2013-10-07.parquet", "BAC", 476_854),
        ("bac-trades-2013-10-07.parquet", "BAC", 88_172),
        ("xrp-eth-trades-2019-10-11.parquet", "XRP", 12_477),
        ("btc-perp-20211231-20220201_1m.csv.gz", "BTC", 45_031),
    ],
)
def test_real_files_are_read_whole(file: str, symbol: str, count: int) -> None:
    recording = load(SHARED_DATA / file)

    assert [i.symbol for i in recording.instruments] == [symbol]
    assert len(recording.ticks) == count


def test_a_recording_gives_its_quotes_and_its_trades(tmp_path: Path) -> None:
    names = ("kind", "venue", "symbol", "sequence", "event_time_ns", "receive_time_ns")
    names += ("bid", "bid_size", "ask", "ask_size", "price", "size", "side", "trade_id")
    lines = [
        ("trade", "binance", "ETH-USDT", 0, 7, 8, None, None, None, None, 2.5, 3.0, "sell", "41"),
        ("quote", "binance", "ETH-USDT", 0, 5, 6, 2.0, 1.0, 3.0, 4.0, None, None, None, None),
    ]
    recording = load(
        write(tmp_path / "day.parquet", {name: [line[at] for line in lines] for at, name in enumerate(names)})
    )

    assert [(row.time_ns, row.kind, row.a, row.c, row.d) for row in rows(recording)] == [
        (5, Kind.QUOTE, 2 * 10**9, 3 * 10**9, 4 * 10**9),
        (7, Kind.TRADE, 2_500_000_000, -1, 41),
    ]
    assert [one.symbol for one in recording.instruments] == ["ETH-USDT"]
