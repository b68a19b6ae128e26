"""The language of row filters: what it means, and what it refuses."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.market_data.adapters.frame_filters import expression
from services.market_data.domain.filters import Column, Comparison, Every, Literal, Not, Some, parse_filter
from trading.errors import InvalidArgument

COLUMNS = ("symbol", "close", "volume")
ROWS = pl.DataFrame({"symbol": ["A", "B", "C"], "close": [1.0, 2.0, 3.0], "volume": [30.0, 20.0, 10.0]})


def kept(text: str) -> list[str]:
    """The symbols of the rows that a filter keeps."""
    found = parse_filter(text, COLUMNS)
    assert found is not None
    return ROWS.filter(expression(found))["symbol"].to_list()


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("close > 1", ["B", "C"]),
        ("close>=2", ["B", "C"]),
        ("close = 2", ["B"]),
        ("close == 2.0e0", ["B"]),
        ("close != 2 and close <> 3", ["A"]),
        ("close < 2 || close > 2", ["A", "C"]),
        ("close < 2 or close > 2 && volume < 15", ["A", "C"]),
        ("(close < 2 or close > 2) AND volume < 15", ["C"]),
        ("not close < 2", ["B", "C"]),
        ("!(close < 2 or volume <= 10)", ["B"]),
        ("symbol == 'B' or symbol == \"C\"", ["B", "C"]),
        ("volume > close", ["A", "B", "C"]),
        ("-1 < close and 2 > close", ["A"]),
        ("close > .5 and close < +1.5", ["A"]),
        ("symbol > 'A'", ["B", "C"]),
    ],
)
def test_a_filter_keeps_the_rows_that_it_says(text: str, symbols: list[str]) -> None:
    assert kept(text) == symbols


def test_and_binds_closer_than_or_and_not_closest() -> None:
    one, two = Comparison(Column("close"), "<", Literal(1)), Comparison(Column("volume"), ">", Literal(2.5))

    assert parse_filter("not close < 1 and volume > 2.5 or close < 1", COLUMNS) == Some((Every((Not(one), two)), one))


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_an_empty_filter_is_none(text: str) -> None:
    assert parse_filter(text, COLUMNS) is None


@pytest.mark.parametrize(
    "text",
    [
        "close",
        "close >",
        "close > 1 and",
        "close > 1 close < 2",
        "(close > 1",
        "close > 1)",
        "price > 1",
        "close > 'x'",
        "symbol == 1",
        "close > 1; drop table bars",
        "__import__('os').system('id')",
        "close.__class__ > 1",
        "exec('1') == 1",
        "close > 1e999",
        "close > 1 # comment",
        "close > `1`",
        "symbol == 'x",
        "1 2",
        "not",
        "close is not null",
        "close > 1" + " and close > 1" * 400,
        "(" * 65 + "close > 1" + ")" * 65,
    ],
)
def test_anything_else_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse_filter(text, COLUMNS)

    assert refused.value.metadata["field"] == "filter"


@given(st.text(max_size=200))
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    try:
        found = parse_filter(text, COLUMNS)
    except InvalidArgument:
        return
    assert found is None or ROWS.filter(expression(found)).height <= 3
