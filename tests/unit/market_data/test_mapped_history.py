"""Every question has the same answer whether the files are decoded or not."""

from typing import Any

import pytest
from builders.history import DAY, a_day_of_quotes, a_sealed_store, quotes, recorded
from polars.testing import assert_frame_equal

from services.market_data.adapters.history_frames import HistoryFrames
from services.market_data.adapters.parquet_store import ParquetStore
from services.market_data.domain.frame_query import Aggregate, frame_query, selection
from services.market_data.domain.history import Kind
from trading.clock import DAY_NS

ROWS = 12_000
HOUR_NS = 3_600 * 10**9
FOLDS = (Aggregate("ask_size", "mean", ""), Aggregate("bid", "max", ""), Aggregate("*", "count", ""))


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[ParquetStore, ParquetStore]:
    """Twice the same: as written, and sealed with a late tick that came after."""
    plain = ParquetStore(tmp_path_factory.mktemp("plain"))
    decoded, sealed = a_sealed_store(tmp_path_factory.mktemp("decoded"))
    for store in (plain, decoded):
        for symbol in ("AAPL", "MSFT"):
            store.record(recorded(*(a_day_of_quotes(ROWS, day=day, symbol=symbol) for day in (0, 1))))
            store.record(recorded(a_day_of_quotes(ROWS, first=ROWS, symbol=symbol)))
        store.record(recorded(quotes([DAY.start_ns + 5_000_000 + at for at in range(40)], venue="other")))
        if store is decoded:
            sealed.plan(DAY.end_ns + 9 * DAY_NS)
            sealed.go_on(2**40)
        store.record(recorded(quotes([DAY.start_ns + DAY_NS + 3], symbol="MSFT")))
    return plain, decoded


@pytest.mark.parametrize("symbols", [("AAPL",), ("MSFT", "AAPL"), ("NONE",)])
@pytest.mark.parametrize("venue", ["", "paper"])
@pytest.mark.parametrize(
    ("start_ns", "end_ns"),
    [(0, 2 * DAY_NS), (4_000_000, 9_000_001), (DAY_NS - HOUR_NS, DAY_NS + 7_000_000), (HOUR_NS, 2 * HOUR_NS)],
)
@pytest.mark.parametrize(
    "question",
    [
        {},
        {"columns": ("ask", "symbol")},
        {"filter_text": "bid > 100.5 and symbol == 'AAPL'"},
        {"filter_text": "venue == 'other' or not ask_size < 500"},
        {"group_by": ("symbol",), "aggregates": FOLDS},
        {"group_by": ("venue", "symbol"), "aggregates": FOLDS, "filter_text": "bid > 100.1"},
        {"group_by": ("bid",), "aggregates": FOLDS},
        {"group_by": ("symbol",), "aggregates": (Aggregate("timestamp_ns", "last", ""), Aggregate("*", "count", ""))},
        {"aggregates": FOLDS},
        {"row_limit": 7},
    ],
)
def test_the_answer_is_the_same(
    stores: tuple[ParquetStore, ParquetStore],
    symbols: tuple[str, ...],
    venue: str,
    start_ns: int,
    end_ns: int,
    question: dict[str, Any],
) -> None:
    rows = selection(Kind.QUOTES, symbols, "", DAY.start_ns + start_ns, DAY.start_ns + end_ns, venue, 0)
    asked = {"columns": (), "filter_text": "", "group_by": (), "aggregates": (), "row_limit": 0, "rows_most": 10**6}
    query = frame_query(rows, **asked | question)

    plain, decoded = (HistoryFrames(store, scan_bytes_most=2**32).read(query) for store in stores)

    assert_frame_equal(decoded.frame, plain.frame, rel_tol=1e-12)
    assert decoded.truncated == plain.truncated


def test_the_second_store_is_decoded(stores: tuple[ParquetStore, ParquetStore]) -> None:
    assert [len(list(store.files.root.rglob("*.decoded"))) for store in stores] == [0, 4]
