"""Retries start at once and slow down within their bounds."""

from hypothesis import given
from hypothesis import strategies as st

from services.market_data.domain.backoff import BackOff


def test_the_first_retry_is_within_its_jitter() -> None:
    assert [BackOff().next_s(fraction) for fraction in (0.0, 0.5)] == [0.0, 0.125]


def test_later_waits_double_up_to_the_cap() -> None:
    back_off = BackOff()

    waits = [back_off.next_s(0.0) for _ in range(8)]

    assert waits == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=200))
def test_no_wait_is_longer_than_the_cap(fractions: list[float]) -> None:
    back_off = BackOff()

    waits = [back_off.next_s(fraction) for fraction in fractions]

    assert waits[0] <= 0.25
    assert all(0.5 <= wait <= 30.0 for wait in waits[1:])


def test_after_data_the_next_loss_is_a_first_one() -> None:
    back_off = BackOff()
    back_off.next_s(0.5)
    back_off.next_s(0.5)

    back_off.reset()

    assert back_off.next_s(0.0) == 0.0
