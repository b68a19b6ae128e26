"""What a reader in C would fall over is refused before it: each byte of a stream's metadata may be anything."""

import struct

import pyarrow as pa
import pytest

from fleet.arrow_framing import MOST_FIELDS, BadFrames, UnwelcomeFrames, check_frames


def a_stream(*columns: pa.Array, metadata: dict[str, str] | None = None) -> bytes:
    table = pa.table(list(columns), [f"c{place}" for place in range(len(columns))], metadata=metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


WORDS = pa.array(["a", "b", "a"]).dictionary_encode()
WHOLE = a_stream(pa.array([1.0, 2.0, 3.0]), WORDS, metadata={"matrix": "returns"})


def frames_of(stream: bytes) -> list[tuple[int, int]]:
    """Where the metadata of each frame begins and ends."""
    found, start = [], 0
    reader = pa.ipc.MessageReader.open_stream(stream)
    for message in reader:
        size = int.from_bytes(stream[start + 4 : start + 8], "little")
        found.append((start + 8, start + 8 + size))
        start += 8 + size + message.body.size
    return found


SCHEMA, DICTIONARY, BATCH = frames_of(WHOLE)


def changed(place: int, value: int) -> bytes:
    broken = bytearray(WHOLE)
    broken[place] = value
    return bytes(broken)


def said_of(stream: bytes) -> str:
    try:
        check_frames(stream)
    except BadFrames as error:
        return str(error)
    return ""


def test_a_whole_stream_is_let_through() -> None:
    check_frames(WHOLE)


@pytest.mark.parametrize("frame", [SCHEMA, DICTIONARY, BATCH], ids=["schema", "dictionary", "batch"])
def test_a_part_that_is_absent_is_refused_and_nothing_else_is_raised(frame: tuple[int, int]) -> None:
    """Some byte of every frame, set to nothing, takes a part away that readers take for granted."""
    said = {said_of(changed(place, value)) for place in range(*frame) for value in (0, 1, 4, 127, 255)}
    assert "It is broken: a part is absent." in said


@pytest.mark.parametrize("count", [-1, 1 << 61, (1 << 40) + 1])
def test_a_length_that_would_overflow_is_refused(count: int) -> None:
    begin, end = BATCH
    node = WHOLE.rindex(struct.pack("<qq", 3, 0), begin, end)
    broken = WHOLE[:node] + struct.pack("<q", count) + WHOLE[node + 8 :]
    assert said_of(broken) == "It is broken: a column has no length that can be."


def test_a_dictionary_without_the_type_of_its_indices_is_refused() -> None:
    """Flatbuffers allow it; the reader would follow nothing."""
    begin, end = SCHEMA
    table = WHOLE.index(bytes.fromhex("08000800 00000400"), begin, end)
    assert said_of(changed(table, 4)) == "It is broken: a part is absent."


def test_columns_within_columns_are_counted() -> None:
    nested = pa.array([], pa.struct([(f"f{place}", pa.float64()) for place in range(MOST_FIELDS // 2)]))
    check_frames(a_stream(nested))
    with pytest.raises(UnwelcomeFrames, match=f"at most {MOST_FIELDS} columns"):
        check_frames(a_stream(nested, nested))
    wide = pa.array([], pa.struct([(f"f{place}", pa.float64()) for place in range(MOST_FIELDS + 1)]))
    with pytest.raises(UnwelcomeFrames, match=f"at most {MOST_FIELDS} columns"):
        check_frames(a_stream(wide))
