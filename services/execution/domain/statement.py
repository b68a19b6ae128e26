"""An account's day: its trades and charges, what it realised, held and owned at the end, folded from the log."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta

from services.execution.domain.charge import ChargeKind, LoggedCharge
from services.execution.domain.fill import LoggedFill
from services.execution.domain.holdings import Holdings
from services.execution.domain.position import Position
from trading.clock import DAY_NS
from trading.errors import InvalidArgument

_NANO = 1_000_000_000
_FIRST_DAY = date(1970, 1, 1)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(slots=True)
class Statement:
    """One UTC day of an account; money in nanos of its currency. `day` counts from 1970."""

    account: str
    venue: str
    currency: str
    day: int
    opening_cash_nanos: int
    closing_cash_nanos: int = 0
    realized_nanos: int = 0
    fees_nanos: int = 0
    fills: list[LoggedFill] = field(default_factory=list)
    positions: dict[str, Position] = field(default_factory=dict)
    charges: list[LoggedCharge] = field(default_factory=list)


class DayFold:
    """Takes in the fills and charges of an account in their order and keeps what its statement of one day needs."""

    def __init__(self, account: str, venue: str, currency: str, opening_cash_nanos: int, day: int) -> None:
        self._holdings = Holdings()
        self._first_cash = opening_cash_nanos
        self._earlier_value = 0
        self._realized_value = 0
        self._statement = Statement(account, venue, currency, day, opening_cash_nanos)

    def take(self, entries: Iterable[LoggedFill | LoggedCharge]) -> None:
        """The next fills and charges; those of later days are left out."""
        for entry in entries:
            time_ns = entry.event_time_ns if isinstance(entry, LoggedFill) else entry.charge.event_time_ns
            day = time_ns // DAY_NS
            if day <= self._statement.day:
                self._take(entry, is_of_the_day=day == self._statement.day)

    def statement(self) -> Statement:
        """The day as far as it has been told."""
        found = self._statement
        found.opening_cash_nanos = self._first_cash + self._earlier_value // _NANO
        found.closing_cash_nanos = self._first_cash + self._holdings.cash_flow_value // _NANO
        found.realized_nanos = self._realized_value // _NANO - found.fees_nanos
        found.positions = {name: held for name, held in sorted(self._holdings.positions.items()) if held.quantity_nanos}
        return found

    def _take(self, entry: LoggedFill | LoggedCharge, *, is_of_the_day: bool) -> None:
        flow = self._holdings.cash_flow_value
        if isinstance(entry, LoggedFill):
            self._take_fill(entry, is_of_the_day)
        else:
            self._take_charge(entry, is_of_the_day)
        if not is_of_the_day:
            self._earlier_value += self._holdings.cash_flow_value - flow  # however late the log learnt of it

    def _take_fill(self, fill: LoggedFill, is_of_the_day: bool) -> None:
        found, realized = self._statement, self._realized(fill.symbol)
        self._holdings.fill(fill.symbol, fill.side, fill.execution, fill.event_time_ns)
        if is_of_the_day:
            found.fills.append(fill)
            found.fees_nanos += fill.execution.fee_nanos
            self._realized_value += self._realized(fill.symbol) - realized

    def _take_charge(self, logged: LoggedCharge, is_of_the_day: bool) -> None:
        found, charge = self._statement, logged.charge
        profit = self._holdings.charge(charge)
        if is_of_the_day:
            fee = charge.amount_nanos if charge.kind is ChargeKind.FEE else 0
            found.charges.append(logged)
            found.fees_nanos += fee
            self._realized_value += profit + fee * _NANO  # the sum of all fees is taken away in the end

    def _realized(self, symbol: str) -> int:
        return self._holdings.position(symbol).realized_value


def parse_day(text: str, now_ns: int) -> int:
    """A UTC day as YYYY-MM-DD in days since 1970, today when empty; raises InvalidArgument, also for a day to come."""
    today = now_ns // DAY_NS
    if not text:
        return today
    try:
        if not _DAY.fullmatch(text):  # ISO 8601 has more forms than this one
            raise ValueError(text)
        day = (date.fromisoformat(text) - _FIRST_DAY).days
    except ValueError as error:
        raise InvalidArgument("Expected a day as YYYY-MM-DD.", field="day", value=text[:32]) from error
    if day > today:
        raise InvalidArgument("Expected a day that has begun.", field="day", value=text)
    return day


def day_text(day: int) -> str:
    """A day as YYYY-MM-DD."""
    return (_FIRST_DAY + timedelta(days=day)).isoformat()
