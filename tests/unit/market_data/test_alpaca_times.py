"""Venue times keep every nanosecond in every form that they come in."""

from datetime import UTC, datetime

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.market_data.adapters.alpaca_times import UNREADABLE, rfc3339, rfc3339_ns, times_ns
from trading.money import MAX_NANOS, ONE

TIMES = st.lists(st.integers(0, 2**34 * ONE - 1).filter(lambda time: time <= MAX_NANOS), min_size=1, max_size=20)
A_TIME_NS = 1_770_131_045_123_456_789


def packed(time_ns: int) -> msgspec.Raw:
    return msgspec.Raw(msgpack.packb(msgpack.Timestamp(*divmod(time_ns, ONE))))


def text(value: str) -> msgspec.Raw:
    return msgspec.Raw(f'"{value}"'.encode())


@given(TIMES)
def test_msgpack_timestamps_of_all_lengths_are_exact(times: list[int]) -> None:
    assert times_ns([packed(time) for time in times]).tolist() == times


@given(TIMES)
def test_json_texts_are_exact(times: list[int]) -> None:
    assert times_ns([text(rfc3339(time)) for time in times]).tolist() == times


def test_a_msgpack_text_is_understood_too() -> None:
    raw = msgspec.Raw(msgpack.packb("2026-02-03T15:04:05.123456789Z"))

    assert times_ns([raw]).tolist() == [A_TIME_NS]


@pytest.mark.parametrize(
    ("value", "time_ns"),
    [
        ("2026-02-03T15:04:05.123456789Z", A_TIME_NS),
        ("2026-02-03T16:04:05.123456789+01:00", A_TIME_NS),
        ("2026-02-03T15:04:05Z", A_TIME_NS // ONE * ONE),
        ("2026-02-03T15:04:05.1Z", A_TIME_NS // ONE * ONE + 100_000_000),
        ("1970-01-01T00:00:00Z", 0),
    ],
)
def test_rfc_3339_is_read_with_any_offset_and_precision(value: str, time_ns: int) -> None:
    assert rfc3339_ns(value) == time_ns
    assert times_ns([text(value), text("2026-02-03T16:04:05+01:00")]).tolist()[0] == time_ns


@pytest.mark.parametrize(
    "raw", [b'""', b'"soon"', b'"NaT"', b"7", b"\xc0", b"null", b"", b'"2026-02-03T15:04:05"', b'"\xff"']
)
def test_what_is_no_time_is_unreadable_and_spoils_no_neighbour(raw: bytes) -> None:
    times = times_ns([msgspec.Raw(raw), packed(A_TIME_NS)])

    assert times.tolist() == [UNREADABLE, A_TIME_NS]


def test_all_texts_of_which_one_is_broken_leave_the_rest() -> None:
    assert times_ns([text("brokenZ"), text("2026-02-03T15:04:05.123456789Z")]).tolist() == [UNREADABLE, A_TIME_NS]


def test_times_outside_int64_are_unreadable() -> None:
    too_late = msgpack.packb(msgpack.Timestamp(2**40, 0))

    assert times_ns([msgspec.Raw(too_late)]).tolist() == [UNREADABLE]
    assert times_ns([packed(2**34 * ONE - 1)]).tolist()[0] < 0


def test_a_time_is_written_with_nine_decimals() -> None:
    assert rfc3339(A_TIME_NS) == "2026-02-03T15:04:05.123456789Z"
    assert datetime.fromisoformat(rfc3339(MAX_NANOS)).astimezone(UTC).year == 2262
