"""Frames that were made of files, kept while the files are the same and while there is room."""

import os
import threading
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import polars as pl


class FileState(NamedTuple):
    """What changes when the content of a path does."""

    path: Path
    inode: int
    size_bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path, status: os.stat_result) -> "FileState":
        """As the file system tells it."""
        return cls(path, status.st_ino, status.st_size, status.st_mtime_ns)


class FrameCache:
    """Those asked for last, in at most so many bytes; may be asked from several threads."""

    def __init__(self, bytes_most: int) -> None:
        self._bytes_most = bytes_most
        self._frames: OrderedDict[FileState, tuple[pl.DataFrame, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, state: FileState) -> pl.DataFrame | None:
        """The frame of a file in this state, if it is still here."""
        with self._lock:
            if state not in self._frames:
                return None
            self._frames.move_to_end(state)
            return self._frames[state][0]

    def put(self, state: FileState, frame: pl.DataFrame, size_bytes: int) -> None:
        """Keep a frame; what was not asked for longest goes."""
        with self._lock:
            if state not in self._frames:
                self._frames[state] = frame, size_bytes
                self._bytes += size_bytes
            while self._bytes > self._bytes_most:
                _, (_, freed) = self._frames.popitem(last=False)
                self._bytes -= freed
