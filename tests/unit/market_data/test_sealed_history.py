"""Days that have ended become one file each, and the newest are decoded as far as there is room."""

from pathlib import Path

import pytest
from builders.history import DAY, NOON_NS, a_day_of_quotes, a_history, a_sealed_store, quotes, quotes_of_day, recorded

from services.market_data.adapters.decoded_files import decoded_bytes
from services.market_data.domain.history import Kind, Partition
from trading.clock import DAY_NS, MINUTE_NS

ROWS = 20_000
LATER_NS = DAY.end_ns + 3 * DAY_NS


def decoded_days(store_folder: Path) -> list[str]:
    return sorted(path.parent.name.removeprefix("date=") for path in store_folder.rglob("*.decoded"))


def test_an_ended_day_becomes_one_decoded_file(tmp_path: Path) -> None:
    store, sealed = a_sealed_store(tmp_path)
    for first in (0, ROWS, 2 * ROWS):
        store.record(recorded(a_day_of_quotes(ROWS, first=first)))

    assert sealed.plan(LATER_NS) == 1
    assert sealed.go_on(2**30) == 1

    (part,) = store.files.parts(quotes_of_day())
    assert decoded_bytes(part) > 0
    assert store.rows(quotes_of_day()) == 3 * ROWS
    assert sealed.plan(LATER_NS) == 0


@pytest.mark.parametrize(("now_ns", "count"), [(DAY.end_ns, 0), (DAY.end_ns + 15 * MINUTE_NS, 1)])
def test_a_day_is_left_alone_until_late_ticks_have_come(tmp_path: Path, now_ns: int, count: int) -> None:
    store, sealed = a_sealed_store(tmp_path)
    store.record(recorded(a_day_of_quotes(ROWS)))

    assert sealed.plan(now_ns) == count


def test_ticks_that_come_later_still_are_joined_in_again(tmp_path: Path) -> None:
    store, sealed = a_sealed_store(tmp_path)
    store.record(recorded(a_day_of_quotes(ROWS)))
    sealed.plan(LATER_NS)
    sealed.go_on(2**30)

    store.record(recorded(quotes([NOON_NS])))

    assert sealed.plan(LATER_NS) == 1
    sealed.go_on(2**30)
    (part,) = store.files.parts(quotes_of_day())
    assert decoded_bytes(part) > 0
    assert store.rows(quotes_of_day()) == ROWS + 1


def test_the_newest_days_are_decoded_where_there_is_no_room_for_all(tmp_path: Path) -> None:
    store, sealed = a_sealed_store(tmp_path, decoded_bytes=2 * 49 * ROWS + 4096)
    for day in range(2):
        store.record(recorded(a_day_of_quotes(ROWS, day=day)))
    sealed.plan(LATER_NS)
    sealed.go_on(2**30)
    assert decoded_days(tmp_path) == ["2026-03-02", "2026-03-03"]

    store.record(recorded(a_day_of_quotes(ROWS, day=2)))
    sealed.plan(LATER_NS)
    sealed.go_on(2**30)

    assert decoded_days(tmp_path) == ["2026-03-03", "2026-03-04"]


def test_none_are_decoded_where_no_room_is_given(tmp_path: Path) -> None:
    store, sealed = a_sealed_store(tmp_path, decoded_bytes=0)
    for first in (0, ROWS):
        store.record(recorded(a_day_of_quotes(ROWS, first=first)))

    sealed.plan(LATER_NS)
    sealed.go_on(2**30)

    assert decoded_days(tmp_path) == []
    assert len(store.files.parts(quotes_of_day())) == 1


def test_a_day_with_too_many_rows_to_join_is_decoded_file_by_file(tmp_path: Path) -> None:
    store, sealed = a_sealed_store(tmp_path, joined_rows=ROWS)
    for first in (0, ROWS):
        store.record(recorded(a_day_of_quotes(ROWS, first=first)))

    sealed.plan(LATER_NS)
    sealed.go_on(2**30)

    assert all(map(decoded_bytes, store.files.parts(quotes_of_day())))
    assert len(store.files.parts(quotes_of_day())) == 2


def test_a_pass_does_about_so_much_and_the_next_goes_on(tmp_path: Path) -> None:
    store, sealed = a_sealed_store(tmp_path)
    for day in range(3):
        store.record(recorded(a_day_of_quotes(ROWS, day=day)))
    sealed.plan(LATER_NS)

    assert [sealed.go_on(1) for _ in range(4)] == [1, 1, 1, 0]
    assert len(decoded_days(tmp_path)) == 3


def test_a_small_day_has_no_decoded_file(tmp_path: Path) -> None:
    store, sealed = a_sealed_store(tmp_path)
    store.record(recorded(quotes([NOON_NS])))

    assert sealed.plan(LATER_NS) == 0


async def test_tidying_seals(tmp_path: Path) -> None:
    history = a_history(tmp_path)
    await history.record(recorded(a_day_of_quotes(ROWS)))

    await history.tidy(["paper"], LATER_NS)

    assert decoded_days(tmp_path) == [DAY.name]
    assert Partition(Kind.QUOTES, "paper", "AAPL", DAY) == quotes_of_day()
