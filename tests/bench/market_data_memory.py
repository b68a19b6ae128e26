"""Memory of everything that market_data remembers of ticks, after 1, 10 and 50 million of them.

It takes minutes, so it runs only when it is asked for: `python -m tests.bench.market_data_memory [MILLIONS …]`.
"""

import argparse
import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fleet.metrics import Metrics
from services.market_data.adapters.metered_counts import MeteredCounts
from services.market_data.domain.activity_bars import parse_rule
from services.market_data.domain.bars import BarBook
from services.market_data.domain.feed import VenueStatus
from services.market_data.domain.future import FutureGuard
from services.market_data.domain.gaps import Gap, GapWatch
from services.market_data.domain.live_bars import LiveBars
from services.market_data.domain.quotes import QuoteBoard
from services.market_data.domain.stats import VenueCounts
from services.market_data.domain.ticks import Ticks
from services.market_data.domain.trade_line import LineRules
from services.market_data.domain.trade_lines import TradeLines
from services.market_data.domain.window_board import WindowBoard
from services.market_data.domain.windows import parse_window
from services.market_data.usecases.publish_ticks import MarketState, PublishTicks
from services.market_data.usecases.stream_quotes import QuoteStreams
from tests.bench.result import Result
from trading.clock import SECOND_NS
from trading.market import Bar, Interval, QuoteBlock, TradeBlock

SYMBOLS = 10
BLOCK = 250
TICK_NS = 200_000
"""Ticks of a symbol are so far apart: fifty million of ten symbols are a quarter of an hour of a wild market."""


class _Nowhere:
    """A publisher that forgets."""

    async def quotes(self, block: QuoteBlock, first_sequence: int) -> None: ...

    async def trades(self, block: TradeBlock, first_sequence: int) -> None: ...

    async def bar(self, bar: Bar) -> None: ...

    async def gap(self, gap: Gap) -> None: ...

    async def status(self, status: VenueStatus) -> None: ...


def memory(millions: tuple[int, ...] = (1, 10, 50)) -> Iterator[Result]:
    """Resident megabytes after so many ticks, half of them quotes and half trades.

    The first figure is of windows that are not full yet; the value is the growth from the second on.
    """
    sizes = asyncio.run(_replay(millions))
    growth = round(sizes[millions[-1]] - sizes[millions[-2]], 1)
    extra = {f"rss_mb_at_{count}m": size for count, size in sizes.items()}
    yield Result("market_data.memory", "MB", growth, millions[-1] * 1_000_000, extra=extra)


async def _replay(millions: tuple[int, ...]) -> dict[int, float]:
    publish = _everything()
    sizes: dict[int, float] = {}
    for done, ticks in enumerate(_market(), 1):
        await publish(ticks)
        count = done * SYMBOLS * BLOCK * 2
        if count >= millions[len(sizes)] * 1_000_000:
            gc.collect()
            sizes[millions[len(sizes)]] = _rss_mb()
            if len(sizes) == len(millions):
                break
    return sizes


def _everything() -> PublishTicks:
    """The use case with all that it fills, as the service's defaults make it."""
    board = QuoteBoard()
    windows = WindowBoard(map(parse_window, ("vwap:5m", "ema:1m", "volatility:5m")))
    state = MarketState(board, LiveBars(1500), QuoteStreams(board, streams_most=1, blocks_most=1), windows)
    rules = [parse_rule(text) for text in ("tick-1000", "volume-10000", "value-1000000")]
    return PublishTicks(
        state,
        BarBook("bench", Interval, SECOND_NS, rules=rules),
        GapWatch("bench"),
        TradeLines("bench", LineRules(4096, 65_536)),
        FutureGuard(10 * SECOND_NS, 64),
        _Nowhere(),
        MeteredCounts("bench", VenueCounts(), Metrics()),
    )


def _market() -> Iterator[Ticks]:
    random = np.random.default_rng(1)
    times, first_id = 1_700_000_000 * SECOND_NS + np.arange(BLOCK) * TICK_NS, 0
    while True:
        prices = 100_000_000_000 + random.integers(-500, 500, BLOCK) * 10_000_000
        sizes = random.integers(1, 500, BLOCK) * 1_000_000_000
        ids = tuple(map(str, range(first_id, first_id + BLOCK)))
        yield Ticks(
            tuple(
                QuoteBlock("bench", f"S{at}", times, times, prices, sizes, prices + 10_000_000, sizes)
                for at in range(SYMBOLS)
            ),
            tuple(
                TradeBlock("bench", f"S{at}", times, times, prices, sizes, np.ones(BLOCK, np.int64), ids)
                for at in range(SYMBOLS)
            ),
        )
        times, first_id = times + BLOCK * TICK_NS, first_id + BLOCK


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * 4096 / 2**20, 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("millions", type=int, nargs="*", default=[1, 10, 50])
    for found in memory(tuple(parser.parse_args().millions)):
        found.write()
        print(found)
