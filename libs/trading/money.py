"""Exact amounts: prices and quantities as int nanos (10⁻⁹), money with its currency.

The domain computes with `int`; Decimal only parses and prints. The product of a price and a quantity
has 18 decimals and is rounded half-even to the nano once, where it becomes money.
"""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import NewType, Self

from trading.errors import AmountOutOfRange, InvalidArgument

Nanos = NewType("Nanos", int)
"""An amount in units of 10⁻⁹ (of a share, a coin, or a currency unit)."""

ONE = Nanos(1_000_000_000)
MAX_NANOS = 2**63 - 1
_DECIMALS = 9
_LONGEST_TEXT = 64


def parse_nanos(value: str | int | float | Decimal, field: str = "amount") -> Nanos:
    """Read a decimal amount exactly.

    A float is read by its shortest text (0.1 is a tenth). Raises InvalidArgument when it is no finite
    number, AmountOutOfRange when it has more than nine decimals or leaves the int64 range.
    """
    text = value if isinstance(value, str) else repr(value) if isinstance(value, float) else str(value)
    if isinstance(value, bool) or len(text) > _LONGEST_TEXT:
        raise InvalidArgument("Expected a decimal number.", field=field, value=text[:_LONGEST_TEXT])
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise InvalidArgument("Expected a decimal number.", field=field, value=text) from error
    if not number.is_finite():
        raise InvalidArgument("Expected a finite number.", field=field, value=text)
    return _to_nanos(number, field, text)


def _to_nanos(number: Decimal, field: str, text: str) -> Nanos:
    if number and number.adjusted() > 10:
        raise AmountOutOfRange("Amount is beyond ±9.22e9.", field=field, value=text)
    scaled = number.scaleb(_DECIMALS)
    nanos = int(scaled)
    if nanos != scaled:
        raise AmountOutOfRange("Amount has more than nine decimals.", field=field, value=text)
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
    """Round a model's or a simulator's float half-even to the nano."""
    return Nanos(round(value * 1_000_000_000))


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
