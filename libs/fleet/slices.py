"""Large tables in slices: messages of `bytes data = 1, int64 rows = 2, bool truncated = 3`, in wire form at both ends.

protobuf's own library copies the bytes three times on each side, which takes longer than sending them. Written here
they are copied once, read here not at all. What goes over the wire is what its library writes and reads.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError, Message

SLICE_BYTES = 1024 * 1024
_DATA, _ROWS, _TRUNCATED = 1, 2, 3
_VARINT, _LENGTH_DELIMITED = 0, 2
_FIXED = {1: 8, 5: 4}
"""Octets of the forms of one size."""
_VARINT_LONGEST = 10


class Slice(NamedTuple):
    """A piece of a table; the first says what the whole amounts to."""

    data: memoryview
    rows: int = 0
    truncated: bool = False


def sliced(parts: Sequence[memoryview], rows: int, *, truncated: bool) -> Iterator[bytes]:
    """The messages of a table whose bytes lie in several pieces (one-dimensional, of octets); at least one."""
    head = b"".join((_tag(_ROWS, _VARINT), varint(rows))) if rows else b""
    if truncated:
        head += _tag(_TRUNCATED, _VARINT) + b"\x01"
    for pieces in _gathered(parts):
        yield b"".join((head, _tag(_DATA, _LENGTH_DELIMITED), varint(sum(map(len, pieces))), *pieces))
        head = b""


def read_slice(wire: bytes) -> Slice:
    """A message; its data is a view of `wire`. Unknown fields are passed over. Raises DecodeError."""
    data, rows, truncated, at = memoryview(b""), 0, 0, 0
    while at < len(wire):
        tag, at = read_varint(wire, at)
        field, form = tag >> 3, tag & 7
        value, at = _skipped(wire, at, form)
        if at > len(wire):
            raise DecodeError("The message ends within a field.")
        if (field, form) == (_DATA, _LENGTH_DELIMITED):
            data = memoryview(wire)[at - value : at]
        elif (field, form) == (_ROWS, _VARINT):
            rows = value
        elif (field, form) == (_TRUNCATED, _VARINT):
            truncated = value
    return Slice(data, rows, bool(truncated))


def slices_of(channel: grpc.aio.Channel, service: ServiceDescriptor, method: str) -> Callable[..., Any]:
    """A method that streams slices, to be called as a stub's."""
    return channel.unary_stream(
        f"/{service.full_name}/{method}", request_serializer=_encoded, response_deserializer=read_slice
    )


def _encoded(request: Message) -> bytes:
    return request.SerializeToString()


def _gathered(parts: Sequence[memoryview]) -> Iterator[list[memoryview]]:
    """Pieces of at most SLICE_BYTES together, in order; one of nothing when there is nothing."""
    pieces: list[memoryview] = []
    room = SLICE_BYTES
    for part in parts:
        while len(part):
            pieces.append(part[:room])
            room -= len(pieces[-1])
            part = part[len(pieces[-1]) :]
            if not room:
                yield pieces
                pieces, room = [], SLICE_BYTES
    if pieces or not any(map(len, parts)):
        yield pieces


def _skipped(wire: bytes, at: int, form: int) -> tuple[int, int]:
    """The value of a varint or the length of bytes, and where the field ends."""
    if form == _VARINT:
        return read_varint(wire, at)
    if form == _LENGTH_DELIMITED:
        length, at = read_varint(wire, at)
        return length, at + length
    if form in _FIXED:
        return 0, at + _FIXED[form]
    raise DecodeError("The message holds a field of no known form.")


def _tag(field: int, form: int) -> bytes:
    return bytes((field << 3 | form,))


def varint(number: int) -> bytes:
    """A whole number in seven bits a byte, the lowest first."""
    text = bytearray()
    while number > 0x7F:
        text.append(number & 0x7F | 0x80)
        number >>= 7
    text.append(number)
    return bytes(text)


def read_varint(wire: bytes, at: int) -> tuple[int, int]:
    """A whole number, and where what follows it begins. Raises DecodeError."""
    number = 0
    for place, octet in enumerate(wire[at : at + _VARINT_LONGEST]):
        number |= (octet & 0x7F) << 7 * place
        if octet < 0x80:
            return number, at + place + 1
    raise DecodeError("The message ends within a number.")
