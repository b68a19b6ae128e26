"""Any name is one token of a subject, and comes back from it."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import subjects
from trading.market import Interval

NAMES = st.text(min_size=1)


@given(st.text())
def test_any_text_comes_back(text: str) -> None:
    assert subjects.unescape(subjects.escape(text)) == text


@given(NAMES)
def test_an_escaped_text_is_one_token(text: str) -> None:
    token = subjects.escape(text)
    assert token
    assert not re.search(r"[.*>\s\x00-\x20\x7f]", token)


@given(st.text(), st.text())
def test_two_texts_never_share_a_token(first: str, second: str) -> None:
    assert (subjects.escape(first) == subjects.escape(second)) == (first == second)


@given(st.text(string.ascii_letters + string.digits + "-_/:"))
def test_plain_symbols_stay_readable(text: str) -> None:
    assert subjects.escape(text) == text


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("BRK.B", "BRK%2EB"),
        ("100%", "100%25"),
        ("a*b", "a%2Ab"),
        ("a>b", "a%3Eb"),
        ("a b", "a%20b"),
        ("x\r\nPUB y 0\r\n", "x%0D%0APUB%20y%200%0D%0A"),
        ("%2E", "%252E"),
        ("a\u2028b", "a%E2%80%A8b"),
    ],
)
def test_what_means_something_to_nats_is_escaped(text: str, token: str) -> None:
    assert subjects.escape(text) == token


@pytest.mark.parametrize(
    ("subject", "pattern"),
    [
        (subjects.quote("paper", "BRK.B"), subjects.QUOTES_ALL),
        (subjects.trade("paper", "BRK.B"), subjects.TRADES_ALL),
        (subjects.bar(Interval.ONE_MINUTE, "paper", "BRK.B"), subjects.BARS_ALL),
        (subjects.gap("paper", "BRK.B"), subjects.GAPS_ALL),
        (subjects.venue_status("up", "paper"), subjects.VENUE_STATUS_ALL),
        (subjects.prediction("ofi.v2", "BRK.B"), subjects.PREDICTIONS_ALL),
        (subjects.signal("ofi.v2", "BRK.B"), subjects.SIGNALS_ALL),
        (subjects.order_event("FILL", "main.1"), subjects.ORDERS_ALL),
        (subjects.order_event("FILL", "main.1"), subjects.FILLS_ALL),
        (subjects.position_changed("main.1"), subjects.POSITIONS_ALL),
        (subjects.position_changed("main.1"), subjects.PORTFOLIO_ALL),
    ],
)
def test_a_subject_is_among_those_of_its_pattern(subject: str, pattern: str) -> None:
    rule = re.escape(pattern).replace(r"\*", "[^.]+").replace(">", ".+")
    assert re.fullmatch(rule, subject)


def test_subjects_are_spelt_as_the_design_says() -> None:
    assert subjects.quote("alpaca", "BTC-USDT") == "market_data.v1.quote.alpaca.BTC-USDT"
    assert subjects.bar(Interval.ONE_MINUTE, "alpaca", "AAPL") == "market_data.v1.bar.1m.alpaca.AAPL"
    assert subjects.order_event("FILL", "main") == "execution.v1.order.fill.main"
    assert subjects.charge("FEE", "main") == "execution.v1.charge.fee.main"
    assert subjects.venue_status("down", "alpaca") == "market_data.v1.venue.down.alpaca"
    assert subjects.position_changed("main") == "portfolio.v1.position.changed.main"
