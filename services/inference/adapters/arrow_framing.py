"""The frames of an Arrow IPC stream, looked at before anything is read: how many there are, and none compressed.

A reader that decompresses takes as much memory as the sender likes. Only the few fields of the format's FlatBuffers
that tell are followed (Message.fbs and FlatBuffers' internals document); every offset is checked by `struct`.
"""

import struct
from collections.abc import Iterator

MOST_FRAMES = 1024
_CONTINUATION = 0xFFFFFFFF
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
_HEADER_TYPE, _HEADER, _BODY_LENGTH = 1, 2, 3
_DATA_OF_DICTIONARY, _COMPRESSION = 1, 3


class BadFrames(ValueError):
    """A stream that is not read, and why."""


def check_frames(stream: bytes) -> None:
    """Raise BadFrames unless the stream is a bounded number of frames without compression."""
    try:
        for count, frame in enumerate(_frames(memoryview(stream)), start=1):
            if count > MOST_FRAMES:
                raise BadFrames(f"Expected at most {MOST_FRAMES} frames.")
            if _is_compressed(frame):
                raise BadFrames("Expected uncompressed record batches.")
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


def _is_compressed(metadata: memoryview) -> bool:
    root = _root(metadata)
    kind, header = (_field(metadata, root, number) for number in (_HEADER_TYPE, _HEADER))
    if not kind or not header or metadata[kind] not in (_DICTIONARY_BATCH, _RECORD_BATCH):
        return False
    batch = _table(metadata, header)
    if metadata[kind] == _DICTIONARY_BATCH:
        data = _field(metadata, batch, _DATA_OF_DICTIONARY)
        if not data:
            return False
        batch = _table(metadata, data)
    return _field(metadata, batch, _COMPRESSION) != 0


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
