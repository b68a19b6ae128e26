"""The equity curve: what an account was worth, and how much of it was earned rather than paid in.

A point carries sums since the beginning in the account's currency, each part converted at the rate of the first point
that saw it, so that any stretch of the curve is a difference of two points, whatever was thinned out between them.
`growth` is the compounded return without what was paid in or out (the time-weighted return of the Global Investment
Performance Standards): from one point to the next it is multiplied by

    (equity − what was paid in between) / equity before

A point is taken right before and right after whatever a caller books, so that nothing of it is taken for a gain; what a
venue tells by itself counts at the end of its minute. Between two points that leave out different currencies, for want
of a rate, and from an equity that is not positive, nothing is earned or lost.
"""

from collections.abc import Mapping
from typing import NamedTuple

from services.portfolio.domain.account import AccountBook, AccountTerms, Worth, currencies_of, worth_of
from services.portfolio.domain.rates import Rates, symbols_for
from trading.money import divide_half_even

UNIT = 10**18
"""`growth` of the first point."""


class Amounts(NamedTuple):
    """Sums since the beginning in nanos of one currency."""

    paid_in: int = 0
    traded: int = 0
    realized: int = 0
    fees: int = 0


Basis = Mapping[str, Amounts]
"""What of each currency is in a point already."""


class Point(NamedTuple):
    """An account at a moment (ns UTC); amounts in nanos of its currency, `growth` in 10⁻¹⁸."""

    time_ns: int
    equity_nanos: int
    paid_in_nanos: int
    growth: int
    traded_nanos: int
    realized_nanos: int
    fees_nanos: int
    unpriced: tuple[str, ...]
    basis: Basis


def point_of(before: Point | None, terms: AccountTerms, book: AccountBook, rates: Rates, time_ns: int) -> Point:
    """The point that follows `before`; never at the same time."""
    worth = worth_of(terms, book, rates)
    now = amounts_of(terms, book)
    basis = before.basis if before else {}
    seen = {currency: sums for currency, sums in now.items() if currency not in worth.unpriced}
    gained = [_converted(sums, basis.get(name, Amounts()), name, terms.currency, rates) for name, sums in seen.items()]
    new = Amounts(*map(sum, zip(*gained, strict=True))) if gained else Amounts()
    start = before or Point(time_ns - 1, 0, 0, UNIT, 0, 0, 0, worth.unpriced, {})
    return Point(
        max(time_ns, start.time_ns + 1),
        worth.equity_nanos,
        start.paid_in_nanos + new.paid_in,
        _grown(start, worth, new.paid_in),
        start.traded_nanos + new.traded,
        start.realized_nanos + new.realized,
        start.fees_nanos + new.fees,
        worth.unpriced,
        {**basis, **seen},
    )


def _converted(now: Amounts, before: Amounts, source: str, target: str, rates: Rates) -> Amounts:
    """What is new, in another currency."""
    news = (new - old for new, old in zip(now, before, strict=True))
    return Amounts(*(rates.convert(new, source, target) or 0 for new in news))


def _grown(start: Point, worth: Worth, paid_in: int) -> int:
    if start.equity_nanos <= 0 or start.unpriced != worth.unpriced:
        return start.growth
    return divide_half_even(start.growth * max(worth.equity_nanos - paid_in, 0), start.equity_nanos)


def amounts_of(terms: AccountTerms, book: AccountBook) -> dict[str, Amounts]:
    """Sums of an account since the beginning by currency; its opening cash was paid in."""
    sums = {terms.currency: Amounts(paid_in=terms.opening_cash_nanos)}
    for currency, cash in book.cash.items():
        own = sums.get(currency, Amounts())
        sums[currency] = own._replace(
            paid_in=own.paid_in + cash.paid_in_nanos, traded=cash.traded_nanos, fees=cash.charged_nanos
        )
    for position in book.positions:
        own = sums.get(position.currency, Amounts())
        sums[position.currency] = own._replace(
            realized=own.realized + position.realized_nanos, fees=own.fees + position.fees_nanos
        )
    return sums


def is_news(before: Point | None, point: Point, book: AccountBook) -> bool:
    """Whether a point says something: the first, one after a change, or one while something is held."""
    if before is None or any(position.quantity_nanos for position in book.positions):
        return True
    return point[1:8] != before[1:8]


def symbols_of(terms: AccountTerms, book: AccountBook, rates: Rates) -> set[str]:
    """Symbols whose marks an account is valued at: of its positions, and of its currencies."""
    symbols = {position.symbol for position in book.positions if position.quantity_nanos}
    for currency in currencies_of(book):
        symbols.update(symbols_for(currency, terms.currency, rates.pegged))
    return symbols & set(rates.marks)
