"""Blocks of ticks on the wire: protobuf with little-endian int64 columns, read without a copy."""

import struct
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from google.protobuf.message import DecodeError

from fleet.slices import read_varint, varint
from neuraltrader.market_data.v1 import market_data_pb2 as pb
from trading.errors import InvalidArgument
from trading.market import Int64Column, Quote, QuoteBlock, TradeBlock

_LITTLE_ENDIAN = np.dtype("<i8")
_ITEM_BYTES = 8
_INT64_MOST = 2**63 - 1
_BLOCK_COLUMNS = ("event_time_ns", "receive_time_ns")
_QUOTE_COLUMNS = (*_BLOCK_COLUMNS, "bid_nanos", "bid_size_nanos", "ask_nanos", "ask_size_nanos")
_TRADE_COLUMNS = (*_BLOCK_COLUMNS, "price_nanos", "size_nanos", "side_sign")


_NAMES_KEPT = 65_536
_FIELDS = pb.QuoteBlock.DESCRIPTOR.fields_by_name
_HEADS = tuple((_FIELDS[name].number << 3 | 2) + (_ITEM_BYTES << 8) for name in _QUOTE_COLUMNS)
"""Tag and length of a column of one value, as they stand side by side."""
_SEQUENCE = _FIELDS["first_sequence"].number << 3
_ONE_QUOTE = struct.Struct("<" + "Hq" * len(_HEADS) + "B")
"""Six columns of one value, and the tag of the sequence."""
_SKELETON = (*_HEADS, _SEQUENCE)
_SIX = struct.Struct("<6q")


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
    if len(block) == 1 and first_sequence >= 0:
        return _encode_one(block, first_sequence, feed_id)
    return quotes_message(block, first_sequence, feed_id).SerializeToString()


def decode_quotes(payload: bytes) -> SequencedQuotes:
    """Read a block of quotes; raises InvalidArgument when it is none or its columns differ in length."""
    if (one := _decode_one(payload)) is not None:
        return one
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


def _encode_one(block: QuoteBlock, first_sequence: int, feed_id: str) -> bytes:
    """A quote alone: six columns of one value, its number, and names that are the same each time."""
    event, receive, bid, bid_size, ask, ask_size = _HEADS
    values = _ONE_QUOTE.pack(
        event, block.event_time_ns.item(), receive, block.receive_time_ns.item(),
        bid, block.bid_nanos.item(), bid_size, block.bid_size_nanos.item(),
        ask, block.ask_nanos.item(), ask_size, block.ask_size_nanos.item(), _SEQUENCE,
    )  # fmt: skip
    return b"".join((values, varint(first_sequence), _names(block.venue, block.symbol, feed_id)))


def _decode_one(payload: bytes) -> SequencedQuotes | None:
    """A quote as `_encode_one` writes it; None for every other block, which protobuf reads."""
    if len(payload) < _ONE_QUOTE.size:
        return None
    fields = _ONE_QUOTE.unpack_from(payload)
    if fields[0::2] != _SKELETON:
        return None
    try:
        first_sequence, at = read_varint(payload, _ONE_QUOTE.size)
    except DecodeError as error:
        raise InvalidArgument("Not a block of ticks.", bytes=len(payload)) from error
    names = _read_names(payload[at:])
    if names is None or first_sequence > _INT64_MOST:
        return None
    columns = np.frombuffer(_SIX.pack(*fields[1::2]), _LITTLE_ENDIAN).reshape(6, 1)
    venue, symbol, feed_id = names
    return SequencedQuotes(QuoteBlock(venue, symbol, *columns), first_sequence, feed_id)


@lru_cache(maxsize=_NAMES_KEPT)
def _names(venue: str, symbol: str, feed_id: str) -> bytes:
    return pb.QuoteBlock(venue=venue, symbol=symbol, feed_id=feed_id).SerializeToString()


@lru_cache(maxsize=_NAMES_KEPT)
def _read_names(payload: bytes) -> tuple[str, str, str] | None:
    """Venue, symbol and feed when these are all that is said."""
    message = pb.QuoteBlock()
    _parse(message, payload)
    is_all = pb.QuoteBlock(venue=message.venue, symbol=message.symbol, feed_id=message.feed_id) == message
    return (message.venue, message.symbol, message.feed_id) if is_all else None


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
