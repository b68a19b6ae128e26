"""A question about bars is checked once, and its cursor leads through every page and nowhere else."""

import base64
import json
from typing import Any

import pytest
from builders.market import NOON_NS, a_bar
from hypothesis import given
from hypothesis import strategies as st

from services.market_data.domain.bar_query import BarQuery, bar_query
from trading.clock import DAY_NS, MINUTE_NS
from trading.errors import InvalidArgument
from trading.market import Interval


def a_query(**changes: Any) -> BarQuery:
    question: dict[str, Any] = {
        "symbols": ("AAPL", "MSFT"), "interval": "1m", "start_ns": NOON_NS, "end_ns": NOON_NS + 60 * MINUTE_NS,
        "page_size": 100, "now_ns": NOON_NS + DAY_NS,
    }  # fmt: skip
    return bar_query(**(question | changes))


def test_an_empty_question_means_the_last_day_of_minutes() -> None:
    query = a_query(interval="", start_ns=0, end_ns=0, page_size=0)

    assert (query.interval, query.start_ns, query.end_ns, query.page_size) == (
        Interval.ONE_MINUTE, NOON_NS, NOON_NS + DAY_NS, 1_000,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"symbols": ()}, "symbols"),
        ({"symbols": ("AAPL",) * 2}, "symbols"),
        ({"symbols": tuple(map(str, range(1_001)))}, "symbols"),
        ({"interval": "2m"}, "interval"),
        ({"interval": "1M"}, "interval"),
        ({"start_ns": -1}, "start_time_ns"),
        ({"end_ns": -1}, "end_time_ns"),
        ({"start_ns": NOON_NS, "end_ns": NOON_NS}, "start_time_ns"),
        ({"page_size": -1}, "page_size"),
        ({"page_size": 10_001}, "page_size"),
    ],
)
def test_a_wrong_value_is_refused_with_its_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        a_query(**changes)

    assert refused.value.metadata["field"] == field


def test_a_cursor_carries_the_rest_of_the_question_with_its_times() -> None:
    rest = a_query(end_ns=0).after_symbols(1).after_bar(a_bar(symbol="MSFT", minute=3))

    resumed = a_query(start_ns=0, end_ns=0, now_ns=NOON_NS + 9 * DAY_NS).resumed(rest.cursor())

    assert resumed == rest


def test_a_finished_question_has_no_cursor() -> None:
    assert a_query().after_symbols(2).cursor() == ""
    assert a_query().resumed("") == a_query()


@pytest.mark.parametrize("other", [{"symbols": ("AAPL", "TSLA")}, {"symbols": ("MSFT", "AAPL")}, {"interval": "5m"}])
def test_a_cursor_of_another_question_is_refused(other: dict[str, Any]) -> None:
    cursor = a_query().after_symbols(1).cursor()

    with pytest.raises(InvalidArgument) as refused:
        a_query(**other).resumed(cursor)

    assert refused.value.metadata["field"] == "cursor"


@given(st.text(max_size=60) | st.lists(st.integers() | st.floats() | st.text(), max_size=6).map(lambda s: _coded(s)))
def test_any_text_is_a_cursor_of_ours_or_refused(text: str) -> None:
    if not text:
        assert a_query().resumed(text) == a_query()
        return
    with pytest.raises(InvalidArgument) as refused:
        a_query().resumed(text)
    assert refused.value.metadata["field"] == "cursor"


@pytest.mark.parametrize(
    "forged", [[9, 1, 1, 1], [-1, NOON_NS, NOON_NS, NOON_NS], [0, 5, NOON_NS, NOON_NS], [0, 1, 1, 2**63]]
)
def test_a_forged_place_is_refused(forged: list[int]) -> None:
    honest = json.loads(base64.urlsafe_b64decode(a_query().cursor()))

    with pytest.raises(InvalidArgument):
        a_query().resumed(_coded([*forged, honest[-1]]))


def test_symbols_are_asked_together_when_all_their_bars_fit() -> None:
    days = a_query(interval="1d", start_ns=NOON_NS, end_ns=NOON_NS + 8 * DAY_NS, symbols=("A", "B", "C"))

    assert days.group(20) == ("A", "B")
    assert days.group(5) == ("A",)
    assert days.after_bar(a_bar(symbol="A")).group(100) == ("A",)


def _coded(state: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(state).encode()).decode()
