"""A ring gives out whole records in order, says what it has lost, and outlives a killed writer."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from multiprocessing.shared_memory import SharedMemory

import numpy as np
import pytest
from servers import wait_until

from fleet.ring import SEGMENTS, Geometry, RingClosed, RingReader, RingWriter, create_ring, open_ring
from trading.errors import AlreadyExists, InvalidArgument, Unavailable
from trading.ids import new_id

pytestmark = pytest.mark.skipif(not SEGMENTS.is_dir(), reason="POSIX shared memory is no folder here")
WORDS = 8
RECORD_BYTES = WORDS * 8


@pytest.fixture
def name() -> Iterator[str]:
    made = f"nt-test-{new_id()}"
    yield made
    assert not (SEGMENTS / made).exists(), "a segment was left behind"
    assert not (SEGMENTS / f"{made}.lock").exists(), "a lock was left behind"


def a_geometry(capacity: int = 8, user_bytes: int = 0) -> Geometry:
    return Geometry(RECORD_BYTES, capacity, user_bytes)


def numbered(first: int, count: int) -> np.ndarray:
    """Records that repeat their own number in every word: a torn one is seen at once."""
    return np.repeat(np.arange(first, first + count, dtype=np.int64)[:, None], WORDS, axis=1)


def numbers(rows: np.ndarray) -> list[int]:
    words = rows.view(np.int64).reshape(-1, WORDS)
    assert (words == words[:, :1]).all(), "a torn record"
    return [int(number) for number in words[:, 0]]


def a_ring(stack: ExitStack, name: str, capacity: int = 8) -> tuple[RingWriter, RingReader]:
    writer = stack.enter_context(create_ring(name, a_geometry(capacity)))
    return writer, stack.enter_context(open_ring(name))


def test_what_is_written_is_read_once_and_in_order(name: str) -> None:
    with ExitStack() as stack:
        writer, reader = a_ring(stack, name)
        writer.write(numbered(0, 3))
        writer.write_one(numbered(3, 1).tobytes())

        assert numbers(reader.take()) == [0, 1, 2, 3]
        assert numbers(reader.take()) == []
        assert (reader.lost, reader.position, writer.written) == (0, 4, 4)


def test_a_block_that_wraps_around_the_end_is_read_in_two_parts(name: str) -> None:
    with ExitStack() as stack:
        writer, reader = a_ring(stack, name)
        writer.write(numbered(0, 6))
        reader.take()
        writer.write(numbered(6, 5))

        assert reader.behind == 5
        assert [numbers(reader.take()), numbers(reader.take())] == [[6, 7], [8, 9, 10]]


def test_at_most_so_many_records_are_taken_as_are_asked_for(name: str) -> None:
    with ExitStack() as stack:
        writer, reader = a_ring(stack, name)
        writer.write(numbered(0, 5))

        assert [numbers(reader.take(2)), numbers(reader.take(2)), numbers(reader.take(2))] == [[0, 1], [2, 3], [4]]


def test_a_reader_that_is_overtaken_counts_its_loss_and_goes_on_with_the_oldest(name: str) -> None:
    with ExitStack() as stack:
        writer, reader = a_ring(stack, name)
        writer.write(numbered(0, 6))
        writer.write(numbered(6, 6))

        assert numbers(reader.take()) == [4, 5, 6, 7]
        assert numbers(reader.take()) == [8, 9, 10, 11]
        assert reader.lost == 4


def test_of_a_block_larger_than_the_ring_the_newest_remain(name: str) -> None:
    with ExitStack() as stack:
        writer, reader = a_ring(stack, name)
        writer.write(numbered(0, 21))

        taken = numbers(reader.take()) + numbers(reader.take())
        assert (taken, reader.lost) == (list(range(13, 21)), 13)


def test_a_glimpse_is_no_copy_and_is_not_confirmed_once_it_was_overwritten(name: str) -> None:
    with ExitStack() as stack:
        writer, reader = a_ring(stack, name)
        writer.write(numbered(0, 4))
        glimpse = reader.glimpse()
        assert numbers(glimpse.rows) == [0, 1, 2, 3]

        writer.write(numbered(4, 6))

        assert numbers(glimpse.rows) == [8, 9, 2, 3]
        assert (reader.confirm(glimpse), reader.lost) == (2, 2)
        assert numbers(reader.take()) == [4, 5, 6, 7]


def test_a_glimpse_that_nobody_touched_is_confirmed(name: str) -> None:
    with ExitStack() as stack:
        writer, reader = a_ring(stack, name)
        writer.write(numbered(0, 4))

        assert (reader.confirm(reader.glimpse()), reader.lost, reader.behind) == (0, 0, 0)


def test_a_reader_cannot_write(name: str) -> None:
    with ExitStack() as stack:
        writer, reader = a_ring(stack, name)
        writer.write(numbered(0, 1))

        with pytest.raises(ValueError, match="read-only"):
            reader.glimpse().rows[0] = 1


def test_a_late_reader_may_begin_with_the_oldest(name: str) -> None:
    with create_ring(name, a_geometry()) as writer:
        writer.write(numbered(0, 11))
        with open_ring(name, from_oldest=True) as reader:
            taken = numbers(reader.take()) + numbers(reader.take())

    assert taken == [3, 4, 5, 6, 7, 8, 9, 10]


def test_a_writer_that_leaves_is_noticed_after_its_last_record(name: str) -> None:
    with ExitStack() as stack:
        with create_ring(name, a_geometry()) as writer:
            reader = stack.enter_context(open_ring(name))
            writer.write(numbered(0, 2))

        assert (reader.is_closed, numbers(reader.take())) == (True, [0, 1])
        with pytest.raises(RingClosed):
            reader.take()


def test_the_writer_says_more_beside_the_records(name: str) -> None:
    with create_ring(name, a_geometry(user_bytes=5000)) as writer, open_ring(name) as reader:
        assert reader.user() == b""
        writer.user[:3] = np.frombuffer(b"abc", np.uint8)
        writer.publish_user(3)

        assert (reader.user(), reader.geometry.user_bytes, reader.writer_pid) == (b"abc", 5000, os.getpid())


def test_a_second_writer_is_refused_as_long_as_the_first_lives(name: str) -> None:
    with create_ring(name, a_geometry()) as writer:
        with pytest.raises(AlreadyExists, match="has a writer"), create_ring(name, a_geometry()):
            pass
        with open_ring(name) as reader:
            writer.write(numbered(0, 1))
            assert numbers(reader.take()) == [0]


def test_there_is_no_ring_where_nobody_made_one(name: str) -> None:
    with pytest.raises(Unavailable, match="no ring called"), open_ring(name):
        pass


@pytest.mark.parametrize("size", [0, 8192])
def test_a_segment_that_is_no_ring_is_not_read_but_replaced(name: str, size: int) -> None:
    (SEGMENTS / name).write_bytes(bytes(size))
    with pytest.raises(Unavailable, match="is no ring"), open_ring(name):
        pass

    with create_ring(name, a_geometry()) as writer:
        assert writer.written == 0


@pytest.mark.parametrize("text", ["", "a/b", "..", ".hidden"])
def test_a_name_cannot_lead_elsewhere(text: str) -> None:
    with pytest.raises(InvalidArgument), open_ring(text):
        pass


@pytest.mark.parametrize(("record_bytes", "capacity"), [(0, 8), (1 << 20, 8), (64, 1), (64, 12), (64, 1 << 40)])
def test_an_impossible_size_is_refused(record_bytes: int, capacity: int) -> None:
    with pytest.raises(InvalidArgument):
        Geometry(record_bytes, capacity)


def test_half_a_record_is_refused(name: str) -> None:
    with create_ring(name, a_geometry()) as writer:
        with pytest.raises(InvalidArgument):
            writer.write(np.zeros(WORDS + 1, np.int64))
        with pytest.raises(InvalidArgument):
            writer.write_one(b"short")


def test_a_ring_that_memory_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(Unavailable, match="cannot be made"), create_ring(name, Geometry(1 << 16, 1 << 28)):
        pass


WRITER = """
import sys, time
import numpy as np
from fleet.ring import Geometry, create_ring
name, capacity, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with create_ring(name, Geometry(64, capacity)) as writer:
    print("ready", flush=True)
    sys.stdin.readline()
    at = 0
    while at < count:
        rows = np.repeat(np.arange(at, min(at + 1 + at % 700, count), dtype=np.int64)[:, None], 8, axis=1)
        writer.write_one(rows.tobytes()) if len(rows) == 1 else writer.write(rows)
        at += len(rows)
    print("done", flush=True)
    sys.stdin.readline()
"""

READER = """
import json, sys
import numpy as np
from fleet.ring import RingClosed, open_ring
torn = read = gaps = lost_before = 0
newest = -1
with open_ring(sys.argv[1]) as reader:
    print("ready", flush=True)
    try:
        while True:
            words = reader.take(1000).view(np.int64).reshape(-1, 8)
            if not len(words):
                continue
            torn += int((words != words[:, :1]).any(axis=1).sum())
            gaps += int((np.diff(words[:, 0]) != 1).sum())
            gaps += int(words[0, 0] - newest - 1 != reader.lost - lost_before)
            newest, lost_before, read = int(words[-1, 0]), reader.lost, read + len(words)
    except RingClosed:
        print(json.dumps({"torn": torn, "read": read, "gaps": gaps, "lost": reader.lost}))
"""


def a_process(code: str, *arguments: object) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


@pytest.mark.parametrize("capacity", [64, 4096])
def test_readers_in_other_processes_never_see_a_torn_record(name: str, capacity: int) -> None:
    """The small ring is overtaken all the time; what a reader gets is whole, in order, and its losses add up."""
    count = 1_000_000
    writer = a_process(WRITER, name, capacity, count)
    readers = [a_process(READER, name) for _ in range(2)]
    said, _ = writer.communicate("\n\n", timeout=60)
    assert said == "done\n"

    for reader in readers:
        facts = json.loads(reader.communicate(timeout=60)[0])
        assert (facts["torn"], facts["gaps"]) == (0, 0)
        assert facts["read"] + facts["lost"] == count
        assert facts["read"] > 0


def test_a_reader_s_end_leaves_the_ring_as_it_is(name: str) -> None:
    """Python 3.11 would remove a segment with the first process that attached to it."""
    with ExitStack() as stack:
        writer, reader = a_ring(stack, name)
        other = a_process(READER, name)
        other.kill()
        other.communicate()

        writer.write(numbered(0, 1))
        assert numbers(reader.take()) == [0]
        assert (SEGMENTS / name).exists()


def test_it_is_a_segment_like_any_other_of_python_s(name: str) -> None:
    with create_ring(name, a_geometry(capacity=64)) as writer:
        writer.write(numbered(7, 1))
        foreign = SharedMemory(name)  # this attaches, and registers for removal as `create_ring` strikes off
        try:
            assert numbers(np.frombuffer(bytes(foreign.buf[4096 : 4096 + 64]), np.int64)) == [7]
        finally:
            foreign.close()
            from multiprocessing import resource_tracker

            resource_tracker.unregister(f"/{name}", "shared_memory")


def test_what_a_killed_writer_has_left_is_taken_over(name: str) -> None:
    killed = a_process(WRITER, name, 64, 10)
    with ExitStack() as stack:
        reader = stack.enter_context(open_ring(name))
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        assert (SEGMENTS / name).exists()
        assert not reader.is_closed

        writer = stack.enter_context(create_ring(name, a_geometry()))

        with pytest.raises(RingClosed):
            reader.take()
        writer.write(numbered(0, 1))
        with open_ring(name, from_oldest=True) as fresh:
            assert numbers(fresh.take()) == [0]


def test_a_writer_that_ends_in_good_order_removes_its_segment(name: str) -> None:
    writer = a_process(WRITER, name, 64, 10)
    assert (SEGMENTS / name).exists()

    _, complaints = writer.communicate("\n\n", timeout=60)

    wait_until(lambda: not (SEGMENTS / name).exists(), "the segment's end")
    assert (writer.returncode, complaints) == (0, "")
