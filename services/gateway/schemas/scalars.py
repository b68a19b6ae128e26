"""Amounts and times as JSON carries them: exact decimals and nanoseconds as strings, read as string or number."""

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from trading.errors import TradingError
from trading.money import MAX_NANOS, ONE, format_nanos, parse_nanos, to_float

_AMOUNT_PATTERN = r"^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
_AMOUNT = re.compile(_AMOUNT_PATTERN, re.ASCII)
_PERCENT_PATTERN = r"^[0-9]{1,4}(\.[0-9]{1,2})?$"
_PERCENT = re.compile(_PERCENT_PATTERN, re.ASCII)
_MOST_PERCENT = 9999.99
_NANOS_PER_BASIS_POINT = ONE // 100
_NS_PATTERN = "^[0-9]{1,19}$"
_NS = re.compile(_NS_PATTERN, re.ASCII)


class Request(BaseModel):
    """A body: unknown fields are refused, numbers are not read from strings nor strings from numbers."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _parse_amount(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise PydanticCustomError("amount", "Expected a decimal, as string or number.")
    if isinstance(value, str) and not _AMOUNT.fullmatch(value):
        raise PydanticCustomError("amount", "Expected a decimal, as string or number.")
    try:
        return parse_nanos(value)
    except TradingError as error:
        raise PydanticCustomError("amount", "{message}", {"message": error.message}) from error


def _parse_percent(value: object) -> int:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = repr(value).removesuffix(".0")
    if not isinstance(value, str) or not _PERCENT.fullmatch(value):
        raise PydanticCustomError("percent", "Expected a percentage with at most two decimals, as string or number.")
    return parse_nanos(value) // _NANOS_PER_BASIS_POINT


def parse_ns(value: object) -> int:
    """Nanoseconds from a decimal string or a whole number, within int64; raises a validation error."""
    if isinstance(value, str) and _NS.fullmatch(value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_NANOS:
        raise PydanticCustomError("nanoseconds", "Expected nanoseconds, as string or number.")
    return value


Amount = Annotated[
    int,
    BeforeValidator(_parse_amount),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": _AMOUNT_PATTERN, "maxLength": 64}, {"type": "number"}]}),
]
"""An exact decimal, in nanos."""

Percent = Annotated[
    int,
    BeforeValidator(_parse_percent),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": _PERCENT_PATTERN},
                {"type": "number", "minimum": 0, "maximum": _MOST_PERCENT},
            ]
        }
    ),
]
"""A percentage with two decimals, in basis points."""

NanosecondsIn = Annotated[
    int,
    BeforeValidator(parse_ns),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": _NS_PATTERN}, {"type": "integer", "minimum": 0, "maximum": MAX_NANOS}]}
    ),
]
Finite = Annotated[float, Field(allow_inf_nan=False)]
SymbolText = Annotated[str, Field(min_length=1, max_length=32)]
NameText = Annotated[str, Field(min_length=1, max_length=64)]

DecimalText = Annotated[str, Field(description="An exact decimal.")]
Nanoseconds = Annotated[str, Field(description="Nanoseconds as a decimal string.")]


def text_or_none(nanos: int | None) -> str | None:
    """An exact decimal, or null when there is none."""
    return None if nanos is None else format_nanos(nanos)


def percent_or_none(basis_points: int | None) -> str | None:
    """A percentage, or null when there is none."""
    return None if basis_points is None else format_nanos(basis_points * _NANOS_PER_BASIS_POINT)


def price_or_none(nanos: int) -> str | None:
    """An exact price, or null for the 0 that stands for none."""
    return format_nanos(nanos) if nanos else None


def number_or_none(nanos: int) -> float | None:
    """A price or size as a number, or null for the 0 that stands for none."""
    return to_float(nanos) if nanos else None
