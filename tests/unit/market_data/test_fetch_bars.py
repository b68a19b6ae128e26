"""Bars through the history: fetched once, kept, and never less true than the venue's own."""

from pathlib import Path

import pytest
from builders.history import DAY, NOON_NS, a_history, a_minute, a_store, recorded
from fakes.market_data import FakeHistory

from services.market_data.adapters.stored_history import StoredHistory
from services.market_data.domain.history import Kind
from services.market_data.usecases.fetch_bars import FetchBars
from trading.clock import DAY_NS, MINUTE_NS
from trading.errors import Unavailable
from trading.instruments import equity
from trading.market import Bar, Interval

AAPL, MSFT = equity("AAPL"), equity("MSFT")
LATER_NS = DAY.end_ns + 3600 * 10**9


class Now:
    """A clock that is told the time."""

    def __init__(self, now_ns: int) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        return self._now_ns

    def monotonic_ns(self) -> int:
        return self._now_ns


@pytest.fixture
def store(tmp_path: Path) -> StoredHistory:
    return a_history(tmp_path / "history")


def fetching(store: StoredHistory, source: FakeHistory, now_ns: int = LATER_NS) -> FetchBars:
    return FetchBars("paper", source, store, Now(now_ns), settle_ns=900 * 10**9)


async def closes(fetch: FetchBars, *, start_ns: int = NOON_NS, minutes: int = 60, limit: int = 1000) -> list[float]:
    found = await fetch.bars([AAPL], Interval.ONE_MINUTE, start_ns, start_ns + minutes * MINUTE_NS, limit)
    return [bar.close_nanos / 1e9 for bar in found.get("AAPL", [])]


async def test_a_settled_day_is_asked_of_the_venue_once(store: StoredHistory) -> None:
    source = FakeHistory(a_minute(0, 10), a_minute(1, 11))
    fetch = fetching(store, source)

    assert [await closes(fetch) for _ in range(3)] == [[10, 11]] * 3
    assert len(source.questions) == 1
    assert await closes(fetching(store, FakeHistory())) == [10, 11]


async def test_a_day_that_has_just_ended_is_asked_again(store: StoredHistory) -> None:
    source = FakeHistory(a_minute(0, 10))
    fetch = fetching(store, source, now_ns=DAY.end_ns + 1)

    assert [await closes(fetch), await closes(fetch)] == [[10], [10]]
    assert len(source.questions) == 2


async def test_the_venues_bars_of_today_lie_over_those_that_were_recorded(store: StoredHistory) -> None:
    await store.record(recorded(a_minute(0, 9), a_minute(1, 11)))
    fetch = fetching(store, FakeHistory(a_minute(0, 10)), now_ns=NOON_NS + 5 * MINUTE_NS)

    assert await closes(fetch) == [10, 11]


async def test_a_limit_gives_the_oldest(store: StoredHistory) -> None:
    source = FakeHistory(*(a_minute(at, at + 1) for at in range(9)))

    assert await closes(fetching(store, source), limit=4) == [1, 2, 3, 4]


async def test_a_range_over_many_days_comes_in_one_piece(store: StoredHistory) -> None:
    bars = [a_minute(day * 1440, day + 1) for day in range(40)]
    fetch = fetching(store, FakeHistory(*bars), now_ns=NOON_NS + 60 * DAY_NS)

    assert await closes(fetch, minutes=40 * 1440) == list(range(1, 41))
    assert await closes(fetch, minutes=40 * 1440) == list(range(1, 41))


async def test_years_without_a_bar_cost_a_few_questions_and_no_files(tmp_path: Path, store: StoredHistory) -> None:
    source = FakeHistory(a_minute(0, 10))
    start_ns = NOON_NS - 20 * 365 * DAY_NS

    assert await closes(fetching(store, source), start_ns=start_ns, minutes=20 * 365 * 1440 + 60) == [10]
    assert len(source.questions) < 40
    assert len(a_store(tmp_path / "history").files.partitions(Kind.BARS)) < 500


async def test_only_what_lacks_is_asked_for(store: StoredHistory) -> None:
    source = FakeHistory(a_minute(0, 10), a_minute(0, 20, symbol="MSFT"))
    fetch = fetching(store, source)
    await closes(fetch)

    found = await fetch.bars([MSFT, AAPL], Interval.ONE_MINUTE, NOON_NS, NOON_NS + MINUTE_NS, 10)

    assert {symbol: [bar.close_nanos for bar in bars] for symbol, bars in found.items()} == {
        "MSFT": [20 * 10**9],
        "AAPL": [10 * 10**9],
    }
    assert source.questions == [("AAPL",), ("MSFT",)]


async def test_a_venue_that_cannot_answer_is_an_error_and_nothing_is_kept(store: StoredHistory) -> None:
    class Away(FakeHistory):
        async def bars(self, *question: object) -> dict[str, list[Bar]]:  # type: ignore[override]
            raise Unavailable("The venue is away.")

    with pytest.raises(Unavailable):
        await closes(fetching(store, Away()))

    assert await closes(fetching(store, FakeHistory(a_minute(0, 10)))) == [10]


async def test_without_a_disk_the_venue_answers(tmp_path: Path) -> None:
    blocked = tmp_path / "history"
    a_store(blocked).files.root.write_text("no folder")
    source = FakeHistory(*(a_minute(at, at + 1) for at in range(5)))

    assert await closes(fetching(a_history(blocked), source), limit=3) == [1, 2, 3]


async def test_keeping_gives_only_what_the_store_may_not_keep_yet(store: StoredHistory) -> None:
    source = FakeHistory(a_minute(-1440, 5), a_minute(0, 10))
    fetch = fetching(store, source, now_ns=NOON_NS + 5 * MINUTE_NS)

    fresh = await fetch.keep([AAPL], Interval.ONE_MINUTE, NOON_NS - DAY_NS, NOON_NS + MINUTE_NS)

    assert [bar.close_nanos for bar in fresh] == [10 * 10**9]
    stored = await store.bars("paper", ["AAPL"], Interval.ONE_MINUTE, 0, 2**62)
    assert [bar.close_nanos for bar in stored["AAPL"]] == [5 * 10**9]
