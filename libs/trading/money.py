"""Exact amounts: prices and quantities as int nanos (10⁻⁹), money with its currency.

The domain computes with `int` and never with a float. The product of a price and a quantity
has 18 decimals and is rounded half-even to the nano once, where it becomes money.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import NewType, Self

from trading.errors import AmountOutOfRange, InvalidArgument

Nanos = NewType("Nanos", int)
"""An amount in units of 10⁻⁹ (of a share, a coin, or a currency unit)."""

ONE = Nanos(1_000_000_000)
MAX_NANOS = 2**63 - 1
_DECIMALS = 9
_LONGEST_TEXT = 64
_BEYOND_RANGE = 20  # ten to this power is more than int64 holds
_NUMBER = re.compile(r"([+-]?)(?=\.?[0-9])([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]{1,9}))?")
_NOT_FINITE = re.compile(r"[+-]?s?(nan[0-9]*|inf|infinity)", re.IGNORECASE)


def parse_nanos(value: str | int | float | Decimal, field: str = "amount") -> Nanos:
    """Read a decimal amount exactly.

    A float is read by its shortest text (0.1 is a tenth). Raises InvalidArgument when it is no finite
    number, AmountOutOfRange when it has more than nine decimals or leaves the int64 range.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return _in_range(value * ONE, field, "an integer")
    text = _text(value)
    number = _NUMBER.fullmatch(text) if len(text) <= _LONGEST_TEXT else None
    if number is None:
        expected = "a finite number" if _NOT_FINITE.fullmatch(text) else "a decimal number"
        raise InvalidArgument(f"Expected {expected}.", field=field, value=text[:_LONGEST_TEXT])
    sign, whole, part, exponent = number.groups("")
    nanos = _to_nanos(int(whole + part), int(exponent or 0) - len(part) + _DECIMALS, field, text)
    return Nanos(-nanos) if sign == "-" else nanos


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return float.__repr__(value) if isinstance(value, float) else str(value)  # numpy's own repr names its type


def _to_nanos(digits: int, scale: int, field: str, text: str) -> Nanos:
    """`digits` × 10^`scale`, where `scale` may be any size but the powers computed are small."""
    if scale >= 0:
        return _in_range(digits * 10 ** min(scale, _BEYOND_RANGE), field, text)
    nanos, finer = divmod(digits, 10 ** min(-scale, _LONGEST_TEXT))
    if finer:
        raise AmountOutOfRange("Amount has more than nine decimals.", field=field, value=text)
    return _in_range(nanos, field, text)


def _in_range(nanos: int, field: str, text: str) -> Nanos:
    if abs(nanos) > MAX_NANOS:
        raise AmountOutOfRange("Amount is beyond ±9.22e9.", field=field, value=text)
    return Nanos(nanos)


def format_nanos(nanos: int) -> str:
    """Print an amount as the shortest plain decimal: 1500000000 is "1.5", 0 is "0"."""
    whole, part = divmod(abs(nanos), ONE)
    sign = "-" if nanos < 0 else ""
    return f"{sign}{whole}.{part:09d}".rstrip("0") if part else f"{sign}{whole}"


def to_float(nanos: int) -> float:
    """Leave exactness for a model or an optimiser."""
    return nanos / 1_000_000_000


def from_float(value: float) -> Nanos:
    """Round a model's or a simulator's float half-even to the nano; raises AmountOutOfRange, also for NaN."""
    scaled = value * 1_000_000_000
    if not abs(scaled) < MAX_NANOS:
        raise AmountOutOfRange("Amount is beyond ±9.22e9.", value=value)
    return Nanos(round(scaled))


def divide_half_even(numerator: int, denominator: int) -> int:
    """The integer quotient rounded half to even; exact for any size and sign."""
    if denominator < 0:
        numerator, denominator = -numerator, -denominator
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    if twice > denominator or (twice == denominator and quotient & 1):
        return quotient + 1
    return quotient


def notional_nanos(price_nanos: int, quantity_nanos: int) -> int:
    """Price × quantity in currency nanos, rounded half-even; not limited to int64."""
    return divide_half_even(price_nanos * quantity_nanos, ONE)


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An exact sum of one currency, in nanos of its unit; only sums of one currency add up."""

    currency: str
    nanos: int = 0

    def __add__(self, other: Self) -> "Money":
        return Money(self.currency, self.nanos + self._same(other).nanos)

    def __sub__(self, other: Self) -> "Money":
        return Money(self.currency, self.nanos - self._same(other).nanos)

    def __neg__(self) -> "Money":
        return Money(self.currency, -self.nanos)

    def __str__(self) -> str:
        return f"{format_nanos(self.nanos)} {self.currency}"

    def split(self) -> tuple[int, int]:
        """Units and nanos of the same sign, as `google.type.Money` wants them."""
        units, part = divmod(abs(self.nanos), ONE)
        return (-units, -part) if self.nanos < 0 else (units, part)

    def _same(self, other: Self) -> Self:
        if other.currency != self.currency:
            raise InvalidArgument("Sums of two currencies do not add up.", expected=self.currency, was=other.currency)
        return other
