"""What every Book must do with charges, transfers and imports beside fills, on SQLite and on Postgres."""

import random

import pytest
from builders.portfolio import a_charge, a_fill, a_transfer, an_acquisition, an_import
from contracts.book_shapes import a_day, flows_of, read_sorted

from services.portfolio.adapters.sql_book import SqlBook
from services.portfolio.domain.account import AccountBook, BookTotals
from services.portfolio.domain.entries import Acquisition, Charge, Entry, Fill, Moving, Transfer, in_order
from services.portfolio.domain.ledger import Cash, Ledger
from services.portfolio.ports import Posting
from trading.errors import IdempotencyConflict
from trading.money import ONE, divide_half_even
from trading.order import Side

COINS = "BTC-USDT"


def some_charges(count: int) -> list[Charge]:
    """Of every kind, in the account's name and of positions, in money and in coins, among the fills of `a_day`."""
    dice = random.Random(5)
    return [
        a_charge(
            number,
            kind=dice.choice(["FEE", "BORROW", "INTEREST", "FUNDING", "DIVIDEND", "TRANSFER"]),
            symbol=dice.choice(["", "AAPL", "TSLA"]),
            account=dice.choice(["main", "second"]),
            amount_nanos=dice.randrange(-(10**9), 10**9),
            quantity_nanos=dice.choice([0, 0, 10**9]),
            log_sequence=number * 5,
        )
        for number in range(1, count + 1)
    ]


async def assert_folded(book: SqlBook, entries: list[Moving]) -> None:
    """Both accounts are as if everything had come in its order."""
    ledger = Ledger()
    ordered: list[Moving] = in_order(entries)
    for entry in ordered:
        ledger.post(entry)
    for account in ("main", "second"):
        found = await read_sorted(book, account)
        own = sorted(position for key, position in ledger.positions.items() if key.account == account)
        assert found.positions == tuple(own)
        assert found.cash == {key.currency: cash for key, cash in ledger.cash.items() if key.account == account}


async def test_a_charge_moves_the_cash_and_no_position(book: SqlBook) -> None:
    assert await book.apply_charges([a_charge(1, "2"), a_charge(2, "-5", kind="INTEREST")]) == Posting(2, 0)
    assert await read_sorted(book, "main") == AccountBook(BookTotals("main"), (), {"USD": Cash(3 * ONE, 0, -3 * ONE)})
    assert await book.pending(10) == ()


async def test_a_charge_counts_once_however_often_it_is_told(book: SqlBook) -> None:
    await book.apply_charges([a_charge(1)])
    assert await book.apply_charges([a_charge(1), a_charge(2), a_charge(2)]) == Posting(1, 2)
    assert flows_of(await book.read("main")) == {"USD": -4 * ONE}


async def test_a_fee_of_a_position_is_among_its_fees_and_is_told(book: SqlBook) -> None:
    await book.apply([a_fill(1, Side.BUY, "10", "100")])
    await book.apply_charges([a_charge(1, "2", symbol="AAPL"), a_charge(2, "-3", symbol="AAPL", kind="DIVIDEND")])
    (position,) = (await book.read("main")).positions
    assert (position.fees_nanos, position.realized_nanos, position.cost_nanos) == (2 * ONE, 3 * ONE, 1_000 * ONE)
    told = [(waiting.change.event_id, waiting.change.account_sequence) for waiting in await book.pending(10)]
    assert told == [("event-1", 1), ("charge-1", 2), ("charge-2", 3)]


async def test_coins_taken_as_a_fee_cost_what_was_paid_for_them(book: SqlBook) -> None:
    await book.apply([a_fill(1, Side.BUY, "10", "100", symbol=COINS)])
    await book.apply_charges([a_charge(1, "0", symbol=COINS, quantity_nanos=ONE // 4)])
    (position,) = (await book.read("main")).positions
    assert (position.quantity_nanos, position.cost_nanos) == (9_750_000_000, 975 * ONE)
    assert (position.fees_nanos, position.avg_price_nanos) == (25 * ONE, 100 * ONE)


async def test_charges_and_fills_in_any_order_give_the_same_book(book: SqlBook) -> None:
    fills, charges, dice = a_day(60), some_charges(40), random.Random(9)
    delivered: list[Fill | Charge] = [*fills, *charges, *charges[:10]]
    dice.shuffle(delivered)
    for first in range(0, len(delivered), 7):
        batch = delivered[first : first + 7]
        await book.apply([entry for entry in batch if isinstance(entry, Fill)])
        await book.apply_charges([entry for entry in batch if isinstance(entry, Charge)])
    await assert_folded(book, [*fills, *charges])


async def test_a_charge_does_not_say_that_the_fills_before_it_are_booked(book: SqlBook) -> None:
    await book.apply([a_fill(1)])
    await book.apply_charges([a_charge(9, symbol="AAPL")])
    assert await book.newest_log_sequence() == 3


async def test_the_record_of_charges_is_scanned_apart_from_the_log(book: SqlBook) -> None:
    await book.apply([a_fill(1)], scanned_to=3)
    await book.apply_charges([a_charge(1)], scanned_to=1)
    await book.apply_charges([a_charge(1)], scanned_to=7)
    assert (await book.scanned_to(), await book.charges_scanned_to()) == (3, 7)


async def test_what_the_venue_says_was_paid_in_is_told_apart_from_what_was_earned(book: SqlBook) -> None:
    deposit = a_charge(1, "-500", kind="TRANSFER")
    await book.apply_charges([deposit, a_charge(2, "30", kind="TRANSFER"), a_charge(3, "1")])
    assert (await book.read("main")).cash == {"USD": Cash(469 * ONE, 470 * ONE, ONE)}


async def test_a_transfer_is_booked_once(book: SqlBook) -> None:
    assert await book.transfer(a_transfer(1, "500"))
    assert not await book.transfer(a_transfer(1, "500", receive_time_ns=9))
    assert await book.transfer(a_transfer(2, "-20", currency="EUR"))
    assert (await book.read("main")).cash == {"USD": Cash(500 * ONE, 500 * ONE), "EUR": Cash(-20 * ONE, -20 * ONE)}
    assert await book.pending(10) == ()


async def test_a_transfer_with_another_content_under_the_same_id_is_refused(book: SqlBook) -> None:
    await book.transfer(a_transfer(1))
    with pytest.raises(IdempotencyConflict):
        await book.transfer(a_transfer(1, fingerprint="another"))
    assert flows_of(await book.read("main")) == {"USD": 500 * ONE}


async def test_a_transfer_that_the_venue_told_under_the_same_id_is_the_same(book: SqlBook) -> None:
    await book.apply_charges([a_charge(1, "-500", kind="TRANSFER"), a_charge(2, "3")])
    assert not await book.transfer(a_transfer(1, "500", transfer_id="charge-1"))
    with pytest.raises(IdempotencyConflict):
        await book.transfer(a_transfer(1, "501", transfer_id="charge-1"))
    assert await book.transfer(a_transfer(2, "1", transfer_id="charge-2"))  # a fee is no transfer
    assert flows_of(await book.read("main")) == {"USD": 498 * ONE}


async def test_the_venue_may_tell_a_transfer_that_was_booked_by_hand(book: SqlBook) -> None:
    await book.transfer(a_transfer(1, "500", transfer_id="charge-1"))
    told = [a_charge(1, "-500", kind="TRANSFER"), a_charge(2, "3")]
    assert await book.apply_charges(told) == Posting(1, 1)
    assert await book.apply_charges(told[:1], scanned_to=7) == Posting(0, 1)
    assert await book.charges_scanned_to() == 7
    assert flows_of(await book.read("main")) == {"USD": 497 * ONE}


async def test_an_import_is_booked_once_and_whole(book: SqlBook) -> None:
    lines = (an_acquisition(1, "10", "100"), an_acquisition(2, "-5", "20", symbol="TSLA", value_nanos=-90 * ONE))
    assert await book.acquire(an_import(*lines))
    assert not await book.acquire(an_import(*lines))
    with pytest.raises(IdempotencyConflict):
        await book.acquire(an_import(*lines, fingerprint="another"))
    found = await read_sorted(book, "main")
    assert [(each.symbol, each.quantity_nanos, each.cost_nanos) for each in found.positions] == [
        ("AAPL", 10 * ONE, 1000 * ONE),
        ("TSLA", -5 * ONE, -100 * ONE),
    ]
    assert found.cash == {"USD": Cash(0, 910 * ONE)}
    assert [waiting.change.event_id for waiting in await book.pending(10)] == ["acquisition-1", "acquisition-2"]


async def test_what_an_import_cost_can_be_taken_from_the_cash(book: SqlBook) -> None:
    await book.acquire(an_import(an_acquisition(1, "10", "100", takes_cash=True, value_nanos=0)))
    assert (await book.read("main")).cash == {"USD": Cash(-1000 * ONE)}


async def test_an_import_counts_behind_what_was_booked_before_it_and_before_what_comes_after(book: SqlBook) -> None:
    await book.apply([a_fill(1, Side.BUY, "10", "100"), a_fill(4, Side.BUY, "10", "120")])
    await book.acquire(an_import(an_acquisition(1, "20", "200")))
    await book.apply([a_fill(2, Side.SELL, "5", "130"), a_fill(5, Side.SELL, "5", "300")])
    await book.apply_charges([a_charge(4, "0", symbol="AAPL", quantity_nanos=ONE)])
    (position,) = (await book.read("main")).positions
    # 5 of the first ten were sold, before the other ten and the twenty came; one unit went before the twenty.
    assert position.quantity_nanos == 29 * ONE
    assert position.realized_nanos == (5 * 130 - 500 + 1500) * ONE - sold_cost()


def sold_cost() -> int:
    """What the five that were sold last had cost."""
    cost = (500 + 1200) * ONE
    cost -= divide_half_even(cost * 1, 15)
    cost += 4000 * ONE
    return divide_half_even(cost * 5, 34)


def some_acquisitions() -> list[Acquisition]:
    return [
        an_acquisition(
            number, str(quantity), "123.456789", symbol=symbol, account=account, import_id=f"import-{number}"
        )
        for number, (quantity, symbol, account) in enumerate(
            [(700, "AAPL", "main"), (-350, "TSLA", "main"), (12, "BRK.B", "second"), (9, "AAPL", "second")], 1
        )
    ]


@pytest.mark.parametrize("seed", range(3))
async def test_everything_in_any_order_and_twice_gives_the_fold_of_everything(book: SqlBook, seed: int) -> None:
    """Fills and charges come in disorder; an import stays where it was when it was booked first."""
    fills, charges, dice = a_day(50, seed), some_charges(30), random.Random(seed)
    told: list[Fill | Charge] = [*fills, *charges, *dice.sample(fills, 20), *dice.sample(charges, 10)]
    dice.shuffle(told)
    placed: list[Moving] = []
    imports, transfers = some_acquisitions() * 2, [a_transfer(number % 3, str(number % 3 + 1)) for number in range(6)]
    for first in range(0, len(told), 7):
        batch = told[first : first + 7]
        await book.apply([entry for entry in batch if isinstance(entry, Fill)])
        await book.apply_charges([entry for entry in batch if isinstance(entry, Charge)])
        if imports and first % 2:
            await _acquire(book, imports.pop(), placed)
        if transfers:
            await book.transfer(transfers.pop())
    entries: list[Entry] = [*fills, *charges, *placed, *(a_transfer(number, str(number + 1)) for number in range(3))]
    await assert_everything(book, entries)


async def _acquire(book: SqlBook, line: Acquisition, placed: list[Moving]) -> None:
    """Book it, and remember which place it was given."""
    totals = (await book.read(line.account)).totals
    if await book.acquire(an_import(line)):
        placed.append(line._replace(sequence=totals.version << 20, log_sequence=totals.log_sequence))


async def assert_everything(book: SqlBook, entries: list[Entry]) -> None:
    ledger = Ledger()
    moving: list[Moving] = in_order([entry for entry in entries if not isinstance(entry, Transfer)])
    for entry in [*moving, *(entry for entry in entries if isinstance(entry, Transfer))]:
        ledger.post(entry)
    for account in ("main", "second"):
        found = await read_sorted(book, account)
        assert found.positions == tuple(sorted(each for each in ledger.positions.values() if each.account == account))
        assert found.cash == {key.currency: cash for key, cash in ledger.cash.items() if key.account == account}
