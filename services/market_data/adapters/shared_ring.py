"""Ticks into a ring of shared memory, for readers on this host, before they go to the rest of the fleet."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from fleet.tick_ring import TickWriter, create_tick_ring
from services.market_data.domain.feed import VenueStatus
from services.market_data.domain.gaps import Gap
from services.market_data.ports import MarketPublisher
from trading.errors import ResourceExhausted
from trading.market import Bar, QuoteBlock, TradeBlock


class RingPublisher:
    """A publisher that writes ticks to the ring first; the ring never waits, whatever happens to the network."""

    def __init__(self, ring: TickWriter, publisher: MarketPublisher) -> None:
        self._ring, self._publisher = ring, publisher
        self._refused: set[str] = set()
        self._log = structlog.get_logger(__name__)

    async def quotes(self, block: QuoteBlock, first_sequence: int) -> None:
        self._write(block.symbol, lambda: self._ring.write_quotes(block, first_sequence))
        await self._publisher.quotes(block, first_sequence)

    def quotes_at_once(self, block: QuoteBlock, first_sequence: int) -> bool:
        """The ring comes first, so a block that may have to wait for the network goes the usual way."""
        return False

    async def trades(self, block: TradeBlock, first_sequence: int) -> None:
        self._write(block.symbol, lambda: self._ring.write_trades(block, first_sequence))
        await self._publisher.trades(block, first_sequence)

    async def bar(self, bar: Bar) -> None:
        await self._publisher.bar(bar)

    async def gap(self, gap: Gap) -> None:
        await self._publisher.gap(gap)

    async def status(self, status: VenueStatus) -> None:
        await self._publisher.status(status)

    def _write(self, symbol: str, write: Callable[[], None]) -> None:
        if symbol in self._refused:
            return
        try:
            write()
        except ResourceExhausted as error:
            self._refused.add(symbol)  # said once; the names of the others are in the ring already
            self._log.error("a symbol is left out of the ring", symbol=symbol, reason=error.message)


@asynccontextmanager
async def beside_ring(
    publisher: MarketPublisher, name: str, *, ticks: int, symbols: int
) -> AsyncIterator[MarketPublisher]:
    """The publisher with a ring beside it; the publisher itself when no name is given. Raises as `create_ring`."""
    if not name:
        yield publisher
        return
    with create_tick_ring(name, ticks=ticks, symbols=symbols) as ring:
        yield RingPublisher(ring, publisher)
