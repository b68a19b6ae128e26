"""Fills for the contract of the book, and what the pure fold makes of them."""

import random

from builders.portfolio import a_fill

from services.portfolio.adapters.sql_book import SqlBook
from services.portfolio.domain.account import AccountBook, BookTotals
from services.portfolio.domain.entries import Fill, in_order
from services.portfolio.domain.ledger import Ledger
from trading.order import Side


def a_day(count: int, seed: int = 1) -> list[Fill]:
    """Fills of two accounts and three symbols, in log order."""
    dice = random.Random(seed)
    return [
        a_fill(
            number,
            dice.choice(list(Side)),
            quantity_nanos=dice.randrange(1, 10**12),
            price_nanos=dice.randrange(1, 10**12),
            fee_nanos=dice.randrange(-5, 10**7),
            symbol=dice.choice(["AAPL", "TSLA", "BRK.B"]),
            account=dice.choice(["main", "second"]),
        )
        for number in range(1, count + 1)
    ]


def expected_of(fills: list[Fill], account: str) -> AccountBook:
    """The book that the pure fold gives, but for the number of its transactions."""
    ledger = Ledger()
    ordered: list[Fill] = in_order(fills)
    own = [fill for fill in ordered if fill.account == account]
    for fill in own:
        ledger.post(fill)
    totals = BookTotals(account, len(own), max(fill.log_sequence for fill in own), len(own))
    cash = {key.currency: cash for key, cash in ledger.cash.items()}
    return AccountBook(totals, tuple(sorted(ledger.positions.values())), cash)


def flows_of(book: AccountBook) -> dict[str, int]:
    return {currency: cash.flow_nanos for currency, cash in book.cash.items()}


async def read_sorted(book: SqlBook, account: str) -> AccountBook:
    found = await book.read(account)
    return found._replace(positions=tuple(sorted(found.positions)), totals=found.totals._replace(version=0))


async def assert_agrees(book: SqlBook, fills: list[Fill]) -> None:
    for account in {fill.account for fill in fills}:
        assert await read_sorted(book, account) == expected_of(fills, account)
