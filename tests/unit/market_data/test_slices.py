"""Tables on the wire: slices that every client of protobuf puts together again."""

import pytest

from neuraltrader.market_data.v1 import market_data_service_pb2 as pb
from services.market_data import translate
from services.market_data.ports import EncodedFrame


@pytest.mark.parametrize("size", [0, 1, 127, 128, 20_000, translate.SLICE_BYTES, 3 * translate.SLICE_BYTES + 1])
def test_slices_are_messages_whose_data_is_the_table(size: int) -> None:
    table = bytes(at % 251 for at in range(size))

    parts = [bytes(part) for part in translate.historical(EncodedFrame(memoryview(table), 7, truncated=True))]  # type: ignore[call-overload]  # they are in wire form

    messages = [pb.GetHistoricalResponse.FromString(part) for part in parts]
    assert b"".join(message.data for message in messages) == table
    assert all(len(message.data) <= translate.SLICE_BYTES for message in messages)
    assert [(message.rows, message.truncated) for message in messages] == [(7, True), *[(0, False)] * (len(parts) - 1)]
