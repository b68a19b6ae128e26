"""What the order streams of all venues share."""

import pytest

from services.execution.adapters.venue_socket import StreamPatience, decoded
from trading.errors import InvalidArgument


def test_waits_grow_to_their_cap() -> None:
    """The first at once, but for the jitter."""
    patience = StreamPatience(jitter_s=0, first_wait_s=0.5, longest_wait_s=3)
    assert [patience.wait_s(failures) for failures in range(6)] == [0, 0.5, 1, 2, 3, 3]
    jittered = [StreamPatience(jitter_s=0.25).wait_s(0) for _ in range(50)]
    assert 0 <= min(jittered) < max(jittered) <= 0.25


@pytest.mark.parametrize(("frame", "found"), [('{"a": 1}', {"a": 1}), (b"[]", {}), ("7", {})])
def test_a_frame_is_an_object_or_nothing(frame: str | bytes, found: dict[str, int]) -> None:
    assert decoded(frame) == found


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="no JSON"):
        decoded("<html>")
