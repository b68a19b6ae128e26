"""What a venue takes back: a trade that it cancels or corrects, and the trades kept so that bars can follow."""

from collections import defaultdict, deque
from dataclasses import dataclass, replace

import numpy as np

from trading.market import Int64Column, TradeBlock


@dataclass(frozen=True, slots=True)
class TradeCorrection:
    """A trade as it should have been, amounts in nanos; cancelled when price and size are None.

    `new_id` is what the venue calls the corrected trade from now on; empty when the id stays.
    """

    symbol: str
    trade_id: str
    price_nanos: int | None = None
    size_nanos: int | None = None
    new_id: str = ""


class TradeLog:
    """The newest trades of a venue, at most `capacity` of all symbols together; the oldest blocks go first."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._blocks: defaultdict[str, deque[TradeBlock]] = defaultdict(deque)
        self._order: deque[tuple[str, int]] = deque()
        self._count = 0
        self._gone_until_ns: dict[str, int] = {}

    def add(self, block: TradeBlock) -> None:
        """Keep a block; only a reference, so this costs the same for any size."""
        self._blocks[block.symbol].append(block)
        self._order.append((block.symbol, len(block)))
        self._count += len(block)
        while self._count > self._capacity:
            self._drop_oldest()

    def correct(self, correction: TradeCorrection) -> int | None:
        """Change a kept trade; the time at which it was made, or None when it is not kept."""
        blocks = self._blocks.get(correction.symbol, ())
        for at in range(len(blocks) - 1, -1, -1):  # what is corrected is usually new
            block = self._blocks[correction.symbol][at]
            if correction.trade_id in block.trade_ids:
                row = block.trade_ids.index(correction.trade_id)
                self._blocks[correction.symbol][at] = _corrected(block, row, correction)
                return int(block.event_time_ns[row])
        return None

    def between(self, symbol: str, start_ns: int, end_ns: int) -> tuple[Int64Column, Int64Column, Int64Column] | None:
        """Times, prices and sizes of all trades in [start, end), in order of arrival; None when some are not kept."""
        if start_ns <= self._gone_until_ns.get(symbol, -1):
            return None
        parts = [
            (block.event_time_ns[rows], block.price_nanos[rows], block.size_nanos[rows])
            for block in self._blocks.get(symbol, ())
            if (rows := (block.event_time_ns >= start_ns) & (block.event_time_ns < end_ns)).any()
        ]
        if not parts:
            empty = np.empty(0, np.int64)
            return empty, empty, empty
        times, prices, sizes = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        return times, prices, sizes

    def _drop_oldest(self) -> None:
        symbol, count = self._order.popleft()
        block = self._blocks[symbol].popleft()
        self._count -= count
        if len(block):
            newest_ns = int(block.event_time_ns.max())
            self._gone_until_ns[symbol] = max(newest_ns, self._gone_until_ns.get(symbol, newest_ns))
        if not self._blocks[symbol]:
            del self._blocks[symbol]


def _corrected(block: TradeBlock, row: int, correction: TradeCorrection) -> TradeBlock:
    if correction.price_nanos is None or correction.size_nanos is None:
        return _without(block, row)
    prices, sizes, ids = block.price_nanos.copy(), block.size_nanos.copy(), list(block.trade_ids)
    prices[row], sizes[row] = correction.price_nanos, correction.size_nanos
    ids[row] = correction.new_id or ids[row]
    return replace(block, price_nanos=prices, size_nanos=sizes, trade_ids=tuple(ids))


def _without(block: TradeBlock, row: int) -> TradeBlock:
    times, reads, prices, sizes, signs = (
        np.delete(column, row)
        for column in (
            block.event_time_ns,
            block.receive_time_ns,
            block.price_nanos,
            block.size_nanos,
            block.side_sign,
        )
    )
    ids = block.trade_ids[:row] + block.trade_ids[row + 1 :]
    return TradeBlock(block.venue, block.symbol, times, reads, prices, sizes, signs, ids)
