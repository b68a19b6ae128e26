"""What positions and accounts are worth at the newest prices: exact, in currency nanos."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from services.portfolio.domain.ledger import Cash, Position
from services.portfolio.domain.rates import Rates
from trading.clock import DAY_NS
from trading.money import Money, notional_nanos


class AccountTerms(NamedTuple):
    """What execution says of an account; amounts in nanos of its currency."""

    id: str
    venue: str
    currency: str
    trading_state: str
    opening_cash_nanos: int
    buying_power_nanos: int


class BookTotals(NamedTuple):
    """What the book knows of an account besides its positions; `version` grows with every transaction on it."""

    account: str
    sequence: int = 0
    log_sequence: int = 0
    fill_count: int = 0
    version: int = 0


class AccountBook(NamedTuple):
    """One account as the book has it: flat positions included, cash by currency."""

    totals: BookTotals
    positions: tuple[Position, ...]
    cash: Mapping[str, Cash]


class DayOpening(NamedTuple):
    """What a UTC day began with: equity, and what had been paid in by then by currency, without the opening cash."""

    equity_nanos: int
    paid_in: Mapping[str, int]


class PositionValue(NamedTuple):
    """A position at a price; without one (`mark_nanos` 0) it is valued at what it cost."""

    position: Position
    mark_nanos: int
    market_value_nanos: int

    @property
    def unrealized_nanos(self) -> int:
        return self.market_value_nanos - self.position.cost_nanos


class Worth(NamedTuple):
    """What an account is worth in its own currency, in nanos; what it has in `unpriced` currencies is left out."""

    equity_nanos: int
    gross_nanos: int
    net_nanos: int
    balances: tuple[Money, ...]
    unpriced: tuple[str, ...]


class AccountValue(NamedTuple):
    """What an account is worth now, and how the day has gone."""

    terms: AccountTerms
    totals: BookTotals
    cash_nanos: int
    worth: Worth
    day_pnl_nanos: int


class PositionChange(NamedTuple):
    """A position after the event that changed it; `account_sequence` grows by one with each."""

    position: Position
    event_id: str
    account_sequence: int
    flow_nanos: int


def value_position(position: Position, marks: Mapping[str, int]) -> PositionValue:
    """Quantity × mark, or the cost while the symbol has no price yet."""
    mark = marks.get(position.symbol, 0)
    value = notional_nanos(mark, position.quantity_nanos) if mark else position.cost_nanos
    return PositionValue(position, mark, value)


def balances_of(terms: AccountTerms, cash: Mapping[str, Cash]) -> dict[str, int]:
    """Exact cash by currency: the opening cash in the account's own, and what flowed since."""
    balances = {terms.currency: terms.opening_cash_nanos}
    for currency, moved in cash.items():
        balances[currency] = balances.get(currency, 0) + moved.flow_nanos
    return balances


def worth_of(terms: AccountTerms, book: AccountBook, rates: Rates) -> Worth:
    """Cash and positions of every currency that has a rate to the account's; the others are named."""
    balances = balances_of(terms, book.cash)
    values = [value_position(position, rates.marks) for position in book.positions if position.quantity_nanos]
    held = {currency for currency, nanos in balances.items() if nanos} | {value.position.currency for value in values}
    unpriced = sorted(currency for currency in held if rates.rate(currency, terms.currency) is None)
    priced = [value for value in values if value.position.currency not in unpriced]
    market = [rates.convert(value.market_value_nanos, value.position.currency, terms.currency) or 0 for value in priced]
    cash = convert_all(balances, terms.currency, rates)
    return Worth(
        equity_nanos=cash + sum(market),
        gross_nanos=sum(map(abs, market)),
        net_nanos=sum(market),
        balances=tuple(Money(currency, balances[currency]) for currency in sorted(balances)),
        unpriced=tuple(unpriced),
    )


def convert_all(amounts: Mapping[str, int], currency: str, rates: Rates) -> int:
    """The sum of amounts by currency in one of them; those without a rate count nothing."""
    return sum(rates.convert(nanos, source, currency) or 0 for source, nanos in amounts.items())


def paid_in_of(cash: Mapping[str, Cash]) -> dict[str, int]:
    """What came in from outside by currency since the beginning, without the opening cash."""
    return {currency: moved.paid_in_nanos for currency, moved in cash.items()}


def less(amounts: Mapping[str, int], earlier: Mapping[str, int]) -> dict[str, int]:
    """Amounts by currency since an earlier moment."""
    return {name: amounts.get(name, 0) - earlier.get(name, 0) for name in {*amounts, *earlier}}


def is_marked(positions: Iterable[Position], marks: Mapping[str, int]) -> bool:
    """Every open position has a price."""
    return all(marks.get(position.symbol) for position in positions if position.quantity_nanos)


def currencies_of(book: AccountBook) -> Sequence[str]:
    """Currencies in which something was booked."""
    return sorted({*book.cash, *(position.currency for position in book.positions)})


def utc_day(time_ns: int) -> int:
    """Days since 1970 UTC."""
    return time_ns // DAY_NS
