"""Ticks from the future: one stray stamp must not move the newest quote, a bar or a line for years."""

import numpy as np

from services.market_data.domain.blocks import BlockT, picked
from services.market_data.domain.open_bar import latest
from trading.market import Block


class FutureGuard:
    """Refuses ticks stamped later than both their receipt and their symbol's newest tick by the tolerance.

    A symbol of which `ticks_most` in a row are that far ahead has a venue whose clock is ahead, or a market that is
    simulated faster than time: from then on that is its time.
    """

    def __init__(self, tolerance_ns: int, ticks_most: int) -> None:
        self._tolerance_ns, self._ticks_most = tolerance_ns, ticks_most
        self._newest_ns: dict[str, int] = {}
        self._refused: dict[str, int] = {}

    def credible(self, block: BlockT) -> tuple[BlockT, int]:
        """The ticks that may be believed, and how many may not."""
        latest_ns = latest(block.event_time_ns)
        newest_ns = self._newest_ns.get(block.symbol, 0)
        limit_ns = max(newest_ns, int(block.receive_time_ns[0])) + self._tolerance_ns
        if latest_ns > limit_ns:
            fit = block.event_time_ns <= np.maximum(block.receive_time_ns, newest_ns) + self._tolerance_ns
            if refused := len(block) - int(fit.sum()):
                return self._doubted(block, fit, refused)
        self._refused.pop(block.symbol, None)
        self._newest_ns[block.symbol] = max(newest_ns, latest_ns)
        return block, 0

    def believes(self, block: Block) -> bool:
        """A block of one tick may go on without a closer look."""
        event_ns, newest_ns = block.event_time_ns.item(), self._newest_ns.get(block.symbol, 0)
        if event_ns > newest_ns:
            if event_ns > max(newest_ns, block.receive_time_ns.item()) + self._tolerance_ns:
                return False
            self._newest_ns[block.symbol] = event_ns
        self._refused.pop(block.symbol, None)
        return True

    def _doubted(self, block: BlockT, fit: np.ndarray, refused: int) -> tuple[BlockT, int]:
        in_a_row = 0 if fit.any() else self._refused.get(block.symbol, 0)
        self._refused[block.symbol] = in_a_row + refused
        if self._refused[block.symbol] >= self._ticks_most and not fit.any():
            self._newest_ns[block.symbol] = int(np.median(block.event_time_ns))
            del self._refused[block.symbol]
            return block, 0
        return picked(block, fit), refused
