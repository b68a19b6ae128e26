"""Amounts are exact, and what is no amount is refused by name."""

from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.errors import AmountOutOfRange, InvalidArgument
from trading.money import (
    MAX_NANOS,
    ONE,
    Money,
    divide_half_even,
    format_nanos,
    from_float,
    notional_nanos,
    parse_nanos,
    to_float,
)

ANY_NANOS = st.integers(-MAX_NANOS, MAX_NANOS)
CURRENCIES = st.sampled_from(["USD", "EUR", "USDT"])


@given(ANY_NANOS)
def test_an_amount_survives_printing_and_parsing(nanos: int) -> None:
    assert parse_nanos(format_nanos(nanos)) == nanos


@given(ANY_NANOS)
def test_printing_is_the_shortest_plain_decimal(nanos: int) -> None:
    text = format_nanos(nanos)
    assert Decimal(text).scaleb(9, context=None) == nanos
    assert "E" not in text
    assert not text.endswith(".")
    assert "." not in text or not text.endswith("0")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-9_000_000_000, max_value=9_000_000_000))
def test_parsing_agrees_with_decimal(number: Decimal) -> None:
    with localcontext(prec=60):
        expected = int(number * 1_000_000_000)
    assert parse_nanos(number) == parse_nanos(str(number)) == parse_nanos(f"{number:f}") == expected


@given(st.floats(-9e9, 9e9).map(lambda value: round(value, 6)))
def test_a_float_is_read_by_its_shortest_text(value: float) -> None:
    assert parse_nanos(value) == parse_nanos(repr(value)) == parse_nanos(np.float64(value))


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("0.1", 100_000_000),
        ("+5", 5 * ONE),
        ("-0", 0),
        ("-0.000000001", -1),
        (".5", 500_000_000),
        ("5.", 5 * ONE),
        ("1E+3", 1_000 * ONE),
        ("1e-9", 1),
        ("1.50000000000000000000", 1_500_000_000),
        ("0000000000000000000001", ONE),
        ("0e999999999", 0),
        ("9223372036.854775807", MAX_NANOS),
        (7, 7 * ONE),
        (np.int64(7), 7 * ONE),
        (Decimal("2.5"), 2_500_000_000),
    ],
)
def test_every_plain_spelling_of_a_number_is_read(text: str | int | Decimal, nanos: int) -> None:
    assert parse_nanos(text) == nanos


@pytest.mark.parametrize(
    "text", ["nan", "NaN", "-nan", "sNaN", "nan12", "inf", "-Infinity", float("nan"), float("inf")]
)
def test_what_is_not_finite_is_refused_as_such(text: str | float) -> None:
    with pytest.raises(InvalidArgument, match="finite"):
        parse_nanos(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "-",
        "+.",
        "e5",
        "1e",
        "1e1.5",
        "1_000",
        " 1",
        "1 ",
        "1\n",
        "1,5",
        "0x10",
        "١",
        "one",
        "--1",
        "1.2.3",
        True,
    ],
)
def test_garbage_is_no_number(text: str) -> None:
    with pytest.raises(InvalidArgument, match="decimal number") as refusal:
        parse_nanos(text, "quantity")
    assert refusal.value.metadata["field"] == "quantity"


@pytest.mark.parametrize("foreign", [None, [], {}, b"1", object()])
def test_what_is_not_even_text_is_refused_by_name(foreign: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_nanos(foreign)


@pytest.mark.parametrize(
    "text",
    [
        "0.1234567891",
        "1e-10",
        "1e-999999999",
        1e-10,
        "1.00000000000000000000000000000000000000001",
        Decimal("0.0000000001"),
    ],
)
def test_more_than_nine_decimals_are_refused_never_rounded(text: str | float | Decimal) -> None:
    with pytest.raises(AmountOutOfRange, match="nine decimals"):
        parse_nanos(text)


@pytest.mark.parametrize(
    "text",
    ["9223372036.854775808", "-9223372036.854775808", "1e999999999", "1" * 64, 1e300, 2**63, -(10**10)],
)
def test_amounts_beyond_int64_are_refused(text: str | float) -> None:
    with pytest.raises(AmountOutOfRange, match="beyond"):
        parse_nanos(text, "price")


def test_an_integer_too_long_to_print_is_refused() -> None:
    with pytest.raises(AmountOutOfRange, match="beyond"):
        parse_nanos(10**5_000)


def test_a_very_long_text_is_refused_and_not_repeated_in_full() -> None:
    with pytest.raises(InvalidArgument) as refusal:
        parse_nanos("9" * 1_000_000)
    assert len(str(refusal.value.metadata["value"])) == 64


@given(st.text(max_size=80))
def test_any_text_is_an_amount_or_an_invalid_argument(text: str) -> None:
    try:
        nanos = parse_nanos(text)
    except InvalidArgument:
        return
    assert nanos == Decimal(text) * 1_000_000_000


@given(st.integers(-(10**40), 10**40), st.integers(-(10**20), 10**20).filter(bool))
def test_division_rounds_half_even_like_decimal(numerator: int, denominator: int) -> None:
    with localcontext(prec=120):
        expected = (Decimal(numerator) / Decimal(denominator)).quantize(Decimal(1), ROUND_HALF_EVEN)
    assert divide_half_even(numerator, denominator) == int(expected)


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**6))
def test_exact_halves_go_to_the_even_neighbour(quotient: int, half: int) -> None:
    assert divide_half_even(quotient * 2 * half + half, 2 * half) % 2 == 0


@given(ANY_NANOS, ANY_NANOS)
def test_notional_is_the_exact_product_rounded_once(price: int, quantity: int) -> None:
    with localcontext(prec=80):
        exact = Decimal(price) * Decimal(quantity) / ONE
        expected = int(exact.quantize(Decimal(1), ROUND_HALF_EVEN))
    assert notional_nanos(price, quantity) == expected


def test_notional_may_exceed_int64() -> None:
    assert notional_nanos(MAX_NANOS, MAX_NANOS) > MAX_NANOS


@given(ANY_NANOS)
def test_a_float_and_back_stays_within_the_precision_of_a_float(nanos: int) -> None:
    limited = nanos // 2
    assert from_float(to_float(limited)) == pytest.approx(limited, rel=1e-15, abs=1)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e10, -1e300])
def test_a_float_that_fits_no_amount_is_refused(value: float) -> None:
    with pytest.raises(AmountOutOfRange):
        from_float(value)


@given(CURRENCIES, st.integers(), st.integers())
def test_sums_of_one_currency_add_up(currency: str, first: int, second: int) -> None:
    left, right = Money(currency, first), Money(currency, second)
    assert (left + right) - right == left
    assert left - right == -(right - left)
    assert left + -left == Money(currency)


@pytest.mark.parametrize("operation", [Money.__add__, Money.__sub__])
def test_sums_of_two_currencies_never_add_up(operation: object) -> None:
    assert callable(operation)
    with pytest.raises(InvalidArgument) as refusal:
        operation(Money("USD", 1), Money("EUR", 1))
    assert refusal.value.metadata == {"expected": "USD", "was": "EUR"}


@given(st.integers())
def test_units_and_nanos_have_one_sign_and_give_the_sum_back(nanos: int) -> None:
    units, part = Money("USD", nanos).split()
    assert units * ONE + part == nanos
    assert abs(part) < ONE
    assert units * part >= 0


def test_money_prints_its_amount_and_currency() -> None:
    assert str(Money("USD", -1_500_000_000)) == "-1.5 USD"
