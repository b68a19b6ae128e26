"""What callers ask of the book beside its positions, and what they are told."""

from collections.abc import Sequence
from typing import NamedTuple

from services.portfolio.domain.equity import Point
from services.portfolio.domain.performance import Performance
from trading.money import Money


class TransferRequest(NamedTuple):
    """Cash to book; out when `amount` is negative, now when `time_ns` is 0."""

    account: str
    transfer_id: str
    amount: Money
    note: str
    time_ns: int


class Recorded(NamedTuple):
    """How a transfer stands: booked before or now, and the account's cash in that currency after it."""

    repeated: bool
    cash: Money


class Bought(NamedTuple):
    """A position as a caller brings it: any spelling of the symbol; no currency means the instrument's."""

    symbol: str
    quantity_nanos: int
    price_nanos: int
    currency: str


class ImportRequest(NamedTuple):
    """Positions to book, together."""

    account: str
    import_id: str
    positions: Sequence[Bought]
    takes_cash: bool


class Question(NamedTuple):
    """A stretch of an account's curve, ns UTC (0: from the beginning, until now), and how many points of it."""

    account: str
    start_time_ns: int
    end_time_ns: int
    points: int


class Answer(NamedTuple):
    """The curve, thinned to what was asked, and the statistics of all of it."""

    account: str
    currency: str
    curve: tuple[Point, ...]
    performance: Performance
