"""Whether an instrument can be traded now: its exchange's hours, the venue's halts, and its price bands."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from trading.instruments import ALWAYS_OPEN, Instrument
from trading.market import Quote


class SessionState(IntEnum):
    """What one can do with an instrument now."""

    UNKNOWN = 0
    OPEN = 1
    CLOSED = 2
    HALTED = 3
    LIMIT_UP = 4
    LIMIT_DOWN = 5


class Session(NamedTuple):
    """One regular session, [open, close) in ns UTC."""

    open_ns: int
    close_ns: int


class SessionNow(NamedTuple):
    """The state of an instrument, with the session that is on or comes next; None when there is or is known none."""

    state: SessionState
    session: Session | None = None


@dataclass(frozen=True, slots=True)
class Halt:
    """The venue has halted trading of a symbol, or lets it go on."""

    symbol: str
    is_halted: bool


@dataclass(frozen=True, slots=True)
class PriceBands:
    """Between which prices a symbol may trade, in nanos."""

    symbol: str
    lower_nanos: int
    upper_nanos: int


class Schedule:
    """The regular sessions of one exchange over some years."""

    def __init__(self, sessions: Iterable[Session]) -> None:
        self._sessions = sorted(sessions)
        self._closes = [session.close_ns for session in self._sessions]

    def around(self, now_ns: int) -> Session | None:
        """The session that is on, or else the next; None when the schedule reaches no further."""
        at = bisect_right(self._closes, now_ns)
        return self._sessions[at] if at < len(self._sessions) else None


class SessionBoard:
    """What is known of every instrument's trading: schedules by the exchange's code, halts and bands by symbol."""

    def __init__(self) -> None:
        self._schedules: dict[str, Schedule] = {}
        self._halted: set[str] = set()
        self._bands: dict[str, PriceBands] = {}

    def learn(self, code: str, schedule: Schedule) -> None:
        """Take in the hours of an exchange."""
        self._schedules[code] = schedule

    def put(self, news: Halt | PriceBands) -> None:
        """Take in what the venue says."""
        match news:
            case Halt(symbol, True):
                self._halted.add(symbol)
            case Halt(symbol, False):
                self._halted.discard(symbol)
            case PriceBands():
                self._bands[news.symbol] = news

    def now(self, instrument: Instrument, newest: Quote | None, now_ns: int) -> SessionNow:
        """The state of an instrument whose newest quote this is. Hours come first, then halts, then bands."""
        if instrument.trading_hours == ALWAYS_OPEN:
            return SessionNow(self._while_open(instrument.symbol, newest))
        schedule = self._schedules.get(instrument.trading_hours)
        session = None if schedule is None else schedule.around(now_ns)
        if session is None:
            halted = instrument.symbol in self._halted
            return SessionNow(SessionState.HALTED if halted else SessionState.UNKNOWN)
        if now_ns < session.open_ns:
            return SessionNow(SessionState.CLOSED, session)
        # Quotes and bands of another session say nothing about this one.
        fresh = newest if newest is not None and newest.event_time_ns >= session.open_ns else None
        return SessionNow(self._while_open(instrument.symbol, fresh), session)

    def _while_open(self, symbol: str, newest: Quote | None) -> SessionState:
        if symbol in self._halted:
            return SessionState.HALTED
        bands = self._bands.get(symbol)
        if bands is None or newest is None:
            return SessionState.OPEN
        if newest.bid_nanos >= bands.upper_nanos:
            return SessionState.LIMIT_UP
        if 0 < newest.ask_nanos <= bands.lower_nanos:
            return SessionState.LIMIT_DOWN
        return SessionState.OPEN
