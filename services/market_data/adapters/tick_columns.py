"""Ticks as columns: decoded structs pile up, and leave as one block per symbol and kind, whatever the protocol."""

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from services.market_data.domain.ticks import Carried, Ticks
from trading.market import Int64Column, QuoteBlock, TradeBlock
from trading.money import MAX_NANOS, ONE

LARGEST = MAX_NANOS / ONE
"""No amount reaches this."""
# Below this a float64 times 10⁹ is nearer to the right integer than to any other, for up to nine decimals.
_EXACT_BELOW = 2.0**21
FEW = 16
"""Ticks up to which Python's own numbers are faster than NumPy: one tick alone is drained in a third of the time."""
_QUOTE = struct.Struct("=6q")
Floats = npt.NDArray[np.float64]
Rows = slice | npt.NDArray[np.intp]


class QuoteFields(NamedTuple):
    """Quotes by field: the venue's spellings, ns UTC (negative where unreadable), and bid, size, ask, size."""

    spellings: Sequence[str]
    times_ns: Int64Column
    amounts: Sequence[Sequence[Any]]


class TradeFields(NamedTuple):
    """Trades by field; amounts are prices and sizes, signs +1 for a buyer, −1 for a seller, 0 where it is not told."""

    spellings: Sequence[str]
    times_ns: Int64Column
    amounts: Sequence[Sequence[Any]]
    ids: Sequence[Any]
    signs: Sequence[int]


class _Codes(dict[str, int]):
    """Numbers of the symbols by the venue's spelling; -1 for one that we did not ask for."""

    def __missing__(self, _spelling: str) -> int:
        return -1


class TickColumns(ABC):
    """Collects the ticks of one connection between two drains; `symbols` from the venue's spelling to ours.

    A protocol says which of its messages are quotes and trades and how their fields are read.
    """

    quote_type: type
    trade_type: type

    def __init__(self, venue: str, symbols: Mapping[str, str]) -> None:
        self._venue = venue
        self._symbols = tuple(symbols.values())
        self._codes = _Codes({spelling: code for code, spelling in enumerate(symbols)})
        self._clear()

    def __len__(self) -> int:
        return len(self._ticks) + self._refused + len(self._carried)

    def add(self, ticks: Sequence[Any], receive_time_ns: int, refused: int = 0) -> None:
        """Take in the ticks of one frame, read at `receive_time_ns`, and the count of its unreadable ones."""
        self._ticks.extend(ticks)
        self._frames.append((receive_time_ns, len(ticks)))
        self._refused += refused

    def carry(self, block: QuoteBlock, first_sequence: int) -> None:
        """Take in a quote that has been published."""
        self._carried.append(Carried(block, first_sequence))

    def drain(self) -> Ticks:
        """Blocks of everything since the last drain; within a symbol in the venue's order."""
        ticks, frames, refused, carried = self._ticks, self._frames, self._refused, tuple(self._carried)
        self._clear()
        if not ticks:
            return Ticks(refused=refused, carried=carried)
        if len(ticks) == 1 and (alone := self.alone(ticks[0], frames[-1][0])) is not None:
            return Ticks((alone,), refused=refused, carried=carried)
        received = _received(frames)
        kinds = list(map(type, ticks))
        if kinds.count(self.quote_type) == len(kinds):  # the usual case, told apart without a step per tick
            quotes, trades = tuple(self._quotes(ticks, received)), tuple[TradeBlock, ...]()
        else:
            quoted = np.array([kind is self.quote_type for kind in kinds])
            quotes = tuple(self._quotes([tick for tick in ticks if type(tick) is self.quote_type], received[quoted]))
            trades = tuple(self._trades([tick for tick in ticks if type(tick) is self.trade_type], received[~quoted]))
        made = sum(map(len, quotes)) + sum(map(len, trades))
        return Ticks(quotes, trades, refused + len(ticks) - made, carried=carried)

    def alone(self, message: Any, received_ns: int) -> QuoteBlock | None:
        """A block of one usual quote, as the general way makes it, for which the code of NumPy is not woken up.

        None when it is no quote, or one that needs a closer look.
        """
        if type(message) is not self.quote_type:
            return None
        spelling, time_ns, amounts = self._quote_alone(message, received_ns)
        if (code := self._codes[spelling]) < 0 or time_ns < 0:
            return None
        try:
            bid, bid_size, ask, ask_size = map(float, amounts)
        except ValueError:
            return None
        if not (0 <= bid < _EXACT_BELOW and 0 <= bid_size < _EXACT_BELOW):
            return None
        if not (0 <= ask < _EXACT_BELOW and 0 <= ask_size < _EXACT_BELOW):
            return None
        values = _QUOTE.pack(
            time_ns, received_ns, round(bid * ONE), round(bid_size * ONE), round(ask * ONE), round(ask_size * ONE)
        )
        return QuoteBlock(self._venue, self._symbols[code], *np.frombuffer(values, np.int64).reshape(6, 1))

    @abstractmethod
    def _quote_alone(self, message: Any, received_ns: int) -> tuple[str, int, Sequence[Any]]:
        """The spelling, the ns UTC (negative where unreadable), and bid, size, ask, size of one quote."""

    @abstractmethod
    def _quote_fields(self, messages: Sequence[Any], received: Int64Column) -> QuoteFields:
        """The fields of quotes that were read at `received`."""

    @abstractmethod
    def _trade_fields(self, messages: Sequence[Any], received: Int64Column) -> TradeFields:
        """The fields of trades that were read at `received`."""

    def _floats(self, amounts: Sequence[Sequence[Any]]) -> Floats:
        """Amounts as floats, to see whether they mean something."""
        return np.array(amounts, np.float64)

    def _nanos(self, amounts: Sequence[Any], floats: Floats) -> Int64Column:
        """The same amounts, exactly."""
        return to_nanos(floats)

    def _clear(self) -> None:
        self._ticks: list[Any] = []
        self._frames: list[tuple[int, int]] = []
        self._refused = 0
        self._carried: list[Carried] = []

    def _quotes(self, messages: Sequence[Any], received: Int64Column) -> Iterator[QuoteBlock]:
        if not messages:
            return
        fields = self._quote_fields(messages, received)
        if (few := self._few(fields)) is not None:
            yield QuoteBlock(self._venue, few[0], fields.times_ns, received, *few[1])
            return
        codes, floats = self._coded(fields.spellings), self._floats(fields.amounts)
        readable = _readable(codes, fields.times_ns, floats)
        if not readable.all():
            yield from self._quotes(_kept(messages, readable), received[readable])
            return
        nanos = [self._nanos(*pair) for pair in zip(fields.amounts, floats, strict=True)]
        for symbol, rows in self._by_symbol(codes):
            columns = (column[rows] for column in (fields.times_ns, received, *nanos))
            yield QuoteBlock(self._venue, symbol, *columns)

    def _trades(self, messages: Sequence[Any], received: Int64Column) -> Iterator[TradeBlock]:
        if not messages:
            return
        fields = self._trade_fields(messages, received)
        if (few := self._few(fields)) is not None and min(few[1][0].tolist()) > 0:
            symbol, (prices, sizes) = few
            signs, ids = np.array(fields.signs, np.int64), tuple(map(str, fields.ids))
            yield TradeBlock(self._venue, symbol, fields.times_ns, received, prices, sizes, signs, ids)
            return
        codes, floats = self._coded(fields.spellings), self._floats(fields.amounts)
        readable = _readable(codes, fields.times_ns, floats) & (floats[0] > 0)
        if not readable.all():
            yield from self._trades(_kept(messages, readable), received[readable])
            return
        nanos = [self._nanos(*pair) for pair in zip(fields.amounts, floats, strict=True)]
        signs, names = np.array(fields.signs, np.int64), np.array(list(map(str, fields.ids)), object)
        for symbol, rows in self._by_symbol(codes):
            times, reads, price, size, sign = (column[rows] for column in (fields.times_ns, received, *nanos, signs))
            yield TradeBlock(self._venue, symbol, times, reads, price, size, sign, tuple(names[rows]))

    def _few(self, fields: QuoteFields | TradeFields) -> tuple[str, npt.NDArray[np.int64]] | None:
        """Symbol and amounts in nanos by column, when these are a few usual ticks of one symbol.

        The same as the general way with hardly any NumPy, whose calls cost more than a few ticks.
        """
        spellings, count = fields.spellings, len(fields.spellings)
        code = self._codes[spellings[0]]
        if count > FEW or code < 0 or spellings.count(spellings[0]) < count or min(fields.times_ns.tolist()) < 0:
            return None
        columns = self._floats(fields.amounts).tolist()
        if not all(0 <= amount < _EXACT_BELOW for column in columns for amount in column):
            return None
        return self._symbols[code], np.array([[round(one * ONE) for one in column] for column in columns], np.int64)

    def _coded(self, spellings: Sequence[str]) -> Int64Column:
        return np.fromiter(map(self._codes.__getitem__, spellings), np.int64, len(spellings))

    def _by_symbol(self, codes: Int64Column) -> Iterator[tuple[str, Rows]]:
        """The rows of each symbol, in order: all of them when there is one symbol only."""
        if len(codes) == 1 or (codes == codes[0]).all():
            yield self._symbols[int(codes[0])], slice(None)
            return
        order = np.argsort(codes, kind="stable")
        starts = np.flatnonzero(np.diff(codes[order]))
        for rows in np.split(order, starts + 1):
            yield self._symbols[int(codes[rows[0]])], rows


def _readable(codes: Int64Column, times_ns: Int64Column, floats: Floats) -> npt.NDArray[np.bool_]:
    """Ticks whose symbol, time and amounts mean something."""
    if len(codes) <= FEW and min(codes.tolist() + times_ns.tolist()) >= 0 and _mean_something(floats.ravel().tolist()):
        return np.ones(len(codes), np.bool_)
    fit: npt.NDArray[np.bool_] = ((floats >= 0) & (floats < LARGEST)).all(axis=0) & (codes >= 0) & (times_ns >= 0)
    return fit


def _mean_something(amounts: list[float]) -> bool:
    return all(0 <= amount < LARGEST for amount in amounts)


def _kept(messages: Sequence[Any], readable: npt.NDArray[np.bool_]) -> list[Any]:
    return [message for message, good in zip(messages, readable, strict=True) if good]


def _received(frames: Sequence[tuple[int, int]]) -> Int64Column:
    """When each tick was read."""
    if len(frames) == 1:
        ((time_ns, count),) = frames
        return np.array([time_ns] * count, np.int64)
    return np.repeat(*np.array(frames, np.int64).T)


def to_nanos(amounts: Floats) -> Int64Column:
    """Nanos of decimals that came as floats: exact for up to nine decimals, rounded half-even beyond."""
    if len(amounts) <= FEW and max(few := amounts.tolist(), default=0.0) < _EXACT_BELOW:
        return np.array([round(amount * ONE) for amount in few], np.int64)
    nanos = np.rint(amounts * ONE).astype(np.int64)
    # Whole numbers are exact at any size; large fractions are read by their shortest text, as they were written.
    for row in np.flatnonzero((amounts >= _EXACT_BELOW) & (amounts != np.floor(amounts))):
        nanos[row] = _exactly(repr(float(amounts[row])))
    return nanos


def texts_to_nanos(texts: Sequence[str], amounts: Floats) -> Int64Column:
    """Nanos of decimals that came as texts, whose floats are `amounts`: exact for up to nine decimals."""
    if len(amounts) <= FEW and max(few := amounts.tolist(), default=0.0) < _EXACT_BELOW:
        return np.array([round(amount * ONE) for amount in few], np.int64)
    nanos = np.rint(amounts * ONE).astype(np.int64)
    for row in np.flatnonzero(amounts >= _EXACT_BELOW):
        nanos[row] = _exactly(texts[int(row)])
    return nanos


def _exactly(text: str) -> int:
    return int((Decimal(text) * ONE).to_integral_value())
