"""What risk questions are asked of: positions in money, given or held, and where their returns come from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from services.portfolio.domain.account import PositionValue
from services.portfolio.domain.matrices import Floats, require_finite, require_length, require_unique
from services.portfolio.domain.rates import Rates
from services.portfolio.domain.risk import PositionKind
from trading.errors import FailedPrecondition, InvalidArgument
from trading.money import to_float

DEFAULT_WINDOW_DAYS = 252
"""A year of sessions."""


class Exposures(NamedTuple):
    """N symbols and their signed values in money, float64."""

    symbols: tuple[str, ...]
    values: Floats

    @property
    def gross(self) -> float:
        return float(np.abs(self.values).sum())

    @property
    def net(self) -> float:
        return float(self.values.sum())


class Subject(NamedTuple):
    """Whose losses are asked for: an account's positions, or symbols with their values in money."""

    account: str
    symbols: tuple[str, ...] = ()
    values: tuple[float, ...] = ()

    def given(self) -> Exposures | None:
        """The given positions, judged; None when the account's are meant.

        Raises InvalidArgument for both at once, Refusal for repeated symbols or wrong numbers.
        """
        if not self.symbols and not self.values:
            return None
        if self.account:
            raise InvalidArgument("Expected an account or symbols, not both.", field="account")
        require_unique(self.symbols)
        values = np.array(self.values, dtype=np.float64)
        require_length("values", values, len(self.symbols))
        require_finite("values", values)
        return Exposures(self.symbols, values)


@dataclass(frozen=True, slots=True)
class RiskRequest:
    """A risk question before its positions and returns were read.

    Without `returns`, the newest `window_days` of history are read for the symbols and the benchmark; with an
    `account`, its positions at their market value stand for symbols and positions.
    """

    symbols: tuple[str, ...]
    positions: Floats
    kind: PositionKind
    returns: Floats | None
    market: Floats | None
    benchmark: str
    window_days: int
    account: str
    risk_free_rate: float
    periods_per_year: float


def exposures_of(positions: Sequence[PositionValue], account: str, currency: str, rates: Rates) -> Exposures:
    """Market values of what is held in one currency, by symbol; the same symbol in two currencies adds up.

    Raises FailedPrecondition NOTHING_HELD for an empty book, NO_RATE when nothing quoted converts a position's
    currency: the sum would mean nothing.
    """
    held = sorted(value for value in positions if value.position.quantity_nanos)
    if not held:
        raise FailedPrecondition(f"Account {account!r} holds nothing.", reason="NOTHING_HELD", account=account)
    worth: dict[str, int] = {}
    for value in held:
        symbol = value.position.symbol
        worth[symbol] = worth.get(symbol, 0) + _converted(value, currency, rates)
    return Exposures(tuple(worth), np.array([to_float(nanos) for nanos in worth.values()], dtype=np.float64))


def _converted(value: PositionValue, currency: str, rates: Rates) -> int:
    source = value.position.currency
    nanos = rates.convert(value.market_value_nanos, source, currency)
    if nanos is None:
        message = f"Nothing quoted says what {source} is worth in {currency}."
        raise FailedPrecondition(
            message, reason="NO_RATE", symbol=value.position.symbol, source=source, target=currency
        )
    return nanos


def only_currency(positions: Sequence[PositionValue]) -> str | None:
    """The currency of everything that is held; None for several or for nothing."""
    currencies = {value.position.currency for value in positions if value.position.quantity_nanos}
    return currencies.pop() if len(currencies) == 1 else None
