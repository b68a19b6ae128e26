"""Tables on the wire: slices that every client of protobuf writes and reads the same way."""

from itertools import pairwise

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from fleet.slices import SLICE_BYTES, read_slice, sliced
from neuraltrader.market_data.v1 import market_data_service_pb2 as pb

MESSAGES = (pb.GetHistoricalResponse, pb.QueryHistoryResponse)


def octets(size: int) -> bytes:
    return bytes(at % 251 for at in range(size))


@pytest.mark.parametrize("size", [0, 1, 127, 128, 20_000, SLICE_BYTES, 3 * SLICE_BYTES + 1])
@pytest.mark.parametrize("pieces", [1, 2, 5])
def test_protobuf_reads_the_slices_and_together_they_are_the_table(size: int, pieces: int) -> None:
    table = octets(size)
    cuts = [size * at // pieces for at in range(pieces + 1)]
    parts = [memoryview(table)[start:end] for start, end in pairwise(cuts)]

    slices = list(sliced(parts, 7, truncated=True))

    for message in MESSAGES:
        found = [message.FromString(one) for one in slices]
        assert b"".join(one.data for one in found) == table
        assert all(len(one.data) <= SLICE_BYTES for one in found)
        assert [(one.rows, one.truncated) for one in found] == [(7, True), *[(0, False)] * (len(slices) - 1)]


@given(data=st.binary(max_size=300), rows=st.integers(0, 2**63 - 1), truncated=st.booleans())
def test_what_protobuf_writes_is_read(data: bytes, rows: int, truncated: bool) -> None:
    wire = pb.GetHistoricalResponse(data=data, rows=rows, truncated=truncated).SerializeToString()

    assert read_slice(wire) == (data, rows, truncated)


def test_data_is_a_view_of_the_message() -> None:
    (wire,) = sliced([memoryview(b"abc")], 1, truncated=False)

    assert read_slice(wire).data.obj is wire


def test_fields_of_a_later_version_are_passed_over() -> None:
    later = b"\x20\x80\x01" + b"\x29" + bytes(8) + b"\x35" + bytes(4) + b"\x3a\x02hi"
    wire = later + pb.GetHistoricalResponse(data=b"abc", rows=2).SerializeToString()

    assert read_slice(wire) == (b"abc", 2, False)


@pytest.mark.parametrize("wire", [b"\x0a", b"\x0a\x05abc", b"\x0b", b"\x10" + b"\xff" * 10, b"\x29" + bytes(7)])
def test_half_a_message_is_refused(wire: bytes) -> None:
    with pytest.raises(DecodeError):
        read_slice(wire)
