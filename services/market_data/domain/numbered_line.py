"""A line of trades whose ids count up by one: a hole shows by itself, also without any loss."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from services.market_data.domain.blocks import picked
from services.market_data.domain.trade_line import LineRules, Passed, TradeLine
from trading.market import TradeBlock


class NumberedLine(TradeLine):
    """Passes on what counts on from the mark; from the first missing number on everything is held back."""

    def __init__(self, venue: str, symbol: str, rules: LineRules) -> None:
        super().__init__(venue, symbol, rules)
        self._last: int | None = None
        self._last_before_loss: int | None = None
        self._gives_up = False

    def hold(self, reason: str) -> None:
        """The connection is gone; the venue may come back with a count that begins again."""
        if self._last_before_loss is None:
            self._last_before_loss = self._last
        super().hold(reason)

    def take(self, block: TradeBlock) -> Passed:
        """Live trades came; those that count on."""
        if self.is_open:
            return super().take(block)
        if self._begins_again([block]):
            self._reason = "the venue's count of trades began again"
            return super().take(block)
        self._last_before_loss = None
        passed = super().take(block)
        if passed.block is not block and (beyond := _numbers(block) > (self._last or 0)).any():
            self._reason = f"trade {(self._last or 0) + 1} did not come"
            self._held.append(picked(block, beyond))
        return passed

    def give_up(self) -> Passed:
        """Close the line; what is held goes on from whatever number it has."""
        if self._begins_again(self._live()):
            self._held, self._old_held, self._last = self._live(), 0, None
        self._last_before_loss, self._gives_up = None, True
        passed = super().give_up()
        self._gives_up = False
        return passed

    def _next(self, block: TradeBlock) -> TradeBlock:
        if not len(block):
            return block
        numbers = _numbers(block)
        last = int(numbers.min()) - 1 if self._last is None else self._last
        if numbers[0] == last + 1 and (np.diff(numbers) == 1).all():  # the usual case
            self._last = int(numbers[-1])
            return block
        rows: list[int] = []
        for row in np.argsort(numbers, kind="stable").tolist():
            if numbers[row] == last + 1 or (self._gives_up and numbers[row] > last):
                rows.append(row)
                last = int(numbers[row])
        self._last = last
        return block if rows == list(range(len(block))) else picked(block, np.array(rows, np.intp))

    def _is_whole(self, remembered: TradeBlock | None) -> bool:
        if self._begins_again(self._live()):
            return False
        if self._last is None:
            return True
        found = [*self._held, *([] if remembered is None else [remembered])]
        later = {number for block in found for number in _numbers(block).tolist() if number > self._last}
        return not later or max(later) - self._last == len(later)

    def _whole_from(self, block: TradeBlock) -> int:
        holes = np.flatnonzero(np.diff(_numbers(block)) != 1)
        return int(holes[-1]) + 1 if len(holes) else 0

    def _begins_again(self, live: Sequence[TradeBlock]) -> bool:
        """The first trade of a new connection has a number that was there before the loss."""
        if self._last_before_loss is None or not live:
            return False
        return int(live[0].trade_ids[0]) <= self._last_before_loss


def _numbers(block: TradeBlock) -> npt.NDArray[np.int64]:
    return np.fromiter(map(int, block.trade_ids), np.int64, len(block))
