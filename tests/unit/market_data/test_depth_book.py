"""A book kept here is the venue's, or says that it is not."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from services.market_data.domain.depth_book import DepthBook, DepthChange


def change(first: int, last: int, *bids: tuple[int, int], asks: Sequence[tuple[int, int]] = ()) -> DepthChange:
    return DepthChange(first, last, bids, tuple(asks))


def whole(number: int = 10) -> DepthBook:
    book = DepthBook()
    assert book.load(number, [(99, 5), (98, 7)], [(101, 4), (102, 6)])
    return book


def test_a_book_without_a_snapshot_is_not_whole() -> None:
    book = DepthBook()

    assert not book.change(change(5, 6, (99, 1)))
    assert not book.is_whole


def test_changes_set_sizes_and_zero_removes_a_level() -> None:
    book = whole()

    assert book.change(change(11, 12, (99, 0), (97, 3), asks=[(100, 9)]))
    assert book.levels(9) == ([(98, 7), (97, 3)], [(100, 9), (101, 4), (102, 6)])
    assert book.best == ((98, 7), (100, 9))


def test_a_change_that_the_snapshot_has_already_is_passed_over() -> None:
    book = whole(10)

    assert book.change(change(9, 10, (99, 1)))
    assert book.best[0] == (99, 5)


def test_a_change_that_reaches_over_the_snapshot_is_applied() -> None:
    book = whole(10)

    assert book.change(change(9, 12, (99, 1)))
    assert book.best[0] == (99, 1)


def test_a_hole_makes_the_book_wait_for_a_new_snapshot_with_the_changes_since() -> None:
    book = whole(10)

    assert not book.change(change(13, 14, (99, 2)))
    assert not book.change(change(15, 16, (96, 1)))
    assert book.load(14, [(99, 2)], [(101, 4)])
    assert book.levels(9) == ([(99, 2), (96, 1)], [(101, 4)])


def test_a_snapshot_older_than_the_first_change_is_refused() -> None:
    book = DepthBook()
    book.change(change(20, 21, (99, 1)))

    assert not book.load(15, [], [])
    assert not book.is_whole
    assert book.load(19, [], [])
    assert book.best == ((99, 1), (0, 0))


def test_a_hole_among_the_waiting_changes_is_found_too() -> None:
    book = DepthBook()
    book.change(change(11, 12))
    book.change(change(20, 21))

    assert not book.load(10, [], [])
    assert not book.is_whole


def test_waiting_changes_are_bounded() -> None:
    book = DepthBook(changes_most=2)
    for number in range(1, 5):
        book.change(change(number, number))

    assert not book.load(1, [], [])
    assert book.load(2, [], [])


@given(
    steps=st.lists(
        st.lists(st.tuples(st.integers(1, 6), st.integers(0, 3)), min_size=1, max_size=3), min_size=1, max_size=30
    ),
    lost=st.sets(st.integers(0, 29)),
    begins=st.integers(0, 29),
)
def test_whatever_is_lost_a_whole_book_is_the_venue_s(
    steps: list[list[tuple[int, int]]], lost: set[int], begins: int
) -> None:
    theirs: dict[int, int] = {}
    book = DepthBook()
    for number, levels in enumerate(steps):
        theirs.update(levels)
        theirs = {price: size for price, size in theirs.items() if size}
        if number not in lost:
            book.change(DepthChange(number, number, tuple(levels), ()))
        if not book.is_whole and number >= begins:
            book.load(number, list(theirs.items()), [])
        if book.is_whole and number not in lost:
            assert dict(book.levels(9)[0]) == theirs
