"""The proof of the book: in disorder, twice, with a restart, it equals an independent recomputation to the nano."""

import random
from collections import defaultdict
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from pathlib import Path

import pytest
from builders.portfolio import a_charge, a_transfer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.database import open_database
from services.portfolio.adapters.sql_book import SqlBook, open_book
from services.portfolio.domain.entries import Charge, Fill, Transfer
from trading.order import Side

NANO = Decimal("1e-9")
ACCOUNTS, SYMBOLS, CURRENCIES = ("main", "second"), tuple(f"S{number}" for number in range(40)), ("USD", "EUR", "BTC")


def some_fills(count: int, seed: int) -> list[Fill]:
    dice = random.Random(seed)
    return [
        Fill(
            f"{dice.getrandbits(128):032x}",
            dice.choice(ACCOUNTS),
            dice.choice(SYMBOLS),
            dice.choice(CURRENCIES),
            dice.choice((Side.BUY, Side.SELL)),
            dice.randrange(0, 10**13),
            dice.randrange(1, 10**13),
            dice.randrange(-(10**6), 10**9),
            f"o{number}",
            f"x{number}",
            number,
            number,
        )
        for number in range(1, count + 1)
    ]


class Recomputation:
    """The same book by Decimal and another way of thinking: each trade closes what it can, then opens."""

    def __init__(self) -> None:
        self.positions: dict[tuple[str, str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 4)
        self.cash: dict[tuple[str, str], Decimal] = defaultdict(Decimal)

    def trade(self, fills: Iterable[Fill]) -> None:
        for fill in fills:
            price, size, fee = (Decimal(n).scaleb(-9) for n in (fill.price_nanos, fill.quantity_nanos, fill.fee_nanos))
            trade = size if fill.side is Side.BUY else -size
            value = (price * size).quantize(NANO, ROUND_HALF_EVEN).copy_sign(trade)
            held, cost, realised, fees = self.positions[fill.account, fill.symbol, fill.currency]
            if held * trade < 0:
                closing = min(size, abs(held))
                part = (price * closing).quantize(NANO, ROUND_HALF_EVEN).copy_sign(trade) if closing < size else value
                gone = (cost * closing / abs(held)).quantize(NANO, ROUND_HALF_EVEN)
                realised, cost = realised - part - gone, cost + value - part - gone
            else:
                cost += value
            self.positions[fill.account, fill.symbol, fill.currency] = [held + trade, cost, realised, fees + fee]
            self.cash[fill.account, fill.currency] -= value + fee

    def pay(self, entries: Iterable[Charge | Transfer]) -> None:
        """Charges in the account's name, and transfers."""
        for entry in entries:
            sign = 1 if isinstance(entry, Transfer) else -1
            self.cash[entry.account, entry.currency] += sign * Decimal(entry.amount_nanos).scaleb(-9)


async def assert_equal(book: SqlBook, expected: Recomputation) -> None:
    found = [await book.read(account) for account in ACCOUNTS]
    positions = {
        each.key: [each.quantity_nanos, each.cost_nanos, each.realized_nanos, each.fees_nanos]
        for own in found
        for each in own.positions
    }
    cash = {(own.totals.account, name): moved.flow_nanos for own in found for name, moved in own.cash.items()}
    assert positions == {key: [int(value.scaleb(9)) for value in row] for key, row in expected.positions.items()}
    assert cash == {key: int(value.scaleb(9)) for key, value in expected.cash.items()}


async def live_twice(database_url: str, folder: Path, count: int, batch: int) -> None:
    """Two lives over one database; the second one is told much again, some of it late and in disorder."""
    fills, dice = some_fills(count, seed=count), random.Random(count)
    words = {"service": "portfolio", "data_dir": folder, "migrations": "services.portfolio.migrations"}
    half, late = count // 2, dice.sample(range(count // 4, count // 2), min(20, count // 10))
    first_life = [fill for place, fill in enumerate(fills[:half]) if place not in set(late)]
    again = dice.sample(first_life, len(first_life) // 10)
    second_life = [*fills[half - batch :], *again, *(fills[place] for place in late)]
    for life in (first_life, second_life, fills[:half]):
        async with open_database(database_url, **words) as opened, open_book(opened) as book:  # type: ignore[arg-type]
            for start in range(0, len(life), batch):
                await book.apply(life[start : start + batch])
    expected = Recomputation()
    with localcontext() as context:
        context.prec = 60
        expected.trade(fills)
    async with open_database(database_url, **words) as opened, open_book(opened) as book:  # type: ignore[arg-type]
        await assert_equal(book, expected)
        assert sum([(await book.read(account)).totals.fill_count for account in ACCOUNTS]) == count


@pytest.mark.timeout(300)
async def test_some_thousand_fills_with_a_restart_are_exact(database_url: str, tmp_path: Path) -> None:
    await live_twice(database_url, tmp_path, 6_000, 700)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_million_fills_with_a_restart_are_exact(database_url: str, tmp_path: Path) -> None:
    await live_twice(database_url, tmp_path, 1_000_000, 20_000)


told = st.lists(
    st.one_of(
        st.tuples(
            st.just("fill"),
            st.integers(0, 10**12),
            st.integers(1, 10**12),
            st.integers(-5, 10**6),
            st.sampled_from(Side),
            st.sampled_from(CURRENCIES),
        ),
        st.tuples(st.just("charge"), st.integers(-(10**12), 10**12), st.sampled_from(CURRENCIES)),
        st.tuples(st.just("transfer"), st.integers(-(10**21), 10**21), st.sampled_from(CURRENCIES)),
    ),
    min_size=1,
    max_size=25,
)


@settings(
    max_examples=settings.default.max_examples // 4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=told, dice=st.randoms(use_true_random=False))
async def test_whatever_is_told_in_whatever_order_and_twice_is_exact(
    rows: list[tuple[object, ...]], dice: random.Random, tmp_path_factory: pytest.TempPathFactory
) -> None:
    entries = [_entry(number, row) for number, row in enumerate(rows, 1)]
    delivered = [*entries, *dice.sample(entries, len(entries) // 2)]
    dice.shuffle(delivered)
    words = {"service": "portfolio", "migrations": "services.portfolio.migrations"}
    folder = tmp_path_factory.mktemp("book")
    async with open_database("", data_dir=folder, **words) as opened, open_book(opened) as book:
        for start in range(0, len(delivered), 4):
            await _tell(book, delivered[start : start + 4])
        expected = Recomputation()
        with localcontext() as context:
            context.prec = 60
            expected.trade(entry for entry in entries if isinstance(entry, Fill))
            expected.pay(entry for entry in entries if not isinstance(entry, Fill))
        await assert_equal(book, expected)


def _entry(number: int, row: tuple[object, ...]) -> Fill | Charge | Transfer:
    match row:
        case ("fill", int(price), int(quantity), int(fee), Side() as side, str(currency)):
            return Fill(
                f"f{number}", "main", f"S{number % 3}", currency, side, price, quantity, fee, "o", "x", number, number
            )
        case ("charge", int(amount), str(currency)):
            return a_charge(number, "0", amount_nanos=amount, currency=currency, log_sequence=number)
        case _:
            return a_transfer(number, "0", amount_nanos=row[1], currency=row[2])


async def _tell(book: SqlBook, entries: list[Fill | Charge | Transfer]) -> None:
    await book.apply([entry for entry in entries if isinstance(entry, Fill)])
    await book.apply_charges([entry for entry in entries if isinstance(entry, Charge)])
    for entry in entries:
        if isinstance(entry, Transfer):
            await book.transfer(entry)
