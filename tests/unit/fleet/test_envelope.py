"""A durable event says what it is in its headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.envelope import event_id, header_lines


def headers(time_ns: int = 0, traceparent: str | None = None) -> dict[str, str]:
    lines = header_lines(event_id="7", event_type="t", source="s", time_ns=time_ns, traceparent=traceparent)
    version, *rest, last, end = lines.decode().split("\r\n")
    assert (version, last, end) == ("NATS/1.0", "", "")
    return dict(line.split(": ", 1) for line in rest)


def test_a_line_break_smuggles_no_header_in() -> None:
    with pytest.raises(ValueError, match="line break"):
        headers(traceparent="00-x\r\nNats-Msg-Id: another")


def test_the_headers_are_those_of_the_contract() -> None:
    assert set(headers()) == {"Nats-Msg-Id", "ce-specversion", "ce-id", "ce-type", "ce-source", "ce-time"}
    assert set(headers(traceparent="00-x")) - set(headers()) == {"traceparent"}


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000000000Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (1_700_000_000_999_999_999, "2023-11-14T22:13:20.999999999Z"),
    ],
)
def test_the_time_keeps_every_nanosecond(time_ns: int, text: str) -> None:
    assert headers(time_ns)["ce-time"] == text


@given(st.integers(0, 4_000_000_000_000_000_000))
def test_times_sort_as_text(time_ns: int) -> None:
    assert headers(time_ns)["ce-time"] < headers(time_ns + 1)["ce-time"]


@pytest.mark.parametrize(
    ("received", "expected"), [({"ce-id": "a", "Nats-Msg-Id": "b"}, "a"), ({"Nats-Msg-Id": "b"}, "b"), ({}, "")]
)
def test_the_id_of_an_event_is_found_in_either_header(received: dict[str, str], expected: str) -> None:
    assert event_id(received) == expected
