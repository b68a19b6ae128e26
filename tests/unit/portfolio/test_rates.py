"""What one currency is worth in another."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.portfolio.domain.rates import Rates, symbols_for
from trading.money import ONE

PEGGED = {"USDT", "USDC"}


def price(text: str) -> int:
    return int(Fraction(text) * ONE)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("EUR", "EUR", Fraction(1)),
        ("USDT", "USD", Fraction(1)),
        ("USDT", "USDC", Fraction(1)),
        ("BTC", "USD", Fraction(60_000)),
        ("USD", "BTC", Fraction(1, 60_000)),
        ("EUR", "USD", Fraction("1.25")),
        ("USD", "EUR", Fraction("0.8")),
        ("BTC", "EUR", Fraction(48_000)),
        ("USDT", "EUR", Fraction("0.8")),
        ("BTC", "USDC", Fraction(60_000)),
        ("GBP", "EUR", Fraction("1.2")),
        ("JPY", "USD", None),
        ("JPY", "EUR", None),
    ],
)
def test_a_rate_comes_from_a_price_its_inverse_or_the_dollar(
    source: str, target: str, expected: Fraction | None
) -> None:
    marks = {"BTC-USDT": price("60000"), "EUR-USD": price("1.25"), "GBP-EUR": price("1.2")}
    assert Rates(marks, PEGGED).rate(source, target) == expected


def test_without_the_convention_a_coin_is_no_dollar() -> None:
    assert Rates({"BTC-USDT": price("60000")}).rate("BTC", "USD") is None


def test_a_rate_follows_the_marks() -> None:
    marks: dict[str, int] = {}
    rates = Rates(marks)
    assert rates.convert(ONE, "EUR", "USD") is None
    marks["EUR-USD"] = price("1.1")
    assert rates.convert(10 * ONE, "EUR", "USD") == 11 * ONE


@given(st.integers(-(10**24), 10**24), st.integers(1, 10**18))
def test_a_sum_is_converted_exactly_and_rounded_half_even(nanos: int, mark: int) -> None:
    assert Rates({"EUR-USD": mark}).convert(nanos, "EUR", "USD") == round(Fraction(nanos * mark, ONE))
    assert Rates({"EUR-USD": mark}).convert(nanos, "USD", "EUR") == round(Fraction(nanos * ONE, mark))


def test_every_symbol_that_could_give_a_rate_is_named() -> None:
    assert symbols_for("BTC", "USD", PEGGED) == (*("BTC-USD", "BTC-USDC", "BTC-USDT", "USD-BTC"),)
    assert {"EUR-GBP", "GBP-EUR", "EUR-USD", "USD-EUR", "USD-GBP", "GBP-USD"} <= set(symbols_for("EUR", "GBP", PEGGED))
