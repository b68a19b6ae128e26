"""A question about the past that is answered by one table: which rows, which columns, folded how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.market_data.domain.bar_query import SYMBOLS_MOST
from services.market_data.domain.filters import Filter, parse_filter
from services.market_data.domain.history import SHOWN_COLUMNS, Kind
from trading.clock import DAY_NS, SECOND_NS
from trading.errors import InvalidArgument
from trading.market import Interval

RETURNS = "returns"
COVARIANCE = "covariance"
FUNCTIONS = ("sum", "mean", "min", "max", "first", "last", "count", "std", "var", "median")
_TEXT_FUNCTIONS = frozenset({"count", "first", "last", "min", "max"})
_TEXTS = frozenset({"symbol", "venue", "interval", "trade_id"})
BARS_MOST = 5_000_000
"""A wider question would ask the venue for hours; nine years of one symbol's minutes fit."""
_NAMES_MOST = 64
_NAME_LONGEST = 64


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One folded column: `function` of `column` (`*` counts rows), called `name`."""

    column: str
    function: str
    name: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows of the store: symbols in the caller's order, times in [start, end).

    `venue` is the only one wanted; when it is empty, any, but for the symbols in `venues` theirs.
    """

    kind: Kind
    symbols: tuple[str, ...]
    start_ns: int
    end_ns: int
    interval: Interval | None = None
    venue: str = ""
    venues: Mapping[str, str] = field(default_factory=dict)

    def wants(self, venue: str, symbol: str) -> bool:
        """Whether a venue's rows of a symbol belong to the answer."""
        return venue == (self.venue or self.venues.get(symbol, venue))


@dataclass(frozen=True, slots=True)
class FrameQuery:
    """A selection, what to show of it, and the most rows to answer with."""

    selection: Selection
    columns: tuple[str, ...]
    row_limit: int
    filter: Filter | None = None
    group_by: tuple[str, ...] = ()
    aggregates: tuple[Aggregate, ...] = ()
    with_covariance: bool = False

    @property
    def is_folded(self) -> bool:
        """Rows are groups, not ticks or bars."""
        return bool(self.aggregates)


def known_columns(kind: Kind) -> tuple[str, ...]:
    """Every column that a reader may name."""
    return (*SHOWN_COLUMNS[kind], *((RETURNS,) if kind is Kind.BARS else ()))


def selection(
    kind: Kind, symbols: tuple[str, ...], interval: str, start_ns: int, end_ns: int, venue: str, now_ns: int
) -> Selection:
    """Check what rows are wanted and fill in defaults; raises InvalidArgument with the field."""
    if not 1 <= len(symbols) <= SYMBOLS_MOST:
        raise InvalidArgument(f"Expected 1-{SYMBOLS_MOST} symbols.", field="symbols", value=len(symbols))
    if len(set(symbols)) != len(symbols):
        raise InvalidArgument("Expected each symbol once.", field="symbols")
    for name, time_ns in (("start_time_ns", start_ns), ("end_time_ns", end_ns)):
        if time_ns < 0:
            raise InvalidArgument("Expected a time since 1970.", field=name, value=time_ns)
    end_ns = end_ns or now_ns
    start_ns = start_ns or max(end_ns - DAY_NS, 0)
    if start_ns >= end_ns:
        raise InvalidArgument("Expected start before end.", field="start_time_ns", start_ns=start_ns, end_ns=end_ns)
    if kind is not Kind.BARS:
        return Selection(kind, symbols, start_ns, end_ns, None, venue)
    length = _interval(interval)
    if len(symbols) * (end_ns - start_ns) // (length.seconds * SECOND_NS) > BARS_MOST:
        raise InvalidArgument(
            f"The range has room for more than {BARS_MOST} bars: ask for fewer symbols or a shorter time.",
            field="start_time_ns",
            start_ns=start_ns,
        )
    return Selection(kind, symbols, start_ns, end_ns, length, venue)


def _interval(text: str) -> Interval:
    try:
        return Interval(text or "1m")
    except ValueError as error:
        raise InvalidArgument("Expected 1m, 5m, 1h or 1d.", field="interval", value=text[:16]) from error


def frame_query(
    rows: Selection,
    *,
    columns: Sequence[str],
    filter_text: str,
    group_by: Sequence[str],
    aggregates: Sequence[Aggregate],
    row_limit: int,
    rows_most: int,
) -> FrameQuery:
    """Check what is wanted of the rows; raises InvalidArgument with the field."""
    if not 0 <= row_limit <= rows_most:
        raise InvalidArgument(f"Expected a row limit of 1-{rows_most}.", field="row_limit", value=row_limit)
    known = known_columns(rows.kind)
    bars_as_they_are = rows.kind is Kind.BARS and not aggregates
    shown = _named("columns", columns, (*known, *((COVARIANCE,) if bars_as_they_are else ())))
    groups = _named("group_by", group_by, known)
    if groups and not aggregates:
        raise InvalidArgument("Expected at least one aggregate for the groups.", field="aggregates")
    folds = tuple(_checked(aggregate, known) for aggregate in aggregates)
    names = [*groups, *(fold.name for fold in folds)]
    if len(set(names)) != len(names) or len(names) > _NAMES_MOST:
        raise InvalidArgument(f"Expected at most {_NAMES_MOST} columns, each of its own name.", field="aggregates")
    if folds and shown:
        raise InvalidArgument("Expected either columns or aggregates.", field="columns")
    plain = tuple(name for name in shown if name != COVARIANCE)
    return FrameQuery(
        selection=rows,
        columns=plain or (() if folds else known),
        row_limit=row_limit or rows_most,
        filter=parse_filter(filter_text, known),
        group_by=groups,
        aggregates=folds,
        with_covariance=bars_as_they_are and (not shown or COVARIANCE in shown),
    )


def _named(field: str, names: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InvalidArgument(f"Expected one of {', '.join(known)}.", field=field, value=unknown[0][:_NAME_LONGEST])
    if len(set(names)) != len(names):
        raise InvalidArgument("Expected each column once.", field=field)
    return tuple(names)


def _checked(aggregate: Aggregate, known: Sequence[str]) -> Aggregate:
    if aggregate.function not in FUNCTIONS:
        raise InvalidArgument(
            f"Expected one of {', '.join(FUNCTIONS)}.", field="aggregates", value=aggregate.function[:_NAME_LONGEST]
        )
    is_row_count = aggregate.column == "*" and aggregate.function == "count"
    if aggregate.column not in known and not is_row_count:
        raise InvalidArgument(
            f"Expected one of {', '.join(known)}.", field="aggregates", value=aggregate.column[:_NAME_LONGEST]
        )
    if aggregate.column in _TEXTS and aggregate.function not in _TEXT_FUNCTIONS:
        raise InvalidArgument(f"A text has no {aggregate.function}.", field="aggregates", value=aggregate.column)
    name = aggregate.name or ("count" if is_row_count else f"{aggregate.column}_{aggregate.function}")
    if len(name) > _NAME_LONGEST or not name.isidentifier():
        raise InvalidArgument(
            "Expected a name of letters, digits and underscores.", field="aggregates", value=name[:64]
        )
    return Aggregate(aggregate.column, aggregate.function, name)
