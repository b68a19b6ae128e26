"""Quotes to readers who follow along: newest wins, and a slow reader loses the oldest."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager

from services.market_data.domain.quotes import QuoteBoard
from trading.errors import ResourceExhausted
from trading.market import QuoteBlock

Sequenced = tuple[QuoteBlock, int]


class QuoteStream:
    """One reader's bounded queue of blocks; when it is full the oldest block goes."""

    def __init__(self, blocks_most: int) -> None:
        self._blocks: deque[Sequenced] = deque(maxlen=blocks_most)
        self._filled = asyncio.Event()

    def offer(self, block: QuoteBlock, first_sequence: int) -> None:
        """Add a block, never waiting."""
        self._blocks.append((block, first_sequence))
        self._filled.set()

    async def __aiter__(self) -> AsyncIterator[Sequenced]:
        while True:
            await self._filled.wait()
            while self._blocks:
                yield self._blocks.popleft()
            self._filled.clear()


class QuoteStreams:
    """Every reader, found by the symbols that it follows."""

    def __init__(self, board: QuoteBoard, *, streams_most: int, blocks_most: int) -> None:
        self._board = board
        self._streams_most, self._blocks_most = streams_most, blocks_most
        self._by_symbol: defaultdict[str, set[QuoteStream]] = defaultdict(set)
        self._open = 0

    def offer(self, block: QuoteBlock, first_sequence: int) -> None:
        """Give a block to everyone who follows its symbol."""
        for stream in self._by_symbol.get(block.symbol, ()):
            stream.offer(block, first_sequence)

    @contextmanager
    def open(self, symbols: Iterable[str]) -> Iterator[QuoteStream]:
        """Follow symbols: first the newest known quote of each, then blocks. Raises ResourceExhausted."""
        if self._open >= self._streams_most:
            raise ResourceExhausted("Too many quote streams are open.", limit=self._streams_most, retry_after_s=5)
        followed = tuple(symbols)
        stream = QuoteStream(max(self._blocks_most, len(followed)))
        self._open += 1
        try:
            self._follow(stream, followed)
            yield stream
        finally:
            self._open -= 1
            for symbol in followed:
                self._by_symbol[symbol].discard(stream)

    def _follow(self, stream: QuoteStream, symbols: tuple[str, ...]) -> None:
        for symbol in symbols:
            if (newest := self._board.newest_block(symbol)) is not None:
                stream.offer(*newest)
            self._by_symbol[symbol].add(stream)
