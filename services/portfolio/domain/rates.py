"""What one currency is worth in another, from the prices that are quoted.

A rate is, in this order: 1 between a currency and itself; 1 between the US dollar and a coin that is pegged to it
(the settings name these coins: a convention, not a price); the newest price of the symbol `FROM-TO`; the inverse of
the price of `TO-FROM`; or two such steps by way of the dollar. Coins are quoted as `BTC-USDT`, in dollars. Without any
of these there is no rate, and whoever asks says so.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from trading.money import ONE, divide_half_even

DOLLAR = "USD"


@dataclass(frozen=True, slots=True)
class Rates:
    """Rates at the newest marks; `marks` are prices in nanos by symbol, `pegged` the coins that count as dollars."""

    marks: Mapping[str, int]
    pegged: Collection[str] = ()

    def rate(self, source: str, target: str) -> Fraction | None:
        """How many `target` one `source` is worth, exactly; None when nothing quoted says."""
        direct = self._direct(source, target)
        if direct is not None:
            return direct
        first, second = self._direct(source, DOLLAR), self._direct(DOLLAR, target)
        return None if first is None or second is None else first * second

    def convert(self, nanos: int, source: str, target: str) -> int | None:
        """An amount in another currency, rounded half-even to the nano; None without a rate."""
        if source == target:
            return nanos
        rate = self.rate(source, target)
        return None if rate is None else divide_half_even(nanos * rate.numerator, rate.denominator)

    def _direct(self, source: str, target: str) -> Fraction | None:
        if self._dollar(source) == self._dollar(target):
            return Fraction(1)
        for symbol in pairs(source, target, self.pegged):
            if mark := self.marks.get(symbol):
                return Fraction(mark, ONE)
        for symbol in pairs(target, source, self.pegged):
            if mark := self.marks.get(symbol):
                return Fraction(ONE, mark)
        return None

    def _dollar(self, currency: str) -> str:
        return DOLLAR if currency in self.pegged else currency


def pairs(base: str, quote: str, pegged: Collection[str]) -> Iterator[str]:
    """Symbols that would quote one currency in another."""
    yield f"{base}-{quote}"
    if quote == DOLLAR:
        for coin in sorted(pegged):
            yield f"{base}-{coin}"


def symbols_for(source: str, target: str, pegged: Collection[str]) -> tuple[str, ...]:
    """Every symbol whose price could give a rate between two currencies."""
    wanted: dict[str, None] = {}
    for one, other in ((source, target), (source, DOLLAR), (DOLLAR, target)):
        if one != other:
            wanted |= dict.fromkeys((*pairs(one, other, pegged), *pairs(other, one, pegged)))
    return tuple(wanted)
