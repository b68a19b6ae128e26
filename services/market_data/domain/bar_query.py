"""What a caller of bars may ask, and the cursor that carries the rest of the question to the next page."""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass, replace

from services.market_data.domain.activity_bars import ActivityRule, parse_rule
from trading.clock import DAY_NS, SECOND_NS
from trading.errors import InvalidArgument
from trading.market import Bar, Interval
from trading.money import MAX_NANOS

PAGE_DEFAULT = 1_000
PAGE_MOST = 10_000
SYMBOLS_MOST = 1_000


@dataclass(frozen=True, slots=True)
class BarQuery:
    """Bars that start in [start, end) of symbols in the caller's order; `index` and `from_ns` say how far we are."""

    symbols: tuple[str, ...]
    interval: Interval | ActivityRule
    start_ns: int
    end_ns: int
    page_size: int
    index: int = 0
    from_ns: int = 0

    @property
    def is_done(self) -> bool:
        """Every symbol has been read."""
        return self.index >= len(self.symbols)

    @property
    def bars_per_symbol(self) -> int:
        """The most bars that one symbol can have in the range; one more for the day that a clock change moves."""
        if isinstance(self.interval, ActivityRule):
            return PAGE_MOST
        length_ns = self.interval.seconds * SECOND_NS
        return (self.end_ns - self.start_ns) // length_ns + 2

    def group(self, room: int) -> tuple[str, ...]:
        """The next symbols whose bars surely fit `room` together; at least one."""
        if self.from_ns > self.start_ns:
            return self.symbols[self.index : self.index + 1]
        count = max(room // self.bars_per_symbol, 1)
        return self.symbols[self.index : self.index + count]

    def after_bar(self, bar: Bar) -> "BarQuery":
        """The rest of the question when `bar`, of the current symbol, was the last to fit."""
        return replace(self, from_ns=bar.timestamp_ns + 1)

    def after_symbols(self, count: int) -> "BarQuery":
        """The rest of the question when the next `count` symbols are done."""
        return replace(self, index=self.index + count, from_ns=self.start_ns)

    def cursor(self) -> str:
        """Where to go on, for the caller to give back; empty when there is nothing more."""
        if self.is_done:
            return ""
        state = [self.index, self.from_ns, self.start_ns, self.end_ns, self._digest()]
        return base64.urlsafe_b64encode(json.dumps(state, separators=(",", ":")).encode()).decode()

    def resumed(self, cursor: str) -> "BarQuery":
        """The same question from `cursor` on; raises InvalidArgument when the cursor is not this question's."""
        if not cursor:
            return self
        index, from_ns, start_ns, end_ns, digest = _read(cursor)
        resumed = replace(self, index=index, from_ns=from_ns, start_ns=start_ns, end_ns=end_ns)
        if digest != self._digest() or not (
            0 <= index < len(self.symbols) and 0 <= start_ns <= from_ns <= end_ns <= MAX_NANOS
        ):
            raise InvalidArgument("The cursor belongs to another question.", field="cursor")
        return resumed

    def _digest(self) -> str:
        return hashlib.sha256("\x1f".join((str(self.interval), *self.symbols)).encode()).hexdigest()[:16]


def bar_query(
    symbols: tuple[str, ...], interval: str, start_ns: int, end_ns: int, page_size: int, now_ns: int
) -> BarQuery:
    """Check a question about bars and fill in its defaults; raises InvalidArgument with the field."""
    if not 1 <= len(symbols) <= SYMBOLS_MOST:
        raise InvalidArgument(f"Expected 1-{SYMBOLS_MOST} symbols.", field="symbols", value=len(symbols))
    if len(set(symbols)) != len(symbols):
        raise InvalidArgument("Expected each symbol once.", field="symbols")
    if start_ns < 0 or end_ns < 0:
        raise InvalidArgument("Expected times since 1970.", field="start_time_ns" if start_ns < 0 else "end_time_ns")
    end_ns = end_ns or now_ns
    start_ns = start_ns or max(end_ns - DAY_NS, 0)
    if start_ns >= end_ns:
        raise InvalidArgument(
            "Expected start before end.", field="start_time_ns", start_time_ns=start_ns, end_time_ns=end_ns
        )
    return BarQuery(symbols, parse_bar(interval), start_ns, end_ns, _page_size(page_size), 0, start_ns)


def parse_bar(text: str) -> Interval | ActivityRule:
    """What ends a bar; nothing said means a minute. Raises InvalidArgument."""
    try:
        return Interval(text or "1m") if "-" not in text else parse_rule(text)
    except ValueError as error:
        raise InvalidArgument(
            "Expected 1m, 5m, 1h, 1d, tick-N, volume-N or value-N.", field="interval", value=text[:16]
        ) from error


def _page_size(size: int) -> int:
    if not 0 <= size <= PAGE_MOST:
        raise InvalidArgument(f"Expected a page of 1-{PAGE_MOST} bars.", field="page_size", value=size)
    return size or PAGE_DEFAULT


def _read(cursor: str) -> tuple[int, int, int, int, str]:
    try:
        index, from_ns, start_ns, end_ns, digest = json.loads(base64.urlsafe_b64decode(cursor))
        return int(index), int(from_ns), int(start_ns), int(end_ns), str(digest)
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidArgument("Not a cursor.", field="cursor") from error
