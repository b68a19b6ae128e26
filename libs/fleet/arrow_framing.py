"""The frames of an Arrow IPC stream, looked at before anything is read: how many, none compressed, no part absent.

A reader that decompresses takes as much memory as the sender likes. nanoarrow 0.9 ends the whole process when a part is
absent that every writer writes, or when a length times a width overflows. Only the fields of the format's FlatBuffers
that tell are followed (Message.fbs, Schema.fbs, FlatBuffers' internals document); `struct` checks every offset.
"""

import struct
from collections.abc import Iterator

MOST_FRAMES = 1024
MOST_FIELDS = 10_000
"""Columns of a schema, those within columns too."""
_MOST_VALUES = 1 << 40
_CONTINUATION = 0xFFFFFFFF
_SCHEMA, _DICTIONARY_BATCH, _RECORD_BATCH = 1, 2, 3
_HEADER_TYPE, _HEADER, _BODY_LENGTH = 1, 2, 3
_FIELDS, _PAIRS_OF_SCHEMA = 1, 2
_NAME, _TYPE, _DICTIONARY, _CHILDREN, _PAIRS_OF_FIELD = 0, 3, 4, 5, 6
_KEY, _VALUE = 0, 1
_INDEX_TYPE = 1
_DATA_OF_DICTIONARY = 1
_NODES, _BUFFERS, _COMPRESSION = 1, 2, 3


class BadFrames(ValueError):
    """A stream that is not read, and why."""


class UnwelcomeFrames(BadFrames):
    """Frames in good order that are not taken all the same: compressed, or too many."""


def check_frames(stream: bytes) -> None:
    """Raise BadFrames, or the UnwelcomeFrames among them, unless the frames are few and without compression."""
    try:
        for count, frame in enumerate(_frames(memoryview(stream)), start=1):
            if count > MOST_FRAMES:
                raise UnwelcomeFrames(f"Expected at most {MOST_FRAMES} frames.")
            _check_message(frame)
    except (struct.error, IndexError, OverflowError) as error:
        raise BadFrames("It is cut short or broken.") from error


def _frames(stream: memoryview) -> Iterator[memoryview]:
    """The metadata of each frame."""
    position = 0
    while position < len(stream):
        marker, size = struct.unpack_from("<Ii", stream, position)
        if marker != _CONTINUATION:
            raise BadFrames("It does not begin as an Arrow IPC stream does.")
        if not size:
            return
        metadata = stream[position + 8 : position + 8 + size]
        if size < 0 or len(metadata) != size:
            raise BadFrames("It is cut short or broken.")
        yield metadata
        root = _root(metadata)
        body = _field(metadata, root, _BODY_LENGTH)
        body_bytes = struct.unpack_from("<q", metadata, body)[0] if body else 0
        if body_bytes < 0:
            raise BadFrames("It is cut short or broken.")
        position += 8 + size + body_bytes


def _check_message(metadata: memoryview) -> None:
    """Raise BadFrames when a part is absent that readers take for granted, UnwelcomeFrames for compression."""
    root = _root(metadata)
    kind_place = _field(metadata, root, _HEADER_TYPE)
    kind, header = metadata[kind_place] if kind_place else 0, _part(metadata, root, _HEADER)
    if kind == _SCHEMA:
        _check_schema(metadata, header)
    elif kind == _DICTIONARY_BATCH:
        _check_batch(metadata, _part(metadata, header, _DATA_OF_DICTIONARY))
    elif kind == _RECORD_BATCH:
        _check_batch(metadata, header)


def _check_batch(metadata: memoryview, batch: int) -> None:
    _part(metadata, batch, _BUFFERS)
    nodes = _part(metadata, batch, _NODES)
    counts = struct.unpack_from(f"<{2 * _length(metadata, nodes)}q", metadata, nodes + 4)
    if any(not 0 <= count <= _MOST_VALUES for count in counts):  # a reader's product of it and a width would overflow
        raise BadFrames("It is broken: a column has no length that can be.")
    if _field(metadata, batch, _COMPRESSION):
        raise UnwelcomeFrames("Expected uncompressed record batches.")


def _check_schema(metadata: memoryview, schema: int) -> None:
    """Look at every field, nested ones too; that tables may share their parts is why they are counted."""
    _part(metadata, schema, _FIELDS)
    _check_pairs(metadata, schema, _PAIRS_OF_SCHEMA)
    fields, seen = _tables(metadata, schema, _FIELDS), 0
    while fields:
        seen += len(fields)
        if seen > MOST_FIELDS:
            raise UnwelcomeFrames(f"Expected at most {MOST_FIELDS} columns.")
        fields = [child for field in fields for child in _children(metadata, field)]


def _children(metadata: memoryview, field: int) -> list[int]:
    for number in (_NAME, _TYPE):
        _part(metadata, field, number)
    dictionary = _field(metadata, field, _DICTIONARY)
    if dictionary:
        _part(metadata, _table(metadata, dictionary), _INDEX_TYPE)
    _check_pairs(metadata, field, _PAIRS_OF_FIELD)
    return _tables(metadata, field, _CHILDREN)


def _check_pairs(metadata: memoryview, table: int, number: int) -> None:
    for pair in _tables(metadata, table, number):
        for part in (_KEY, _VALUE):
            _part(metadata, pair, part)


def _tables(metadata: memoryview, table: int, number: int) -> list[int]:
    """The tables of a vector; none when it is absent."""
    place = _field(metadata, table, number)
    if not place:
        return []
    vector = _table(metadata, place)
    offsets = struct.unpack_from(f"<{_length(metadata, vector)}I", metadata, vector + 4)
    return [vector + 4 + 4 * index + offset for index, offset in enumerate(offsets)]


def _length(metadata: memoryview, vector: int) -> int:
    """How many elements a vector has."""
    count = int(struct.unpack_from("<I", metadata, vector)[0])
    if count > MOST_FIELDS:
        raise UnwelcomeFrames(f"Expected at most {MOST_FIELDS} columns.")
    return count


def _part(metadata: memoryview, table: int, number: int) -> int:
    """Where a part is that the table must have."""
    place = _field(metadata, table, number)
    if not place:
        raise BadFrames("It is broken: a part is absent.")
    return _table(metadata, place)


def _root(metadata: memoryview) -> int:
    return _table(metadata, 0)


def _table(metadata: memoryview, pointer: int) -> int:
    """Where the table is that a pointer points at."""
    return int(pointer + struct.unpack_from("<I", metadata, pointer)[0])


def _field(metadata: memoryview, table: int, number: int) -> int:
    """Where a field of a table is; 0 when it is absent."""
    directory = table - struct.unpack_from("<i", metadata, table)[0]
    if directory < 0:
        raise BadFrames("It is cut short or broken.")
    size = struct.unpack_from("<H", metadata, directory)[0]
    entry = 4 + 2 * number
    if entry >= size:
        return 0
    offset = struct.unpack_from("<H", metadata, directory + entry)[0]
    return table + offset if offset else 0
