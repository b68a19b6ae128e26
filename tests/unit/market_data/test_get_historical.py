"""Questions about the past, from the spelling of a symbol to the rows of the right venue."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from builders.history import DAY, NOON_NS, a_history, a_minute, a_store, quotes, recorded
from fakes.market_data import FakeHistory

from services.market_data.adapters.stored_history import StoredHistory
from services.market_data.domain.coverage import Coverage
from services.market_data.domain.frame_query import frame_query, selection
from services.market_data.domain.history import HistoryAway, Kind
from services.market_data.domain.live_bars import LiveBars
from services.market_data.domain.registry import Registry
from services.market_data.usecases.fetch_bars import FetchBars
from services.market_data.usecases.get_historical import GetHistorical
from services.market_data.usecases.table_places import TablePlaces
from trading.clock import DAY_NS, MINUTE_NS
from trading.errors import InvalidArgument, ResourceExhausted, UnknownSymbol


class Noon:
    """A clock at five minutes past noon of the day."""

    def now_ns(self) -> int:
        return NOON_NS + 5 * MINUTE_NS

    def monotonic_ns(self) -> int:
        return 0


@pytest.fixture
def store(tmp_path: Path) -> StoredHistory:
    return a_history(tmp_path)


def asking(store: StoredHistory, source: FakeHistory, live_bars: LiveBars | None = None) -> GetHistorical:
    """The use case before venues `paper` and `other`; AAPL is streamed, and `paper` answers for it."""
    sources = {
        name: FetchBars(name, FakeHistory() if name == "other" else source, store, Noon(), settle_ns=0)
        for name in ("paper", "other")
    }
    return GetHistorical(Registry(["AAPL"]), Coverage(("paper", "other")), store, sources, live_bars or LiveBars(9))


async def closes(ask: GetHistorical, symbols: Sequence[str] = ("AAPL",), venue: str = "") -> list[float]:
    rows = selection(Kind.BARS, tuple(symbols), "1m", DAY.start_ns, DAY.end_ns, venue, now_ns=0)
    query = frame_query(
        rows, columns=("close",), filter_text="", group_by=(), aggregates=(), row_limit=0, rows_most=100
    )
    found = await ask(query)
    with pa.ipc.open_stream(pa.py_buffer(b"".join(found.parts))) as reader:
        return list(reader.read_all()["close"].to_pylist())


async def test_the_venues_bars_of_today_come_with_those_of_this_run_on_top(store: StoredHistory) -> None:
    live = LiveBars(9)
    live.add(a_minute(1, 21))
    live.add(a_minute(2, 22))

    assert await closes(asking(store, FakeHistory(a_minute(0, 10), a_minute(1, 11)), live)) == [10, 21, 22]


async def test_bars_of_another_venue_do_not_mix_in_unless_asked_for(store: StoredHistory) -> None:
    await store.record(recorded(a_minute(0, 99, venue="import"), a_minute(1, 98, venue="other")))
    ask = asking(store, FakeHistory(a_minute(0, 10)))

    assert await closes(ask) == [10]
    assert await closes(ask, venue="import") == [99]
    assert await closes(ask, venue="other") == [98]


async def test_what_is_only_stored_is_known_by_its_symbol(store: StoredHistory) -> None:
    await store.record(recorded(a_minute(0, 7, symbol="XRP", venue="import")))
    ask = asking(store, FakeHistory())

    assert await ask.symbol("xrp") == "XRP"
    assert await ask.symbol("aapl") == "AAPL"
    assert await closes(ask, ["XRP"]) == [7]


@pytest.mark.parametrize("spelling", ["NOPE", "../../etc", "AAPL/.."])
async def test_what_nobody_knows_is_unknown(store: StoredHistory, spelling: str) -> None:
    with pytest.raises(UnknownSymbol):
        await asking(store, FakeHistory()).symbol(spelling)


async def test_a_file_that_is_merged_away_meanwhile_is_looked_for_again(
    store: StoredHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.record(recorded(a_minute(0, 7)))
    failures = [FileNotFoundError(2, "gone"), FileNotFoundError(2, "gone")]
    original = type(a_store(Path())).bars

    def bars(*question: object) -> object:
        if failures:
            raise failures.pop()
        return original(*question)  # type: ignore[arg-type]

    monkeypatch.setattr("services.market_data.adapters.parquet_store.ParquetStore.bars", bars)
    found = await store.bars("paper", ["AAPL"], a_minute(0, 7).interval, 0, 2**62)  # type: ignore[arg-type]
    assert [bar.close_nanos for bar in found["AAPL"]] == [7 * 10**9]

    failures.extend(FileNotFoundError(2, "gone") for _ in range(3))
    with pytest.raises(HistoryAway):
        await store.bars("paper", ["AAPL"], a_minute(0, 7).interval, 0, 2**62)  # type: ignore[arg-type]


async def test_every_so_often_a_tidying_pass_looks_at_everything(tmp_path: Path) -> None:
    for at in range(8):
        await a_history(tmp_path).record(recorded(quotes([NOON_NS + at])))
    store = a_history(tmp_path)
    (partition,) = a_store(tmp_path).files.partitions(Kind.QUOTES)

    await store.tidy(["paper"], NOON_NS)
    assert len(a_store(tmp_path).files.parts(partition)) == 1
    await store.tidy(["paper"], NOON_NS)  # looks at what the first pass merged

    for at in range(8):
        await a_history(tmp_path).record(recorded(quotes([NOON_NS + at])))
    await store.tidy(["paper"], NOON_NS)
    assert len(a_store(tmp_path).files.parts(partition)) == 9


def test_tables_on_their_way_are_bounded() -> None:
    places = TablePlaces(1)

    with places.taken(), pytest.raises(ResourceExhausted), places.taken():
        pytest.fail("a second place was given")
    with places.taken():
        pass


@pytest.mark.parametrize(("symbols", "years", "fits"), [(1, 9, True), (1, 10, False), (9, 1, True), (10, 1, False)])
def test_a_range_with_room_for_too_many_bars_is_refused(symbols: int, years: int, fits: bool) -> None:
    names = tuple(f"S{at}" for at in range(symbols))

    def ask(interval: str) -> object:
        return selection(Kind.BARS, names, interval, NOON_NS - years * 365 * DAY_NS, NOON_NS, "", now_ns=0)

    assert ask("1d")
    if fits:
        assert ask("1m")
    else:
        with pytest.raises(InvalidArgument):
            ask("1m")
