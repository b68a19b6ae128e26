"""Writing down what is published: bounded, in large pieces, and never in the way."""

import asyncio
from pathlib import Path

from builders.history import DAY, NOON_NS, a_history, a_minute, a_store, quotes, quotes_of_day, trades
from fakes.market_data import FakePublisher, eventually

from fleet.metrics import Metrics
from services.market_data.adapters.metered_history import MeteredHistory
from services.market_data.adapters.recording_publisher import RecordingPublisher
from services.market_data.domain.feed import FeedState, VenueStatus
from services.market_data.domain.gaps import Gap
from services.market_data.domain.history import Kind
from services.market_data.domain.history_buffer import HistoryBuffer
from services.market_data.usecases.record_history import RecordHistory, TidyHistory
from trading.clock import DAY_NS, SystemClock


def lost(metrics: Metrics, reason: str) -> float | None:
    """Rows that were lost for a reason, as Prometheus is told."""
    return metrics.registry.get_sample_value("nt_history_rows_lost_total", {"reason": reason})


async def test_the_loop_writes_when_there_is_enough(tmp_path: Path) -> None:
    buffer = HistoryBuffer(1000)
    record = RecordHistory(buffer, a_history(tmp_path), MeteredHistory(Metrics()), flush_rows=3, flush_s=0.05)
    loop = asyncio.create_task(record())
    buffer.quotes(quotes([NOON_NS, NOON_NS + 1, NOON_NS + 2]))

    await eventually(lambda: bool(a_store(tmp_path).files.parts(quotes_of_day())))

    loop.cancel()
    assert (buffer.rows, a_store(tmp_path).rows(quotes_of_day())) == (0, 3)


async def test_a_full_buffer_loses_the_oldest_and_counts_it(tmp_path: Path) -> None:
    buffer = HistoryBuffer(4)
    for at in range(3):
        buffer.quotes(quotes([NOON_NS + at * 2, NOON_NS + at * 2 + 1]))
    buffer.bar(a_minute(0, 10))
    buffer.bar(a_minute(0, 10)._replace(interval="tick-100"))

    assert (buffer.rows, buffer.dropped) == (3, 4)
    metrics = Metrics()
    record = RecordHistory(buffer, a_history(tmp_path), MeteredHistory(metrics), flush_rows=9, flush_s=9)
    assert await record.flush() == 3
    assert lost(metrics, "buffer") == 4
    assert metrics.registry.get_sample_value("nt_history_rows_total") == 3
    assert a_store(tmp_path).frame(quotes_of_day())["event_time_ns"].to_list() == [NOON_NS + 4, NOON_NS + 5]


async def test_a_disk_that_does_not_take_it_costs_the_rows_and_not_the_service(tmp_path: Path) -> None:
    (tmp_path / "history").write_text("no folder")
    buffer = HistoryBuffer(10)
    buffer.trades(trades([NOON_NS]))
    store = a_history(tmp_path / "history")

    metrics = Metrics()
    assert await RecordHistory(buffer, store, MeteredHistory(metrics), flush_rows=1, flush_s=1).flush() == 0
    assert lost(metrics, "disk") == 1
    await TidyHistory(store, ["paper"], SystemClock(), every_s=1).once()
    assert buffer.rows == 0


async def test_an_empty_buffer_writes_nothing(tmp_path: Path) -> None:
    assert (
        await RecordHistory(
            HistoryBuffer(1), a_history(tmp_path), MeteredHistory(Metrics()), flush_rows=1, flush_s=1
        ).flush()
        == 0
    )
    assert a_store(tmp_path).files.partitions(Kind.QUOTES) == []


async def test_tidying_merges_small_files_and_drops_old_ones(tmp_path: Path) -> None:
    store, now_ns = a_history(tmp_path, tick_days=30), NOON_NS
    for at in range(8):
        buffer = HistoryBuffer(10)
        buffer.quotes(quotes([NOON_NS + at]))
        buffer.quotes(quotes([NOON_NS - 31 * DAY_NS - DAY_NS]))
        await RecordHistory(buffer, store, MeteredHistory(Metrics()), flush_rows=1, flush_s=1).flush()

    class Noon(SystemClock):
        def now_ns(self) -> int:
            return now_ns

    await TidyHistory(store, ["paper"], Noon(), every_s=1).once()

    (left,) = a_store(tmp_path).files.partitions(Kind.QUOTES)
    assert (left.period, len(a_store(tmp_path).files.parts(left))) == (DAY, 1)


async def test_what_is_published_is_recorded_also_when_nats_is_away() -> None:
    publisher, buffer = FakePublisher(), HistoryBuffer(100)
    recording = RecordingPublisher(publisher, buffer)
    await recording.quotes(quotes([NOON_NS]), 0)
    await recording.trades(trades([NOON_NS]), 0)
    await recording.bar(a_minute(0, 10))
    await recording.gap(Gap("paper", "AAPL", 1, 2, "lost"))
    await recording.status(VenueStatus("paper", FeedState.UP, "", 1))

    kept = buffer.take()
    assert (len(kept.quotes), len(kept.trades), len(kept.bars)) == (1, 1, 1)
    assert (len(publisher.quote_blocks), len(publisher.trade_blocks), len(publisher.bars)) == (1, 1, 1)
    assert (len(publisher.gaps), len(publisher.statuses)) == (1, 1)
