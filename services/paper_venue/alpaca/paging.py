"""Pages over many symbols: sorted by symbol, then by time, cut at a total, resumed by an opaque token."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from services.paper_venue.alpaca.errors import ApiError


class Table(Protocol):
    """Rows with a time column, that a slice cuts."""

    def __len__(self) -> int: ...


TableT = TypeVar("TableT", bound=Table)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page begins: after `skip` rows that bear `time_ns` of `symbol`."""

    symbol: str
    time_ns: int
    skip: int

    def token(self) -> str:
        """The cursor as the customer carries it."""
        return base64.urlsafe_b64encode(f"{self.symbol}|{self.time_ns}|{self.skip}".encode()).decode()

    @classmethod
    def read(cls, token: str) -> "Cursor":
        """Understand a token of ours; raises ApiError 400 for any other."""
        try:
            symbol, time_ns, skip = base64.urlsafe_b64decode(token).decode().split("|")
            return cls(symbol, int(time_ns), int(skip))
        except ValueError as error:
            raise ApiError(400, None, "invalid page_token") from error


@dataclass(frozen=True, slots=True)
class Page(Generic[TableT]):
    """The rows of one page by symbol, and the cursor of the next one."""

    tables: dict[str, TableT]
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class Span:
    """What is asked of each symbol: a closed interval of time, and in which order."""

    start_ns: int
    end_ns: int
    descending: bool


def first_page(
    symbols: Sequence[str],
    span: Span,
    limit: int,
    cursor: Cursor | None,
    find: Callable[[str, int, int], TableT],
    times: Callable[[TableT], npt.NDArray[np.int64]],
    cut: Callable[[TableT, slice], TableT],
) -> Page[TableT]:
    """At most `limit` rows over all symbols, from the cursor on; `find` gives a symbol's rows of an interval."""
    tables: dict[str, TableT] = {}
    for symbol in sorted(symbols):
        if cursor is not None and symbol < cursor.symbol:
            continue
        resumed = cursor if cursor is not None and symbol == cursor.symbol else None
        rows = _rows(symbol, span, resumed, find, cut)
        if len(rows) > limit:
            return Page({**tables, symbol: cut(rows, slice(0, limit))}, _cursor(symbol, rows, limit, resumed, times))
        if len(rows):
            tables[symbol] = rows
            limit -= len(rows)
    return Page(tables, None)


def _rows(
    symbol: str,
    span: Span,
    resumed: Cursor | None,
    find: Callable[[str, int, int], TableT],
    cut: Callable[[TableT, slice], TableT],
) -> TableT:
    start, end = span.start_ns, span.end_ns
    if resumed is not None:
        start, end = (start, resumed.time_ns) if span.descending else (resumed.time_ns, end)
    rows = find(symbol, start, end)
    if span.descending:
        rows = cut(rows, slice(None, None, -1))
    return cut(rows, slice(resumed.skip, None)) if resumed else rows


def _cursor(
    symbol: str,
    rows: TableT,
    limit: int,
    resumed: Cursor | None,
    times: Callable[[TableT], npt.NDArray[np.int64]],
) -> Cursor:
    """The cursor after `limit` of the rows: it counts those before it that share the next row's time."""
    column = times(rows)
    next_ns = int(column[limit])
    skip = int(np.count_nonzero(column[:limit] == next_ns))
    if resumed is not None and resumed.time_ns == next_ns:
        skip += resumed.skip
    return Cursor(symbol, next_ns, skip)
