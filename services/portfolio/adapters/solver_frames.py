"""What a solver process and its parent say to each other: jobs one way, solutions or failures the other.

A frame is a header and a pickle. Matrices do not travel through the pipe: pickle hands them out as buffers of
their own, and a job's are laid into an arena, memory that both processes map, where the worker reads them in place.
The large ones come first, so that a matrix that comes again lies where it lay, and is not copied again.
Pickle is safe here: both ends are this program, and the pipe has no other writer.
"""

import mmap
import os
import pickle
import struct
import tempfile
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from services.portfolio.domain.optimiser.answer import Solution
from services.portfolio.domain.optimiser.problem import Problem
from trading.errors import Kind, TradingError

HEADER = struct.Struct("<QQQ")
"""Bytes of the pickle, bytes of the arena in use, and where in it the buffers' table begins."""
_ALIGNED = 64
_SPANS = struct.Struct("<QQ")
_LARGE = 1 << 20
"""Bytes from which a matrix is worth recognising."""


class Job(NamedTuple):
    """Problems to solve one after another, and the longest time that a search in any may take."""

    problems: tuple[Problem, ...]
    time_limit_s: float


class Failure(NamedTuple):
    """A named error on its way to the parent."""

    kind: Kind
    reason: str
    message: str
    metadata: dict[str, Any]

    def error(self) -> TradingError:
        """The error it stands for."""
        return TradingError(self.kind, self.reason, self.message, **self.metadata)


Reply = tuple[Solution, ...] | Failure
_NOTHING = object()


class Arena:
    """Memory that two processes share by a file that has no name; it ends with them."""

    def __init__(self, file: int) -> None:
        self.file = file
        self._memory: mmap.mmap | None = None
        self._lies: dict[int, weakref.ref[Any]] = {}

    @classmethod
    def create(cls) -> Self:
        """A new one, empty; its file is to be inherited by the other process."""
        if hasattr(os, "memfd_create"):
            return cls(os.memfd_create("solver"))
        with tempfile.TemporaryFile() as unnamed:
            return cls(os.dup(unnamed.fileno()))

    def view(self, size: int) -> memoryview:
        """The first `size` bytes; the arena grows to hold them, and views taken before stay what they were."""
        if self._memory is None or len(self._memory) < size:
            if os.fstat(self.file).st_size < size:
                os.ftruncate(self.file, -size // mmap.PAGESIZE * -mmap.PAGESIZE)
            self._memory = mmap.mmap(self.file, 0)
        return memoryview(self._memory)[:size]

    def holds(self, matrix: object) -> bool:
        """Whether a large matrix of an earlier job still lies here."""
        return any(known() is matrix for known in self._lies.values())

    def fill(self, sources: Sequence[memoryview], starts: Sequence[int], used: int) -> memoryview:
        """The first `used` bytes with every buffer where it is to begin; large ones that lie there stay as they are."""
        memory = self.view(used)
        large = {start: source.obj for source, start in zip(sources, starts, strict=True) if source.nbytes >= _LARGE}
        lying = {start for start, known in self._lies.items() if known() is large.get(start, _NOTHING)}
        self._lies = {}  # what fails half-way has to be copied again
        for source, start in zip(sources, starts, strict=True):
            if start not in lying:
                # by NumPy, which lets other threads run while it copies
                target = np.frombuffer(memory[start : start + source.nbytes], np.uint8)
                np.copyto(target, np.frombuffer(source, np.uint8))
        self._lies = {start: weakref.ref(matrix) for start, matrix in large.items()}
        return memory

    def close(self) -> None:
        """Let go of the file; the memory goes with the last view."""
        os.close(self.file)


def packed(content: object, arena: Arena) -> bytes:
    """The frame of a job; its matrices are copied into the arena."""
    buffers: list[pickle.PickleBuffer] = []
    payload = pickle.dumps(content, protocol=5, buffer_callback=buffers.append)
    raw = [buffer.raw() for buffer in buffers]
    starts, table = _placed([view.nbytes for view in raw])
    used = table + _SPANS.size * len(raw)
    memory = arena.fill(raw, starts, used)
    for index, (view, start) in enumerate(zip(raw, starts, strict=True)):
        _SPANS.pack_into(memory, table + index * _SPANS.size, start, view.nbytes)
    return HEADER.pack(len(payload), used, table) + payload


def _placed(sizes: list[int]) -> tuple[list[int], int]:
    """Where buffers of these sizes begin, the large ones first, and where the last one ends, each aligned."""
    starts, end = [0] * len(sizes), 0
    for index in sorted(range(len(sizes)), key=lambda index: sizes[index] < _LARGE):
        starts[index] = end
        end += -sizes[index] // _ALIGNED * -_ALIGNED
    return starts, end


def unpacked(payload: bytes, used: int, table: int, arena: Arena) -> Any:
    """What is in a job's frame; its matrices are views of the arena, good until the next job."""
    memory = arena.view(used).toreadonly() if used else memoryview(b"")
    spans = [_SPANS.unpack_from(memory, at) for at in range(table, used, _SPANS.size)]
    buffers = [memory[start : start + size] for start, size in spans]
    return pickle.loads(payload, buffers=buffers)  # noqa: S301  both ends are this program


def frame(content: object) -> bytes:
    """The frame of a reply, which is small and has no part in the arena."""
    payload = pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL)
    return HEADER.pack(len(payload), 0, 0) + payload


def unframe(payload: bytes) -> Any:
    """What is in a reply's payload."""
    return pickle.loads(payload)  # noqa: S301  both ends are this program
