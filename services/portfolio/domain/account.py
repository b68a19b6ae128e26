"""What positions and accounts are worth at the newest prices: exact, in currency nanos."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from services.portfolio.domain.ledger import Position
from trading.clock import DAY_NS
from trading.money import notional_nanos


class AccountTerms(NamedTuple):
    """What execution says of an account; amounts in nanos of its currency."""

    id: str
    venue: str
    currency: str
    trading_state: str
    opening_cash_nanos: int
    buying_power_nanos: int


class BookTotals(NamedTuple):
    """What the book knows of an account besides its positions."""

    account: str
    sequence: int = 0
    log_sequence: int = 0
    fill_count: int = 0


class PositionValue(NamedTuple):
    """A position at a price; without one (`mark_nanos` 0) it is valued at what it cost."""

    position: Position
    mark_nanos: int
    market_value_nanos: int

    @property
    def unrealized_nanos(self) -> int:
        return self.market_value_nanos - self.position.cost_nanos


class AccountValue(NamedTuple):
    """What an account is worth. Only cash and positions of its own currency count."""

    terms: AccountTerms
    totals: BookTotals
    cash_nanos: int
    equity_nanos: int
    day_pnl_nanos: int


class PositionChange(NamedTuple):
    """A position after the fill event that changed it; `account_sequence` grows by one with each."""

    position: Position
    event_id: str
    account_sequence: int
    flow_nanos: int


def value_position(position: Position, marks: Mapping[str, int]) -> PositionValue:
    """Quantity × mark, or the cost while the symbol has no price yet."""
    mark = marks.get(position.symbol, 0)
    value = notional_nanos(mark, position.quantity_nanos) if mark else position.cost_nanos
    return PositionValue(position, mark, value)


def equity_nanos(terms: AccountTerms, flow_nanos: int, values: Iterable[PositionValue]) -> int:
    """Opening cash + cash flow of the fills + market value of the positions."""
    own = (value.market_value_nanos for value in values if value.position.currency == terms.currency)
    return terms.opening_cash_nanos + flow_nanos + sum(own)


def is_marked(positions: Iterable[Position], marks: Mapping[str, int]) -> bool:
    """Every open position has a price."""
    return all(marks.get(position.symbol) for position in positions if position.quantity_nanos)


def utc_day(time_ns: int) -> int:
    """Days since 1970 UTC."""
    return time_ns // DAY_NS
