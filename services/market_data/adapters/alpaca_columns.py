"""Alpaca's ticks as columns: decoded structs pile up, and leave as one block per symbol and kind."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from services.market_data.adapters.alpaca_messages import Message, QuoteMessage, TradeMessage
from services.market_data.adapters.alpaca_times import times_ns
from services.market_data.domain.ticks import Ticks
from trading.market import Int64Column, QuoteBlock, TradeBlock
from trading.money import MAX_NANOS, ONE

_SIDES = {"B": 1, "S": -1}
_LARGEST = MAX_NANOS / ONE
# Below this a float64 times 10⁹ is nearer to the right integer than to any other, for up to nine decimals.
_EXACT_BELOW = 2.0**21
Floats = npt.NDArray[np.float64]
Rows = slice | npt.NDArray[np.intp]


class _Columns(NamedTuple):
    """Ticks of one kind: instrument codes (-1 for a stranger), times, and amounts by row."""

    codes: Int64Column
    event_time_ns: Int64Column
    receive_time_ns: Int64Column
    amounts: Floats

    def readable(self) -> npt.NDArray[np.bool_]:
        """Ticks whose symbol, time and amounts mean something."""
        fit = ((self.amounts >= 0) & (self.amounts < _LARGEST)).all(axis=0)
        return fit & (self.codes >= 0) & (self.event_time_ns >= 0)

    def nanos(self) -> tuple[Int64Column, ...]:
        """Both times, then every amount in nanos."""
        return self.event_time_ns, self.receive_time_ns, *map(to_nanos, self.amounts)


class _Codes(dict[str, int]):
    """Numbers of the symbols by the venue's spelling; -1 for one that we did not ask for."""

    def __missing__(self, _spelling: str) -> int:
        return -1


class TickColumns:
    """Collects the ticks of one connection between two drains; `symbols` from the venue's spelling to ours."""

    def __init__(self, venue: str, symbols: Mapping[str, str]) -> None:
        self._venue = venue
        self._symbols = tuple(symbols.values())
        self._codes = _Codes({spelling: code for code, spelling in enumerate(symbols)})
        self._clear()

    def __len__(self) -> int:
        return len(self._ticks) + self._refused

    def add(self, ticks: Sequence[Message], receive_time_ns: int, refused: int = 0) -> None:
        """Take in the ticks of one frame, read at `receive_time_ns`, and the count of its unreadable ones."""
        self._ticks.extend(ticks)
        self._frames.append((receive_time_ns, len(ticks)))
        self._refused += refused

    def drain(self) -> Ticks:
        """Blocks of everything since the last drain; within a symbol in the venue's order."""
        ticks, frames, refused = self._ticks, self._frames, self._refused
        self._clear()
        if not ticks:
            return Ticks(refused=refused)
        received = np.repeat(*np.array(frames, np.int64).T)
        kinds = list(map(type, ticks))
        if kinds.count(QuoteMessage) == len(kinds):  # the usual case, told apart without a step per tick
            quotes, trades = tuple(self._quotes(ticks, received)), tuple[TradeBlock, ...]()
        else:
            quoted = np.array([kind is QuoteMessage for kind in kinds])
            quotes = tuple(self._quotes([tick for tick in ticks if type(tick) is QuoteMessage], received[quoted]))
            trades = tuple(self._trades([tick for tick in ticks if type(tick) is TradeMessage], received[~quoted]))
        made = sum(map(len, quotes)) + sum(map(len, trades))
        return Ticks(quotes, trades, refused + len(ticks) - made)

    def _clear(self) -> None:
        self._ticks: list[Any] = []
        self._frames: list[tuple[int, int]] = []
        self._refused = 0

    def _quotes(self, messages: list[QuoteMessage], received: Int64Column) -> Iterator[QuoteBlock]:
        if not messages:
            return
        spellings, times, *amounts = zip(*map(msgspec.structs.astuple, messages), strict=True)
        columns = self._columns(spellings, times, amounts, received)
        readable = columns.readable()
        if not readable.all():
            kept = [message for message, good in zip(messages, readable, strict=True) if good]
            yield from self._quotes(kept, received[readable])
            return
        nanos = columns.nanos()
        for symbol, rows in self._by_symbol(columns.codes):
            yield QuoteBlock(self._venue, symbol, *(column[rows] for column in nanos))

    def _trades(self, messages: list[TradeMessage], received: Int64Column) -> Iterator[TradeBlock]:
        if not messages:
            return
        spellings, stamps, prices, sizes, ids, sides = zip(*map(msgspec.structs.astuple, messages), strict=True)
        columns = self._columns(spellings, stamps, (prices, sizes), received)
        readable = columns.readable() & (columns.amounts[0] > 0)
        if not readable.all():
            kept = [message for message, good in zip(messages, readable, strict=True) if good]
            yield from self._trades(kept, received[readable])
            return
        nanos = (*columns.nanos(), np.array([_SIDES.get(side, 0) for side in sides], np.int64))
        names = np.array(list(map(str, ids)), object)
        for symbol, rows in self._by_symbol(columns.codes):
            times, reads, price, size, sign = (column[rows] for column in nanos)
            yield TradeBlock(self._venue, symbol, times, reads, price, size, sign, tuple(names[rows]))

    def _columns(self, spellings: Any, times: Any, amounts: Any, received: Int64Column) -> _Columns:
        coded = np.fromiter(map(self._codes.__getitem__, spellings), np.int64, len(spellings))
        return _Columns(coded, times_ns(times), received, np.array(amounts, np.float64))

    def _by_symbol(self, codes: Int64Column) -> Iterator[tuple[str, Rows]]:
        """The rows of each symbol, in order: all of them when there is one symbol only."""
        if (codes == codes[0]).all():
            yield self._symbols[int(codes[0])], slice(None)
            return
        order = np.argsort(codes, kind="stable")
        starts = np.flatnonzero(np.diff(codes[order]))
        for rows in np.split(order, starts + 1):
            yield self._symbols[int(codes[rows[0]])], rows


def to_nanos(amounts: Floats) -> Int64Column:
    """Nanos of decimals that came as floats: exact for up to nine decimals, rounded half-even beyond."""
    nanos = np.rint(amounts * ONE).astype(np.int64)
    # Whole numbers are exact at any size; large fractions are read by their shortest text, as they were written.
    for row in np.flatnonzero((amounts >= _EXACT_BELOW) & (amounts != np.floor(amounts))):
        nanos[row] = int((Decimal(repr(float(amounts[row]))) * ONE).to_integral_value())
    return nanos
