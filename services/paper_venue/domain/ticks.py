"""Ticks of a whole market in one order: quotes, trades and bars of many instruments as columns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]


class Kind(IntEnum):
    """What a row is; the meaning of its columns follows from it."""

    QUOTE = 0
    TRADE = 1
    BAR = 2


class Row(NamedTuple):
    """One tick, with the columns of `Ticks`."""

    time_ns: int
    kind: int
    instrument: int
    a: int
    b: int
    c: int
    d: int
    volume: float


@dataclass(frozen=True, slots=True)
class Ticks:
    """N rows, oldest first; prices and sizes in nanos, `instrument` an index into the market's symbols.

    | kind  | a     | b        | c         | d        | volume |
    |-------|-------|----------|-----------|----------|--------|
    | QUOTE | bid   | bid size | ask       | ask size | 0      |
    | TRADE | price | size     | side sign | trade id | 0      |
    | BAR   | open  | high     | low       | close    | volume |
    """

    time_ns: Int64
    kind: npt.NDArray[np.int8]
    instrument: npt.NDArray[np.int16]
    a: Int64
    b: Int64
    c: Int64
    d: Int64
    volume: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.time_ns)

    def __getitem__(self, rows: slice | npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> "Ticks":
        """Some of the rows; a slice gives views, a mask or an index copies."""
        return Ticks(*(column[rows] for column in self.columns()))

    def columns(self) -> tuple[npt.NDArray[Any], ...]:
        """The columns in the order of the fields."""
        return (self.time_ns, self.kind, self.instrument, self.a, self.b, self.c, self.d, self.volume)

    def rows(self) -> Iterable[Row]:
        """The rows as plain Python values."""
        return map(Row._make, zip(*(column.tolist() for column in self.columns()), strict=True))

    @property
    def is_uniform(self) -> bool:
        """All rows are of one kind and one instrument; the usual case of a recording, and worth a short cut."""
        return (
            len(self) > 0
            and bool((self.instrument == self.instrument[0]).all())
            and bool((self.kind == self.kind[0]).all())
        )

    def counted(self, instruments: int) -> Int64:
        """How many rows there are of each kind and instrument: kinds × instruments."""
        counts = np.zeros((len(Kind), instruments), np.int64)
        if self.is_uniform:
            counts[self.kind[0], self.instrument[0]] = len(self)
        else:
            np.add.at(counts, (self.kind, self.instrument), 1)
        return counts

    def last_of_each(self) -> "Ticks":
        """Only the newest row of every instrument and kind, oldest first."""
        if self.is_uniform:
            return self[-1:]
        key = self.kind.astype(np.int32) * (1 << 16) + self.instrument
        _, from_the_end = np.unique(key[::-1], return_index=True)
        return self[np.sort(len(key) - 1 - from_the_end)]

    def shifted(self, by_ns: int) -> "Ticks":
        """The same rows `by_ns` later."""
        return Ticks(self.time_ns + by_ns, *self.columns()[1:])

    @classmethod
    def empty(cls) -> Self:
        """No rows."""
        none = np.zeros(0, np.int64)
        return cls(none, none.astype(np.int8), none.astype(np.int16), none, none, none, none, none.astype(np.float64))

    @classmethod
    def of(cls, kind: Kind, instrument: int | npt.NDArray[np.int16], time_ns: Int64, *values: Int64) -> Self:
        """Rows of one kind from up to four value columns; a missing column is 0."""
        count = len(time_ns)
        padded: list[Int64] = [*values, *(np.zeros(count, np.int64) for _ in range(4 - len(values)))]
        a, b, c, d = padded
        indices = np.broadcast_to(np.asarray(instrument, np.int16), (count,))
        return cls(time_ns, np.full(count, kind, np.int8), indices, a, b, c, d, np.zeros(count))

    @classmethod
    def concat(cls, parts: Sequence["Ticks"]) -> "Ticks":
        """All rows of all parts, one part after another."""
        if not parts:
            return cls.empty()
        return cls(*(np.concatenate(columns) for columns in zip(*(part.columns() for part in parts), strict=True)))

    @classmethod
    def merged(cls, parts: Sequence["Ticks"]) -> "Ticks":
        """All rows by time; rows of one time keep the order of the parts and their order in a part."""
        together = cls.concat(parts)
        if np.all(together.time_ns[1:] >= together.time_ns[:-1]):
            return together
        return together[np.argsort(together.time_ns, kind="stable")]
