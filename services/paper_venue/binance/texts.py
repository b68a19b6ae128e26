"""How Binance writes amounts and times: eight decimals as text, times as whole milliseconds or microseconds."""

from enum import Enum

from trading.money import ONE


class TimeUnit(Enum):
    """The unit of the times that a customer reads; the value is its length in ns."""

    MILLISECOND = 1_000_000
    MICROSECOND = 1_000

    def of(self, time_ns: int) -> int:
        """A time in this unit, rounded down."""
        return time_ns // self.value

    @classmethod
    def called(cls, name: str | None) -> "TimeUnit":
        """By the name that headers and URLs carry; anything else is milliseconds."""
        return cls.MICROSECOND if (name or "").upper().startswith("MICRO") else cls.MILLISECOND


def decimal(nanos: int) -> str:
    """An amount with eight decimals; a ninth is cut off."""
    whole, part = divmod(abs(nanos) // 10, 10**8)
    return f"{'-' if nanos < 0 else ''}{whole}.{part:08d}"


def decimal_of_float(value: float) -> str:
    """A volume with eight decimals."""
    return f"{value:.8f}"


def decimal_of_value(value: int) -> str:
    """A sum of price × quantity (10⁻¹⁸ units) with eight decimals."""
    return decimal(value // ONE)
