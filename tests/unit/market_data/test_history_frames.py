"""Tables of the past: the right rows, in the right order, on the wire as a client can map them."""

import base64
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from builders.history import DAY, NOON_NS, a_minute, a_store, quotes, recorded, trades

from services.market_data.adapters.arrow_frames import to_arrow, to_json
from services.market_data.adapters.history_frames import HistoryFrames
from services.market_data.adapters.history_tables import HistoryFrame
from services.market_data.adapters.parquet_store import ParquetStore
from services.market_data.domain.frame_query import Aggregate, FrameQuery, frame_query, selection
from services.market_data.domain.history import Kind
from trading.clock import MINUTE_NS
from trading.errors import InvalidArgument


@pytest.fixture
def store(tmp_path: Path) -> ParquetStore:
    return a_store(tmp_path / "history")


def asking(kind: Kind = Kind.BARS, *symbols: str, **question: Any) -> FrameQuery:
    """A question about the whole day."""
    asked = {"columns": (), "filter_text": "", "group_by": (), "aggregates": (), "row_limit": 0, "rows_most": 1000}
    rows = selection(
        kind, symbols or ("AAPL",), "1m", DAY.start_ns, DAY.end_ns, question.pop("venue", ""), now_ns=DAY.end_ns
    )
    return frame_query(rows, **asked | question)


def answer(store: ParquetStore, query: FrameQuery, *fresh: Any) -> HistoryFrame:
    return HistoryFrames(store, scan_bytes_most=2**30).read(query, fresh)


def test_symbols_come_in_the_order_asked_each_by_time(store: ParquetStore) -> None:
    store.record(recorded(*(a_minute(at, at + 1, symbol=symbol) for symbol in ("AAPL", "MSFT") for at in (0, 1))))

    found = answer(store, asking(Kind.BARS, "MSFT", "AAPL")).frame

    assert found["symbol"].to_list() == ["MSFT", "MSFT", "AAPL", "AAPL"]
    assert found["close"].to_list() == [1, 2, 1, 2]


def test_returns_begin_anew_with_each_symbol(store: ParquetStore) -> None:
    rows = [a_minute(at, close, symbol=symbol) for symbol in ("A", "B") for at, close in enumerate((100, 110, 99))]
    store.record(recorded(*rows))

    returns = answer(store, asking(Kind.BARS, "A", "B")).frame["returns"].to_list()

    assert [value if value is None else round(value, 12) for value in returns] == [None, 0.1, -0.1, None, 0.1, -0.1]


def test_a_filter_does_not_change_the_returns_that_it_keeps(store: ParquetStore) -> None:
    store.record(recorded(a_minute(0, 100), a_minute(1, 110), a_minute(2, 121)))

    found = answer(store, asking(columns=("returns",), filter_text="close > 115")).frame

    assert found["returns"].round(12).to_list() == [0.1]


def test_fresh_bars_are_laid_over_the_stored_ones(store: ParquetStore) -> None:
    store.record(recorded(a_minute(0, 10), a_minute(1, 11)))

    found = answer(store, asking(), a_minute(1, 12), a_minute(2, 13)).frame

    assert found["close"].to_list() == [10, 12, 13]
    assert found["symbol"].to_list() == ["AAPL"] * 3


def test_late_ticks_in_a_later_file_are_sorted_in(store: ParquetStore) -> None:
    store.record(recorded(quotes([NOON_NS, NOON_NS + 10])))
    store.record(recorded(quotes([NOON_NS + 5])))

    found = answer(store, asking(Kind.QUOTES)).frame

    assert found["timestamp_ns"].to_list() == [NOON_NS, NOON_NS + 5, NOON_NS + 10]


def test_prices_are_the_nearest_numbers_and_an_empty_side_is_null(store: ParquetStore) -> None:
    block = quotes([NOON_NS, NOON_NS + 1], bid=400.27)
    store.record(recorded(replace(block, bid_nanos=np.array([400_270_000_000, 0]))))

    found = answer(store, asking(Kind.QUOTES)).frame

    assert found["bid"].to_list() == [400.27, None]
    assert found["ask"].to_list() == [400.28, 400.29]


def test_covariance_is_of_the_times_that_all_symbols_share(store: ParquetStore) -> None:
    random = np.random.default_rng(3)
    closes = 100 * np.cumprod(1 + random.normal(0, 0.01, (50, 2)), axis=0)
    rows = [a_minute(at, closes[at, of], symbol="AB"[of]) for at in range(50) for of in (0, 1)]
    store.record(recorded(*rows[:-1]))  # B lacks the last minute
    exact = np.round(closes * 1e9) / 1e9
    returns = exact[1:] / exact[:-1] - 1

    known = answer(store, asking(Kind.BARS, "B", "A")).covariance

    assert known is not None
    assert known.symbols == ("B", "A")
    assert np.allclose(known.matrix, np.cov(returns[:-1, ::-1], rowvar=False), rtol=1e-12)


@pytest.mark.parametrize("symbols", [("AAPL",), ("AAPL", "NONE")])
def test_covariance_of_too_little_is_nan(store: ParquetStore, symbols: tuple[str, ...]) -> None:
    store.record(recorded(a_minute(0, 10), a_minute(1, 11)))

    known = answer(store, asking(Kind.BARS, *symbols)).covariance

    assert known is not None
    assert np.isnan(known.matrix).all()
    assert known.matrix.shape == (len(symbols), len(symbols))


def test_an_empty_history_is_an_empty_table_with_all_columns(store: ParquetStore) -> None:
    for kind in Kind:
        found = answer(store, asking(kind))
        assert len(found.frame) == 0
        assert "timestamp_ns" in found.frame.columns


def test_groups_are_folded_and_sorted(store: ParquetStore) -> None:
    store.record(recorded(*(trades([NOON_NS, NOON_NS + 1], symbol=symbol, price=7) for symbol in "BA")))
    folds = (Aggregate("price", "sum", "total"), Aggregate("*", "count", ""), Aggregate("trade_id", "max", ""))

    found = answer(store, asking(Kind.TRADES, "B", "A", group_by=("symbol",), aggregates=folds)).frame
    whole = answer(store, asking(Kind.TRADES, "B", "A", aggregates=folds[:2])).frame

    assert found.to_dicts() == [{"symbol": symbol, "total": 14.0, "count": 2, "trade_id_max": "1"} for symbol in "AB"]
    assert whole.to_dicts() == [{"total": 28.0, "count": 4}]


def test_the_limit_cuts_and_says_so(store: ParquetStore) -> None:
    store.record(recorded(*(a_minute(at, 1) for at in range(5))))

    assert [answer(store, asking(row_limit=limit)).truncated for limit in (4, 5)] == [True, False]
    assert len(answer(store, asking(row_limit=4)).frame) == 4


def test_one_venue_can_be_asked_for(store: ParquetStore) -> None:
    store.record(recorded(quotes([NOON_NS]), quotes([NOON_NS + 1], venue="other")))

    assert len(answer(store, asking(Kind.QUOTES)).frame) == 2
    assert answer(store, asking(Kind.QUOTES, venue="other")).frame["venue"].to_list() == ["other"]


def test_returns_and_order_do_not_mix_venues(store: ParquetStore) -> None:
    store.record(recorded(*(a_minute(at, 100 + at, venue=venue) for venue in ("b", "a") for at in (0, 1))))

    found = answer(store, asking()).frame

    assert found["venue"].to_list() == ["a", "a", "b", "b"]
    assert [value is None for value in found["returns"]] == [True, False, True, False]


def test_bars_come_from_the_venue_that_answers_for_the_symbol(store: ParquetStore) -> None:
    store.record(recorded(a_minute(0, 100, venue="a"), a_minute(0, 101, venue="b")))
    query = asking()

    owned = replace(query, selection=replace(query.selection, venues={"AAPL": "b"}))

    assert answer(store, owned).frame["close"].to_list() == [101]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("bid > 100.02", 3),
        ("bid >= 100.02", 4),
        ("bid < 100.02", 2),
        ("bid <= 100.02", 3),
        ("bid == 100.02", 1),
        ("bid != 100.02", 5),
        ("bid > 100.01 and not bid > 100.03 and bid_size == 1", 2),
        ("bid > 100.04 or bid < 100.01", 2),
        ("bid < 1e30 and bid > -1e30", 6),
        ("bid > 100.0199999", 4),
    ],
)
def test_a_filter_that_is_pushed_into_the_files_keeps_the_same_rows(store: ParquetStore, text: str, count: int) -> None:
    store.record(recorded(quotes([NOON_NS + at for at in range(6)])))

    found = answer(store, asking(Kind.QUOTES, filter_text=text)).frame

    assert len(found) == count


def test_a_question_over_too_many_bytes_is_refused(store: ParquetStore) -> None:
    store.record(recorded(quotes([NOON_NS])))

    with pytest.raises(InvalidArgument, match="too much"):
        HistoryFrames(store, scan_bytes_most=10).read(asking(Kind.QUOTES))


@pytest.mark.parametrize(
    ("question", "field"),
    [
        ({"columns": ("close", "close")}, "columns"),
        ({"columns": ("close",), "aggregates": (Aggregate("close", "max", ""),)}, "columns"),
        ({"aggregates": (Aggregate("close", "exec", ""),)}, "aggregates"),
        ({"aggregates": (Aggregate("nope", "max", ""),)}, "aggregates"),
        ({"aggregates": (Aggregate("symbol", "mean", ""),)}, "aggregates"),
        ({"aggregates": (Aggregate("close", "max", "no name"),)}, "aggregates"),
        ({"aggregates": (Aggregate("close", "max", ""),) * 2}, "aggregates"),
        ({"group_by": ("nope",), "aggregates": (Aggregate("close", "max", ""),)}, "group_by"),
        ({"group_by": ("symbol",)}, "aggregates"),
        ({"row_limit": 1001}, "row_limit"),
        ({"row_limit": -1}, "row_limit"),
        ({"columns": ("covariance",), "group_by": ("symbol",), "aggregates": ()}, "aggregates"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_with_its_field(question: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        asking(**question)

    assert refused.value.metadata["field"] == field


def test_covariance_is_computed_only_for_who_wants_it(store: ParquetStore) -> None:
    store.record(recorded(a_minute(0, 10)))

    assert answer(store, asking(columns=("close",))).covariance is None
    assert answer(store, asking(columns=("close", "covariance"))).frame.columns == ["close"]
    assert answer(store, asking(columns=("close", "covariance"))).covariance is not None


def test_arrow_is_one_uncompressed_batch_whose_columns_are_views_of_the_stream(store: ParquetStore) -> None:
    rows = 200_000
    store.record(recorded(quotes([NOON_NS + at for at in range(rows)])))
    query = asking(Kind.QUOTES, columns=("timestamp_ns", "bid", "symbol"), rows_most=rows)

    data = b"".join(to_arrow(answer(store, query)).parts)
    buffer = pa.py_buffer(data)
    with pa.ipc.open_stream(buffer) as reader:
        (batch,) = list(reader)

    start, end = buffer.address, buffer.address + len(data)
    for name in ("timestamp_ns", "bid"):
        values = batch.column(name).buffers()[1]
        assert start <= values.address < end
        assert values.address % 8 == buffer.address % 8
        assert batch.column(name).null_count == 0
    assert batch.schema.field("symbol").type == pa.dictionary(pa.int32(), pa.utf8())
    assert batch.schema.field("timestamp_ns").type == pa.int64()
    assert len(batch) == rows


def test_nulls_are_nan_on_the_wire(store: ParquetStore) -> None:
    store.record(recorded(a_minute(0, 10), a_minute(1, 11)))

    table = pa.ipc.open_stream(io.BytesIO(b"".join(to_arrow(answer(store, asking())).parts))).read_all()

    assert table["returns"].null_count == 0
    assert np.isnan(table["returns"].to_numpy()[0])
    assert json.loads(table.schema.metadata[b"truncated"]) is False
    assert np.isnan(np.frombuffer(base64.b64decode(table.schema.metadata[b"covariance"]), "<f8")).all()


def test_json_keeps_large_numbers_as_texts_and_has_null_for_what_is_none() -> None:
    frame = pl.DataFrame(
        {
            "n": [2**62, None],
            "x": [1.5, float("nan")],
            "s": ["a", None],
            "b": [True, None],
            "i": pl.Series([1, 2], dtype=pl.Int8),
        }
    )

    found = to_json(HistoryFrame(frame, truncated=True))

    assert msgspec.json.decode(b"".join(found.parts)) == {
        "columns": {"n": [str(2**62), None], "x": [1.5, None], "s": ["a", None], "b": [True, None], "i": [1, 2]},
        "rows": 2,
        "truncated": True,
    }


def test_a_range_of_time_is_half_open(store: ParquetStore) -> None:
    store.record(recorded(*(a_minute(at, at + 1) for at in range(4))))
    rows = selection(Kind.BARS, ("AAPL",), "1m", NOON_NS + MINUTE_NS, NOON_NS + 3 * MINUTE_NS, "", now_ns=0)
    query = frame_query(rows, columns=("close",), filter_text="", group_by=(), aggregates=(), row_limit=0, rows_most=10)

    assert answer(store, query).frame["close"].to_list() == [2, 3]


def test_every_price_is_shown_as_its_nearest_number(store: ParquetStore) -> None:
    nanos = np.random.default_rng(5).integers(1, 10**13, 10_000)
    block = quotes([NOON_NS + at for at in range(len(nanos))])
    store.record(recorded(replace(block, bid_nanos=nanos)))

    found = answer(store, asking(Kind.QUOTES, columns=("bid",), rows_most=len(nanos))).frame

    assert (found["bid"].to_numpy() == nanos / 1e9).all()
