"""A recording is whole or not there; it says everything that was heard, and what was missed."""

from pathlib import Path

import polars as pl
import pytest
from builders.market import NOON_NS, a_bar, a_quote_block, a_trade_block

from services.market_data.adapters.recording_file import ROWS_PER_GROUP, RecordingFile
from services.market_data.domain.feed import FeedState, VenueStatus
from services.market_data.domain.gaps import Gap
from trading.money import ONE


async def test_every_tick_is_a_row_with_both_times_and_its_id(tmp_path: Path) -> None:
    async with RecordingFile(tmp_path / "day.parquet") as recording:
        await recording.quotes(a_quote_block((1.25, 1.5), received_ns=[NOON_NS + 7]), 40)
        await recording.trades(a_trade_block((10.01, 3), (10.02, 4), symbol="BTC-USDT"), 0)
        await recording.bar(a_bar())
        await recording.status(VenueStatus("paper", FeedState.UP, "", 0))

    frame = pl.read_parquet(tmp_path / "day.parquet")
    quote, first, second = frame.rows(named=True)
    assert {name: value for name, value in quote.items() if value is not None} == {
        "kind": "quote", "venue": "paper", "symbol": "AAPL", "sequence": 40, "event_time_ns": NOON_NS,
        "receive_time_ns": NOON_NS + 7, "bid": 1.25, "bid_size": 100.0, "ask": 1.5, "ask_size": 100.0,
    }  # fmt: skip
    assert {name: value for name, value in second.items() if value is not None} == {
        "kind": "trade", "venue": "paper", "symbol": "BTC-USDT", "sequence": 1, "event_time_ns": NOON_NS + ONE,
        "receive_time_ns": NOON_NS + ONE, "price": 10.02, "size": 4.0, "trade_id": "1",
    }  # fmt: skip
    assert first["trade_id"] == "0"
    assert (recording.counts.quotes, recording.counts.trades) == (1, 2)


async def test_the_table_of_gaps_lies_beside_it_also_when_it_is_empty(tmp_path: Path) -> None:
    for name, gaps in (("none", []), ("one", [Gap("paper", "AAPL", 1, 2, "quotes missed: reset")])):
        async with RecordingFile(tmp_path / f"{name}.parquet") as recording:
            for gap in gaps:
                await recording.gap(gap)

    assert pl.read_parquet(tmp_path / "none.gaps.parquet").is_empty()
    assert pl.read_parquet(tmp_path / "one.gaps.parquet").row(0) == ("paper", "AAPL", 1, 2, "quotes missed: reset")


async def test_nothing_is_there_before_the_end_and_nothing_after_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "day.parquet"
    path.write_text("the recording of yesterday")

    with pytest.raises(RuntimeError):
        await _record_until_a_defect(path)

    assert [found.name for found in tmp_path.iterdir()] == ["day.parquet"]  # noqa: ASYNC240
    assert path.read_text() == "the recording of yesterday"


async def _record_until_a_defect(path: Path) -> None:
    async with RecordingFile(path) as recording:
        await recording.quotes(a_quote_block((1, 2)), 0)
        assert path.read_text() == "the recording of yesterday"  # noqa: ASYNC240
        raise RuntimeError("a defect")


async def test_a_long_recording_is_written_group_by_group_and_keeps_its_order(tmp_path: Path) -> None:
    async with RecordingFile(tmp_path / "day.parquet") as recording:
        size, written = 4096, 0
        while written < 2 * ROWS_PER_GROUP + size:
            symbol = "AAPL" if written // size % 2 else "MSFT"
            await recording.trades(a_trade_block(*[(1, 1)] * size, symbol=symbol), written)
            written += size

    frame = pl.read_parquet(tmp_path / "day.parquet")
    assert frame["sequence"].to_list() == list(range(written))
