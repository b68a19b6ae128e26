"""What every Book, Outbox and Accounts must do with fills, on SQLite and on Postgres."""

import asyncio
import random
from pathlib import Path

import pytest
from builders.portfolio import a_fill, a_transfer, some_terms
from contracts.book_shapes import a_day, assert_agrees, expected_of, read_sorted
from sqlalchemy import text

from fleet.database import Database, open_database
from services.portfolio.adapters.sql_accounts import SqlAccounts
from services.portfolio.adapters.sql_book import SqlBook, open_book
from services.portfolio.domain.account import AccountBook, BookTotals, DayOpening
from services.portfolio.domain.posting import TOLD_EACH
from services.portfolio.ports import Posting
from trading.errors import Unavailable
from trading.money import MAX_NANOS, ONE
from trading.order import Side


@pytest.fixture
def accounts(portfolio_database: Database) -> SqlAccounts:
    return SqlAccounts(portfolio_database)


async def test_an_account_without_a_fill_is_empty(book: SqlBook) -> None:
    assert await book.read("main") == AccountBook(BookTotals("main"), (), {})
    assert await book.accounts() == ()
    assert await book.newest_log_sequence() == 0


async def test_a_book_is_the_fold_of_its_fills(book: SqlBook) -> None:
    fills = a_day(60)
    assert await book.apply(fills) == Posting(60, 0)
    await assert_agrees(book, fills)
    assert await book.accounts() == ("main", "second")
    assert await book.newest_log_sequence() == 180


async def test_a_fill_that_was_booked_counts_no_second_time(book: SqlBook) -> None:
    fills = a_day(20)
    await book.apply(fills)
    assert await book.apply(fills[5:15]) == Posting(0, 10)
    assert await book.apply([*fills[10:], a_fill(21)]) == Posting(1, 10)
    await assert_agrees(book, [*fills, a_fill(21)])


async def test_a_fill_twice_in_one_batch_counts_once(book: SqlBook) -> None:
    assert await book.apply([a_fill(1), a_fill(1)]) == Posting(1, 1)
    await assert_agrees(book, [a_fill(1)])


@pytest.mark.parametrize("seed", range(3))
async def test_any_delivery_of_the_same_fills_gives_the_same_book(book: SqlBook, seed: int) -> None:
    fills, dice = a_day(80, seed), random.Random(seed)
    delivered = fills + dice.sample(fills, 30)
    dice.shuffle(delivered)
    while delivered:
        size = dice.randrange(1, 12)
        await book.apply(delivered[:size])
        delivered = delivered[size:]
    await assert_agrees(book, fills)


async def test_a_late_fill_is_folded_in_its_place(book: SqlBook) -> None:
    fills = [a_fill(1, Side.BUY, "10", "100"), a_fill(2, Side.BUY, "10", "200"), a_fill(3, Side.SELL, "10", "180")]
    await book.apply([fills[0], fills[2]])
    await book.apply([fills[1]])
    (position,) = (await book.read("main")).positions
    assert position.realized_nanos == 300 * ONE
    await assert_agrees(book, fills)


async def test_writers_side_by_side_count_every_fill_once(book: SqlBook) -> None:
    fills = a_day(60)
    await asyncio.gather(*(book.apply(fills[start : start + 30]) for start in (0, 10, 20, 30)))
    await assert_agrees(book, fills)


async def test_sums_beyond_sixty_four_bits_stay_exact(book: SqlBook) -> None:
    fills = [a_fill(n, quantity_nanos=MAX_NANOS, price_nanos=MAX_NANOS) for n in range(1, 4)]
    await book.apply(fills)
    await assert_agrees(book, fills)


async def test_every_booked_fill_leaves_one_change_in_order_with_the_state_after_it(book: SqlBook) -> None:
    fills = [a_fill(1, Side.BUY, "10", "100", fee="1"), a_fill(2, Side.SELL, "4", "110")]
    await book.apply(fills)
    first, second = [waiting.change for waiting in await book.pending(10)]
    assert (first.event_id, first.account_sequence, first.flow_nanos) == ("event-1", 1, -1001 * ONE)
    assert (second.account_sequence, second.position.quantity_nanos) == (2, 6 * ONE)
    assert second.position.realized_nanos == 40 * ONE


async def test_a_duplicate_leaves_no_change(book: SqlBook) -> None:
    await book.apply([a_fill(1)])
    await book.apply([a_fill(1)])
    assert len(await book.pending(10)) == 1


async def test_forgotten_changes_do_not_come_back(book: SqlBook) -> None:
    await book.apply([a_fill(1), a_fill(2), a_fill(3)])
    first = await book.pending(2)
    assert len(first) == 2
    await book.forget([waiting.place for waiting in first])
    assert [waiting.change.event_id for waiting in await book.pending(10)] == ["event-3"]


async def test_the_scan_moves_with_the_fills_and_never_back(book: SqlBook) -> None:
    assert await book.scanned_to() == 0
    await book.apply([a_fill(1)], scanned_to=3)
    await book.apply([a_fill(1)], scanned_to=2)
    assert await book.scanned_to() == 3
    await book.apply([], scanned_to=9)
    assert await book.scanned_to() == 9


async def test_a_database_that_was_closed_and_opened_again_remembers(database_url: str, tmp_path: Path) -> None:
    fills = a_day(30)
    words = {"service": "portfolio", "data_dir": tmp_path, "migrations": "services.portfolio.migrations"}
    for delivered, booked in ((fills[:20], fills[:20]), (fills[10:], fills)):
        async with open_database(database_url, **words) as opened, open_book(opened) as book:  # type: ignore[arg-type]
            await book.apply(delivered)
            await assert_agrees(book, booked)


async def test_the_newest_word_on_an_account_replaces_the_older(accounts: SqlAccounts) -> None:
    assert await accounts.recall() == ()
    await accounts.remember([])
    await accounts.remember([some_terms("two"), some_terms("main")])
    await accounts.remember([some_terms("main", trading_state="HALTED", buying_power_nanos=10**20)])
    newest = some_terms("main", trading_state="HALTED", buying_power_nanos=10**20)
    assert await accounts.recall() == (newest, some_terms("two"))


async def test_the_first_word_on_a_day_stands(accounts: SqlAccounts) -> None:
    assert not await accounts.has_days("main")
    await accounts.open_day("main", 20_000, DayOpening(5 * ONE, {"USD": 10**20, "EUR": -1}))
    await accounts.open_day("main", 20_000, DayOpening(7 * ONE, {}))
    assert await accounts.day_opening("main", 20_000) == DayOpening(5 * ONE, {"USD": 10**20, "EUR": -1})
    assert await accounts.day_opening("main", 20_001) is None
    assert await accounts.has_days("main")


async def test_a_large_batch_tells_each_position_once(book: SqlBook) -> None:
    fills = a_day(TOLD_EACH + 1)
    await book.apply(fills)
    assert [found for found in await book.pending(500) if found.change.account_sequence > 3] == []
    for account in ("main", "second"):
        found, wanted = await read_sorted(book, account), expected_of(fills, account)
        assert (found.positions, found.cash) == (wanted.positions, wanted.cash)
        assert found.totals.fill_count == wanted.totals.fill_count
    assert {found.change.position for found in await book.pending(500)} == {
        position for account in ("main", "second") for position in (await book.read(account)).positions
    }


async def test_a_batch_that_postgres_takes_by_copy_is_booked_once(book: SqlBook) -> None:
    fills = a_day(2_500)
    await book.apply(fills[:600])
    assert await book.apply(fills) == Posting(1_900, 600)
    assert await book.apply(fills) == Posting(0, 2_500)
    for account in ("main", "second"):
        found, wanted = await read_sorted(book, account), expected_of(fills, account)
        assert (found.positions, found.cash) == (wanted.positions, wanted.cash)


async def test_two_books_over_one_database_see_what_the_other_wrote(portfolio_database: Database) -> None:
    fills = a_day(40)
    async with open_book(portfolio_database) as one, open_book(portfolio_database) as other:
        for first in range(0, 40, 10):
            await one.apply(fills[first : first + 5])
            await other.apply(fills[first + 5 : first + 10])
        await assert_agrees(one, fills)
        await asyncio.gather(one.apply([a_fill(41)]), other.apply([a_fill(41)]), one.transfer(a_transfer(1)))
        assert (await other.read("main")).totals.fill_count == expected_of(fills, "main").totals.fill_count + 1


async def test_a_lost_connection_is_unavailable_by_name_and_the_next_one_books(
    postgres_url: str, tmp_path: Path
) -> None:
    words = {"service": "portfolio", "data_dir": tmp_path, "migrations": "services.portfolio.migrations"}
    async with open_database(postgres_url, **words) as opened, open_book(opened) as book:  # type: ignore[arg-type]
        await book.apply([a_fill(1)])
        async with open_database(postgres_url, **words) as other, other.begin() as connection:  # type: ignore[arg-type]
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            await connection.execute(text(f"{others} AND pid <> pg_backend_pid()"))
        with pytest.raises(Unavailable):
            await book.apply([a_fill(2)])
        await book.apply([a_fill(2)])
        await assert_agrees(book, [a_fill(1), a_fill(2)])
