"""Blocks come back from the wire as they were sent, and anything else is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fleet.blocks import decode_quotes, decode_trades, encode_quotes, encode_trades, quotes_message
from neuraltrader.market_data.v1 import market_data_pb2 as pb
from trading.errors import InvalidArgument
from trading.market import QuoteBlock, TradeBlock

INT64 = st.integers(-(2**63), 2**63 - 1)
NAMES = st.text(max_size=12)
QUOTE_COLUMNS = ("event_time_ns", "receive_time_ns", "bid_nanos", "bid_size_nanos", "ask_nanos", "ask_size_nanos")
TRADE_COLUMNS = ("event_time_ns", "receive_time_ns", "price_nanos", "size_nanos", "side_sign")


@st.composite
def quotes(draw: st.DrawFn) -> QuoteBlock:
    length = draw(st.integers(1, 20))
    columns = {name: draw(arrays.arrays(np.int64, length, elements=INT64)) for name in QUOTE_COLUMNS}
    return QuoteBlock(draw(NAMES), draw(NAMES), **columns)


@st.composite
def trades(draw: st.DrawFn) -> TradeBlock:
    length = draw(st.integers(1, 20))
    columns = {name: draw(arrays.arrays(np.int64, length, elements=INT64)) for name in TRADE_COLUMNS}
    ids = draw(st.one_of(st.just([]), st.lists(NAMES, min_size=length, max_size=length)))
    return TradeBlock(draw(NAMES), draw(NAMES), **columns, trade_ids=tuple(ids))


@given(quotes(), INT64, NAMES)
def test_quotes_come_back_as_they_were_sent(block: QuoteBlock, first_sequence: int, feed_id: str) -> None:
    back = decode_quotes(encode_quotes(block, first_sequence, feed_id))
    assert (back.first_sequence, back.feed_id) == (first_sequence, feed_id)
    assert (back.block.venue, back.block.symbol) == (block.venue, block.symbol)
    assert all(np.array_equal(getattr(back.block, name), getattr(block, name)) for name in QUOTE_COLUMNS)
    assert back.block.last() == block.last()


@given(trades(), INT64, NAMES)
def test_trades_come_back_as_they_were_sent(block: TradeBlock, first_sequence: int, feed_id: str) -> None:
    back = decode_trades(encode_trades(block, first_sequence, feed_id))
    assert (back.first_sequence, back.feed_id) == (first_sequence, feed_id)
    assert (back.block.venue, back.block.symbol, back.block.trade_ids) == (block.venue, block.symbol, block.trade_ids)
    assert all(np.array_equal(getattr(back.block, name), getattr(block, name)) for name in TRADE_COLUMNS)


def test_a_column_that_is_a_view_with_strides_is_sent_in_its_order() -> None:
    columns = {name: np.arange(20, dtype=np.int64)[::-2] for name in QUOTE_COLUMNS}
    back = decode_quotes(encode_quotes(QuoteBlock("paper", "AAPL", **columns), 0, "feed"))
    assert back.block.bid_nanos.tolist() == [*range(19, 0, -2)]


@pytest.mark.parametrize("rows", [1, 3])
def test_a_read_block_is_not_copied_and_cannot_be_written(rows: int) -> None:
    columns = {name: np.arange(rows, dtype=np.int64) for name in QUOTE_COLUMNS}
    back = decode_quotes(encode_quotes(QuoteBlock("paper", "AAPL", **columns), 0, "feed"))
    assert not back.block.bid_nanos.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        back.block.bid_nanos[0] = 1


def test_the_wire_is_little_endian() -> None:
    columns = {name: np.array([1], np.int64) for name in QUOTE_COLUMNS}
    message = pb.QuoteBlock.FromString(encode_quotes(QuoteBlock("paper", "AAPL", **columns), 0, "feed"))
    assert message.bid_nanos == b"\x01\0\0\0\0\0\0\0"


def a_message(**changes: bytes) -> bytes:
    columns = dict.fromkeys(QUOTE_COLUMNS, bytes(16))
    return pb.QuoteBlock(symbol="AAPL", **(columns | changes)).SerializeToString()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xff\xff",
        a_message(bid_nanos=bytes(8)),
        a_message(bid_nanos=b""),
        a_message(ask_size_nanos=bytes(24)),
        pb.QuoteBlock(**dict.fromkeys(QUOTE_COLUMNS, bytes(15))).SerializeToString(),
        a_message()[:-3],
    ],
    ids=["nothing", "noise", "short column", "missing column", "long column", "half a number", "cut off"],
)
def test_what_is_no_block_of_quotes_is_refused(payload: bytes) -> None:
    with pytest.raises(InvalidArgument):
        decode_quotes(payload)


@given(st.binary(max_size=64))
def test_noise_is_a_block_or_an_invalid_argument(payload: bytes) -> None:
    for decode in (decode_quotes, decode_trades):
        try:
            assert len(decode(payload).block) > 0
        except InvalidArgument:
            continue


@pytest.mark.parametrize("count", [1, 3])
def test_trades_have_an_id_each_or_none(count: int) -> None:
    columns = dict.fromkeys(TRADE_COLUMNS, bytes(16))
    payload = pb.TradeBlock(trade_ids=["id"] * count, **columns).SerializeToString()
    with pytest.raises(InvalidArgument, match="an id for each, or none"):
        decode_trades(payload)


def alone(venue: str, symbol: str, values: tuple[int, ...]) -> QuoteBlock:
    return QuoteBlock(venue, symbol, *(np.array([value], np.int64) for value in values))


@given(
    venue=st.text(max_size=9),
    symbol=st.text(max_size=9),
    feed=st.text(max_size=40),
    sequence=st.integers(0, 2**63 - 1),
    values=st.tuples(*[INT64] * 6),
)
def test_a_quote_alone_is_what_protobuf_reads_and_writes(
    venue: str, symbol: str, feed: str, sequence: int, values: tuple[int, ...]
) -> None:
    block = alone(venue, symbol, values)
    message = quotes_message(block, sequence, feed)

    written = encode_quotes(block, sequence, feed)

    assert pb.QuoteBlock.FromString(written) == message
    for payload in (written, message.SerializeToString()):
        found = decode_quotes(payload)
        assert (found.block.venue, found.block.symbol, found.first_sequence, found.feed_id) == (
            venue,
            symbol,
            sequence,
            feed,
        )
        columns = [getattr(found.block, name) for name in QUOTE_COLUMNS]
        assert [(column.dtype, column.tolist()) for column in columns] == [(np.int64, [value]) for value in values]


def test_what_is_said_again_behind_a_quote_counts_as_protobuf_says() -> None:
    block = alone("paper", "AAPL", (1, 2, 3, 4, 5, 6))
    more = pb.QuoteBlock(bid_nanos=(9).to_bytes(8, "little"), first_sequence=8).SerializeToString()

    found = decode_quotes(encode_quotes(block, 7, "feed") + more)

    assert (found.block.bid_nanos.tolist(), found.first_sequence, found.block.symbol) == ([9], 8, "AAPL")


@pytest.mark.parametrize("length", [60, 61, 62, 63, 70])
def test_half_a_quote_is_refused(length: int) -> None:
    payload = encode_quotes(alone("paper", "AAPL", (1, 2, 3, 4, 5, 6)), 2**40, "feed")

    with pytest.raises(InvalidArgument):
        decode_quotes(payload[:length] if length > 60 else payload[:59])
