"""Quotes and trades in a shared ring: 64 bytes each, the names of their symbols beside them.

A trade's id does not fit a record of one size and is left out; who needs it listens to NATS.
`python -m fleet.tick_ring NAME` follows a ring and counts.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from struct import Struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fleet.ring import Geometry, RingClosed, RingReader, RingWriter, create_ring, open_ring
from trading.errors import ResourceExhausted, Unavailable
from trading.market import Block, Int64Column, QuoteBlock, TradeBlock

QUOTE, TRADE = 1, 2
_PLACE = [
    ("sequence", "<i8"),
    ("event_time_ns", "<i8"),
    ("receive_time_ns", "<i8"),
    ("instrument", "<u4"),
    ("kind", "<u4"),
]
QUOTE_RECORD = np.dtype(
    [*_PLACE, ("bid_nanos", "<i8"), ("bid_size_nanos", "<i8"), ("ask_nanos", "<i8"), ("ask_size_nanos", "<i8")]
)
"""A quote; `sequence` counts the quotes of its symbol, `instrument` leads to its name."""
TRADE_RECORD = np.dtype(
    [*_PLACE, ("price_nanos", "<i8"), ("size_nanos", "<i8"), ("side_sign", "<i8"), ("reserved", "<i8")]
)
"""A trade, in the same 64 bytes."""
RECORD_BYTES = QUOTE_RECORD.itemsize
_WORDS = RECORD_BYTES // 8
_KIND_SHIFT = 32  # `instrument` and `kind` are one little-endian word
_PACK = Struct(f"<{_WORDS}q").pack
_NAME_BYTES = 64
_POLL_S = 0.0005

Records = npt.NDArray[np.void]


class Listing(NamedTuple):
    """Whose ticks they are."""

    venue: str
    symbol: str


class TickWriter:
    """Puts blocks into a ring."""

    def __init__(self, ring: RingWriter, name: str) -> None:
        self._ring, self.name = ring, name
        self._codes: dict[tuple[str, str], int] = {}
        self._named_bytes = 0

    def write_quotes(self, block: QuoteBlock, first_sequence: int) -> None:
        """Append a block of quotes; raises ResourceExhausted when there is no room for another symbol's name."""
        self._write(
            block, first_sequence, QUOTE, (block.bid_nanos, block.bid_size_nanos, block.ask_nanos, block.ask_size_nanos)
        )

    def write_trades(self, block: TradeBlock, first_sequence: int) -> None:
        """Append a block of trades; raises as `write_quotes` does."""
        self._write(block, first_sequence, TRADE, (block.price_nanos, block.size_nanos, block.side_sign))

    def _write(self, block: Block, first_sequence: int, kind: int, amounts: tuple[Int64Column, ...]) -> None:
        word = kind << _KIND_SHIFT | self._code(block.venue, block.symbol)
        if len(block.event_time_ns) == 1:  # the usual case of a quiet market: a quarter of the general one's time
            times = block.event_time_ns.item(), block.receive_time_ns.item()
            values = [column.item() for column in amounts] + [0] * (_WORDS - 4 - len(amounts))
            self._ring.write_one(_PACK(first_sequence, *times, word, *values))
            return
        rows = np.zeros((len(block), _WORDS), np.int64)
        rows[:, 0] = np.arange(first_sequence, first_sequence + len(block))
        rows[:, 1], rows[:, 2], rows[:, 3] = block.event_time_ns, block.receive_time_ns, word
        for at, column in enumerate(amounts, 4):
            rows[:, at] = column
        self._ring.write(rows)

    def _code(self, venue: str, symbol: str) -> int:
        if (code := self._codes.get((venue, symbol))) is not None:
            return code
        line = f"{venue}\t{symbol}\n".encode()
        end = self._named_bytes + len(line)
        if end > len(self._ring.user):
            raise ResourceExhausted("The ring has no room for another symbol.", symbol=symbol)
        self._ring.user[self._named_bytes : end] = np.frombuffer(line, np.uint8)
        self._named_bytes = end
        self._ring.publish_user(end)  # before the first tick that needs it
        return self._codes.setdefault((venue, symbol), len(self._codes))


class TickReader:
    """Takes ticks out of a ring."""

    def __init__(self, ring: RingReader) -> None:
        self.ring = ring
        self._listings: tuple[Listing, ...] = ()

    @property
    def lost(self) -> int:
        """Ticks that the writer has overwritten before they were read."""
        return self.ring.lost

    def take(self, most: int = 65_536) -> Records:
        """The next ticks of all symbols and kinds as `QUOTE_RECORD`s, oldest first; `of_kind` tells them apart.

        Raises RingClosed when everything has been read and the writer has left.
        """
        return self.ring.take(most).view(QUOTE_RECORD)

    def listing(self, instrument: int) -> Listing:
        """Whose tick it is."""
        if instrument >= len(self._listings):
            lines = self.ring.user().decode().splitlines()
            self._listings = tuple(Listing(*line.split("\t")) for line in lines)
        return self._listings[instrument]


def of_kind(records: Records, kind: int) -> Records:
    """The quotes among records, or the trades, as records of that kind."""
    chosen = records if (records["kind"] == kind).all() else records[records["kind"] == kind]
    return chosen.view(QUOTE_RECORD if kind == QUOTE else TRADE_RECORD)


@contextmanager
def create_tick_ring(name: str, *, ticks: int, symbols: int) -> Iterator[TickWriter]:
    """A new ring for so many ticks (a power of two) of about so many symbols; raises as `create_ring` does."""
    with create_ring(name, Geometry(RECORD_BYTES, ticks, symbols * _NAME_BYTES)) as ring:
        yield TickWriter(ring, name)


@contextmanager
def open_tick_ring(name: str, *, from_oldest: bool = False) -> Iterator[TickReader]:
    """Follow a ring of ticks; raises Unavailable when there is none."""
    with open_ring(name, from_oldest=from_oldest) as ring:
        yield TickReader(ring)


def main(arguments: list[str] | None = None) -> int:
    """Follow a ring of ticks for some time, or until it has been silent for some; say what was read, as JSON.

    `lost` counts ticks that the writer had overwritten, `holes` jumps in the numbers of a symbol's ticks.
    """
    parser = argparse.ArgumentParser(prog="python -m fleet.tick_ring", description=main.__doc__)
    parser.add_argument("name", help="name of the ring (NT_RING of market_data)")
    parser.add_argument(
        "--silence", type=float, default=5.0, metavar="SECONDS", help="stop after so long without ticks"
    )
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long in any case")
    parser.add_argument("--oldest", action="store_true", help="begin with the oldest tick that the ring still holds")
    chosen = parser.parse_args(arguments)
    try:
        with open_tick_ring(chosen.name, from_oldest=chosen.oldest) as reader:
            print(json.dumps(_count(reader, chosen.silence, chosen.seconds)))
    except Unavailable as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


def _count(reader: TickReader, silence_s: float, seconds: float) -> dict[str, object]:
    ticks: Counter[tuple[int, int]] = Counter()
    holes, following = 0, dict[tuple[int, int], int]()
    heard = began = time.monotonic()
    try:
        while time.monotonic() - heard < silence_s and time.monotonic() - began < seconds:
            records = reader.take()
            if not len(records):
                time.sleep(_POLL_S)
                continue
            heard = time.monotonic()
            for sequence, _, _, instrument, kind, *_ in records.tolist():
                key = (instrument, kind)
                holes += following.get(key, sequence) != sequence
                following[key] = sequence + 1
                ticks[key] += 1
    except RingClosed:
        pass  # the writer has left; everything was read before this was said
    return {
        kind: {".".join(reader.listing(i)): n for (i, of), n in sorted(ticks.items()) if of == code}
        for kind, code in (("quotes", QUOTE), ("trades", TRADE))
    } | {"lost": reader.lost, "holes": holes}


if __name__ == "__main__":
    sys.exit(main())
