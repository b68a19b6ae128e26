"""The filters of a question as Polars evaluates them: on what a reader sees, and on what is stored."""

from collections.abc import Iterator
from functools import reduce
from math import ceil, floor
from operator import and_, eq, ge, gt, le, lt, ne, or_

import polars as pl

from services.market_data.domain.filters import Column, Comparison, Every, Filter, Literal, Not, Some
from services.market_data.domain.history import STORED_COLUMNS, Kind
from trading.money import ONE

_BOUNDS = {"==": (">=", "<="), "!=": (), "<": ("<",), "<=": ("<=",), ">": (">",), ">=": (">=",)}
_LARGEST = 9e6  # beyond it a float is coarser than a nano
_SLACK_NANOS = 2
_OPERATORS = {"==": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}


def expression(wanted: Filter) -> pl.Expr:
    """A filter as Polars evaluates it."""
    match wanted:
        case Comparison(left, operator, right):
            compared: pl.Expr = _OPERATORS[operator](_value(left), _value(right))
            return compared
        case Not(inner):
            return ~expression(inner)
        case Every(parts):
            return reduce(and_, map(expression, parts))
        case Some(parts):
            return reduce(or_, map(expression, parts))


def likely(wanted: Filter, kind: Kind) -> Iterator[pl.Expr]:
    """Conditions on stored columns that every row of the filter fulfils, one nano wider than the filter itself."""
    match wanted:
        case Every(parts):
            for part in parts:
                yield from likely(part, kind)
        case Comparison(Column(name), operator, Literal(int() | float() as number)):
            stored = f"{name}_nanos"
            if stored in STORED_COLUMNS[kind] and abs(number) < _LARGEST:
                low, high = floor(number * ONE) - _SLACK_NANOS, ceil(number * ONE) + _SLACK_NANOS
                yield from (
                    _OPERATORS[one](pl.col(stored), low if one[0] == ">" else high) for one in _BOUNDS[operator]
                )


def _value(value: Column | Literal) -> pl.Expr:
    return pl.col(value.name) if isinstance(value, Column) else pl.lit(value.value)
