"""One symbol's trades in the venue's order, each once: what a loss has left out is waited for, not jumped over.

A line flows until its connection is lost, or a number is missing. Then it is open: what comes live is held back
until the venue's memory has filled the hole, or until the hole is given up and told as a gap.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from services.market_data.domain.blocks import joined, picked
from services.market_data.domain.gaps import Gap
from trading.market import TradeBlock

Key = tuple[str, int, int]
_COARSEST_TIME_NS = 1_000_000  # a stream may stamp in ms what the venue remembers in ns


@dataclass(frozen=True, slots=True)
class Mark:
    """The newest trade that was passed on, and its venue time; `trade_id` is empty before the first."""

    symbol: str
    trade_id: str
    time_ns: int


@dataclass(frozen=True, slots=True)
class LineRules:
    """Bounds of a line: ids remembered (at least), live trades held back while a hole is being filled."""

    ids_kept: int = 4096
    held_most: int = 65_536


class Passed(NamedTuple):
    """Trades that may go on, in order, and the hole before them if there is one that stays."""

    block: TradeBlock | None = None
    gap: Gap | None = None


class TradeLine(ABC):
    """What every kind of line has: a mark, a reason while it is open, and what is held back meanwhile."""

    def __init__(self, venue: str, symbol: str, rules: LineRules) -> None:
        self._venue, self._symbol, self._rules = venue, symbol, rules
        self._mark = Mark(symbol, "", 0)
        self._reason = ""
        self._held: list[TradeBlock] = []
        self._old_held = 0  # blocks that were held before the newest connection began
        self._hole: tuple[int, str] | None = None  # where a hole that stays begins, and why

    @property
    def mark(self) -> Mark:
        """Where the line stands."""
        return self._mark

    @property
    def is_open(self) -> bool:
        """Something may be missing after the mark."""
        return bool(self._reason)

    @property
    def has_live(self) -> bool:
        """The newest connection has brought trades that wait."""
        return bool(self._live())

    @property
    def is_full(self) -> bool:
        """More is held back than there is room for: the hole has to be given up."""
        return sum(map(len, self._held)) > self._rules.held_most

    def begin(self, time_ns: int) -> None:
        """A connection carries the symbol from venue time `time_ns` on."""
        self._old_held = len(self._held)
        if not self._mark.time_ns:
            self._mark = Mark(self._symbol, "", time_ns)

    def hold(self, reason: str) -> None:
        """The connection is gone; of several reasons the first stands."""
        if self._mark.time_ns:
            self._reason = self._reason or reason

    def take(self, block: TradeBlock) -> Passed:
        """Live trades came; those that may go on."""
        if self.is_open:
            self._held.append(block)
            return Passed()
        return self._pass(self._next(block))

    def fill(self, remembered: TradeBlock | None) -> Passed:
        """The venue's memory since the mark, its own trade included, oldest first; closes the line when it is whole."""
        whole = self._is_whole(remembered)
        found = [] if remembered is None else [remembered]
        if whole:
            found += self._release()
        return self._pass(self._next(joined(found)) if found else None)

    def give_up(self) -> Passed:
        """Close the line without what is missing: a gap, told with the first trade after it."""
        self._hole = self._hole or (self._mark.time_ns, self._reason)
        held = self._release()
        return self._pass(self._next(joined(held)) if held else None)

    def _release(self) -> list[TradeBlock]:
        held, self._held = self._held, []
        self._old_held = 0
        self._reason = ""
        return held

    def _live(self) -> list[TradeBlock]:
        """What the newest connection has brought."""
        return self._held[self._old_held :]

    def _pass(self, block: TradeBlock | None) -> Passed:
        if block is None or not len(block):
            return Passed()
        gap = None
        if self._hole is not None:
            (from_ns, reason), self._hole = self._hole, None
            to_ns = max(int(block.event_time_ns[self._whole_from(block)]), from_ns)
            gap = Gap(self._venue, self._symbol, from_ns, to_ns, f"trades missed: {reason}")
        self._mark = Mark(self._symbol, block.trade_ids[-1], max(int(block.event_time_ns[-1]), self._mark.time_ns))
        return Passed(block, gap)

    def _whole_from(self, block: TradeBlock) -> int:
        """The row from which on nothing is missing, when a hole was given up."""
        return 0

    @abstractmethod
    def _next(self, block: TradeBlock) -> TradeBlock:
        """The rows that follow the mark and have not been passed on."""

    @abstractmethod
    def _is_whole(self, remembered: TradeBlock | None) -> bool:
        """The venue's memory reaches from the mark to what the newest connection brought."""


class NamedLine(TradeLine):
    """A line whose ids are mere names: what is known is told from what is new by remembering the newest ids.

    An id alone may come from two exchanges of one tape, so price and size belong to what is remembered.
    """

    def __init__(self, venue: str, symbol: str, rules: LineRules) -> None:
        super().__init__(venue, symbol, rules)
        self._seen, self._seen_before = _Seen(), _Seen()
        self._reaches_mark = False

    def hold(self, reason: str) -> None:
        """The connection is gone; the mark has to be found again in the venue's memory."""
        if not self.is_open:
            self._reaches_mark = False
        super().hold(reason)

    def fill(self, remembered: TradeBlock | None) -> Passed:
        """The venue's memory since before the mark, without what was said before we began to listen."""
        return super().fill(None if remembered is None else self._after_our_beginning(remembered))

    def _after_our_beginning(self, remembered: TradeBlock) -> TradeBlock:
        """Rows from the mark on; rows before it only where they are surely not older than what we remember."""
        wanted = remembered.event_time_ns > self._known_since_ns() + _COARSEST_TIME_NS
        if self._mark.trade_id in remembered.trade_ids:
            wanted[remembered.trade_ids.index(self._mark.trade_id) :] = True
        return remembered if wanted.all() else picked(remembered, wanted)

    def _known_since_ns(self) -> int:
        if not self._mark.trade_id:
            return self._mark.time_ns
        return self._seen_before.since_ns or self._seen.since_ns

    def _next(self, block: TradeBlock) -> TradeBlock:
        keys = _keys(block)
        if self._all_new(keys):
            fresh = keys
        else:
            first = {key: row for row, key in reversed(list(enumerate(keys)))}
            rows = sorted(row for key, row in first.items() if not self._knows(key))
            fresh, block = [keys[row] for row in rows], picked(block, np.array(rows, np.intp))
        if fresh:
            self._remember(fresh, int(block.event_time_ns[0]))
        return block

    def _all_new(self, keys: Sequence[Key]) -> bool:
        known, before = self._seen.keys, self._seen_before.keys
        return known.isdisjoint(keys) and before.isdisjoint(keys) and len(set(keys)) == len(keys)

    def _knows(self, key: Key) -> bool:
        return key in self._seen.keys or key in self._seen_before.keys

    def _remember(self, keys: Sequence[Key], time_ns: int) -> None:
        self._seen.keys.update(keys)
        self._seen.since_ns = self._seen.since_ns or time_ns
        if len(self._seen.keys) >= self._rules.ids_kept:
            self._seen_before, self._seen = self._seen, _Seen()

    def _is_whole(self, remembered: TradeBlock | None) -> bool:
        ids = frozenset(() if remembered is None else remembered.trade_ids)
        self._reaches_mark = self._reaches_mark or not self._mark.trade_id or self._mark.trade_id in ids
        live = self._live()
        return self._reaches_mark and (not live or live[0].trade_ids[0] in ids)


@dataclass(slots=True)
class _Seen:
    """Trades that were passed on, and the time of the first of them; 0 before it."""

    keys: set[Key] = field(default_factory=set)
    since_ns: int = 0


def _keys(block: TradeBlock) -> list[Key]:
    return list(zip(block.trade_ids, block.price_nanos.tolist(), block.size_nanos.tolist(), strict=True))
