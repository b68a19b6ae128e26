"""What the connection has missed, asked from the venue's memory until it is whole or given up."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import structlog

from services.market_data.domain.trade_line import Mark, Passed
from services.market_data.domain.trade_lines import TradeLines
from services.market_data.ports import TradeSource
from trading.clock import SECOND_NS, Clock
from trading.errors import ResourceExhausted, TradingError, Unavailable
from trading.instruments import Instrument
from trading.market import TradeBlock

_FIRST_WAIT_S = 0.05


@dataclass(frozen=True, slots=True)
class FillPolicy:
    """Bounds of filling: how far before the mark is asked, trades per answer, patience without progress, calls.

    A venue's memory may lag behind its stream by less than `settle_ns`.
    """

    overlap_ns: int = 5_000_000_000
    trades_most: int = 10_000
    patience_ns: int = 5_000_000_000
    settle_ns: int = 1_000_000_000
    wait_most_s: float = 1.0
    at_once: int = 8


class FillHoles:
    """A loop beside one session: the lines of its symbols that wait for trades are filled, each at its own pace.

    A venue that cannot answer, or whose memory does not reach from the mark to what came live, is asked again until
    `patience_ns` have passed without a new trade; then the hole is given up. It is not asked before the time that it
    names, even where patience has passed by then.
    """

    def __init__(
        self,
        lines: TradeLines,
        source: TradeSource,
        pass_on: Callable[[str, Passed], Awaitable[None]],
        clock: Clock,
        policy: FillPolicy,
    ) -> None:
        self._lines, self._source, self._pass_on = lines, source, pass_on
        self._clock, self._policy = clock, policy
        self._since_ns: dict[str, int] = {}
        self._not_before_ns = 0
        self._wanted = asyncio.Event()
        self._log = structlog.get_logger(__name__)

    def wake(self) -> None:
        """Some line waits for trades."""
        self._wanted.set()

    async def __call__(self, instruments: Sequence[Instrument]) -> None:
        """Run for as long as the session does."""
        by_symbol = {instrument.symbol: instrument for instrument in instruments}
        settles_ns = self._clock.monotonic_ns() + self._policy.settle_ns
        wait_s = _FIRST_WAIT_S
        while True:
            if not self._lines.open_among(by_symbol):
                self._wanted.clear()
                await self._wanted.wait()
                wait_s = _FIRST_WAIT_S
            ready = self._ready(by_symbol, settled=self._clock.monotonic_ns() >= settles_ns)
            for group in _groups(ready, self._policy.at_once):
                await asyncio.gather(*(self._ask(by_symbol[symbol]) for symbol in group))
            told_s = (self._not_before_ns - self._clock.monotonic_ns()) / SECOND_NS
            if self._lines.open_among(by_symbol):
                await asyncio.sleep(max(wait_s, told_s))
                wait_s = min(2 * wait_s, self._policy.wait_most_s) if ready else _FIRST_WAIT_S

    def _ready(self, symbols: Iterable[str], *, settled: bool) -> list[str]:
        """The open symbols that may be asked about.

        An answer proves that it lacks nothing by holding the first live trade; where none has come, only by being late
        enough.
        """
        return [symbol for symbol in self._lines.open_among(symbols) if settled or self._lines.has_live(symbol)]

    async def _ask(self, instrument: Instrument) -> None:
        symbol = instrument.symbol
        began_ns = self._since_ns.setdefault(symbol, self._clock.monotonic_ns())
        mark = self._lines.mark(symbol)
        since = Mark(symbol, mark.trade_id, max(mark.time_ns - self._policy.overlap_ns, 0))
        try:
            found = await self._source.trades(instrument, since, self._policy.trades_most)
        except (Unavailable, ResourceExhausted) as error:
            told_s = float(str(error.metadata.get("retry_after_s", 0.0)))
            self._not_before_ns = max(self._not_before_ns, self._clock.monotonic_ns() + round(told_s * SECOND_NS))
            if self._clock.monotonic_ns() - began_ns >= self._policy.patience_ns:
                await self._give_up(symbol, error.message)
        except TradingError as refusal:  # asking again would not help
            await self._give_up(symbol, refusal.message)
        else:
            await self._fill(symbol, found, began_ns)

    async def _fill(self, symbol: str, found: TradeBlock | None, began_ns: int) -> None:
        passed = self._lines.fill(symbol, found)
        if passed.block is not None:
            self._since_ns.pop(symbol, None)
            await self._pass_on(symbol, passed)
        elif not self._lines.open_among((symbol,)):
            self._since_ns.pop(symbol, None)
        elif self._clock.monotonic_ns() - began_ns >= self._policy.patience_ns or self._lines.is_full(symbol):
            await self._give_up(symbol, "the venue's memory does not reach over it")

    async def _give_up(self, symbol: str, why: str) -> None:
        self._log.warning("a hole in the trades stays", symbol=symbol, reason=why)
        self._since_ns.pop(symbol, None)
        await self._pass_on(symbol, self._lines.give_up(symbol))


def _groups(symbols: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(symbols), size):
        yield symbols[start : start + size]
