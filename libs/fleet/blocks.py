"""Blocks of ticks on the wire: protobuf with little-endian int64 columns, read without a copy."""

from typing import NamedTuple

import numpy as np
from google.protobuf.message import DecodeError

from neuraltrader.market_data.v1 import market_data_pb2 as pb
from trading.errors import InvalidArgument
from trading.market import Int64Column, Quote, QuoteBlock, TradeBlock

_LITTLE_ENDIAN = np.dtype("<i8")
_ITEM_BYTES = 8
_BLOCK_COLUMNS = ("event_time_ns", "receive_time_ns")
_QUOTE_COLUMNS = (*_BLOCK_COLUMNS, "bid_nanos", "bid_size_nanos", "ask_nanos", "ask_size_nanos")
_TRADE_COLUMNS = (*_BLOCK_COLUMNS, "price_nanos", "size_nanos", "side_sign")


class SequencedQuotes(NamedTuple):
    """A block and its place among all quotes of its symbol in one run of the feed."""

    block: QuoteBlock
    first_sequence: int
    feed_id: str


class SequencedTrades(NamedTuple):
    """A block and its place among all trades of its symbol in one run of the feed."""

    block: TradeBlock
    first_sequence: int
    feed_id: str


def to_quote(message: pb.Quote) -> Quote:
    """A single quote in the words of the trade."""
    return Quote(
        message.symbol,
        message.bid_nanos,
        message.bid_size_nanos,
        message.ask_nanos,
        message.ask_size_nanos,
        message.event_time_ns,
        message.receive_time_ns,
        message.venue,
    )


def quotes_message(block: QuoteBlock, first_sequence: int, feed_id: str) -> pb.QuoteBlock:
    """The protobuf form of a block of quotes."""
    return pb.QuoteBlock(
        venue=block.venue,
        symbol=block.symbol,
        first_sequence=first_sequence,
        feed_id=feed_id,
        event_time_ns=_to_bytes(block.event_time_ns),
        receive_time_ns=_to_bytes(block.receive_time_ns),
        bid_nanos=_to_bytes(block.bid_nanos),
        bid_size_nanos=_to_bytes(block.bid_size_nanos),
        ask_nanos=_to_bytes(block.ask_nanos),
        ask_size_nanos=_to_bytes(block.ask_size_nanos),
    )


def encode_quotes(block: QuoteBlock, first_sequence: int, feed_id: str) -> bytes:
    """Serialise a block of quotes."""
    return quotes_message(block, first_sequence, feed_id).SerializeToString()


def decode_quotes(payload: bytes) -> SequencedQuotes:
    """Read a block of quotes; raises InvalidArgument when it is none or its columns differ in length."""
    message = pb.QuoteBlock()
    _parse(message, payload)
    columns = _columns(message, _QUOTE_COLUMNS)
    return SequencedQuotes(
        QuoteBlock(message.venue, message.symbol, **columns), message.first_sequence, message.feed_id
    )


def encode_trades(block: TradeBlock, first_sequence: int, feed_id: str) -> bytes:
    """Serialise a block of trades."""
    columns = {name: _to_bytes(getattr(block, name)) for name in _TRADE_COLUMNS}
    message = pb.TradeBlock(
        venue=block.venue,
        symbol=block.symbol,
        first_sequence=first_sequence,
        feed_id=feed_id,
        trade_ids=block.trade_ids,
        **columns,
    )
    return message.SerializeToString()


def decode_trades(payload: bytes) -> SequencedTrades:
    """Read a block of trades; raises InvalidArgument when it is none or its columns differ in length."""
    message = pb.TradeBlock()
    _parse(message, payload)
    columns = _columns(message, _TRADE_COLUMNS)
    if len(message.trade_ids) not in (0, len(columns["price_nanos"])):
        raise InvalidArgument("A block of trades has an id for each, or none.", symbol=message.symbol)
    block = TradeBlock(message.venue, message.symbol, **columns, trade_ids=tuple(message.trade_ids))
    return SequencedTrades(block, message.first_sequence, message.feed_id)


def _to_bytes(column: Int64Column) -> bytes:
    return column.tobytes() if column.dtype is _LITTLE_ENDIAN else column.astype(_LITTLE_ENDIAN).tobytes()


def _parse(message: pb.QuoteBlock | pb.TradeBlock, payload: bytes) -> None:
    try:
        message.ParseFromString(payload)
    except DecodeError as error:
        raise InvalidArgument("Not a block of ticks.", bytes=len(payload)) from error


def _columns(message: pb.QuoteBlock | pb.TradeBlock, names: tuple[str, ...]) -> dict[str, Int64Column]:
    raw = {name: getattr(message, name) for name in names}
    sizes = {len(column) for column in raw.values()}
    if len(sizes) != 1 or (size := sizes.pop()) == 0 or size % _ITEM_BYTES:
        raise InvalidArgument("Columns of a block are empty, broken or of different length.", symbol=message.symbol)
    return {name: np.frombuffer(column, _LITTLE_ENDIAN) for name, column in raw.items()}
