"""What happens to ticks: numbered, remembered, published, made into bars, and given to who streams them."""

from dataclasses import dataclass

import structlog

from services.market_data.domain.bars import BarBook
from services.market_data.domain.gaps import GapWatch
from services.market_data.domain.live_bars import LiveBars
from services.market_data.domain.quotes import QuoteBoard
from services.market_data.domain.ticks import Sequences, Ticks
from services.market_data.ports import FeedMeter, MarketPublisher
from services.market_data.usecases.stream_quotes import QuoteStreams
from trading.errors import Unavailable
from trading.market import Bar, QuoteBlock, TradeBlock


@dataclass(frozen=True, slots=True)
class MarketState:
    """What the service remembers of the market; shared by everything that writes it and reads it."""

    board: QuoteBoard
    live_bars: LiveBars
    streams: QuoteStreams


class PublishTicks:
    """Carries what one venue said to everyone. Nothing is dropped unless NATS stays away, and that is counted."""

    def __init__(
        self, state: MarketState, bars: BarBook, gaps: GapWatch, publisher: MarketPublisher, meter: FeedMeter
    ) -> None:
        self._state, self._bars, self._gaps = state, bars, gaps
        self._publisher, self._meter = publisher, meter
        self._quote_sequences, self._trade_sequences = Sequences(), Sequences()
        self._log = structlog.get_logger(__name__)

    async def __call__(self, ticks: Ticks) -> None:
        """Take in one drain of a session."""
        self._meter.read(sum(map(len, ticks.quotes)), sum(map(len, ticks.trades)))
        if ticks.refused:
            self._log.warning("unreadable ticks refused", ticks=ticks.refused)
            self._meter.dropped(ticks.refused)
        for quotes in ticks.quotes:
            await self._quotes(quotes)
        for trades in ticks.trades:
            await self._trades(trades)

    async def close_bars(self, now_ns: int) -> None:
        """Publish the bars that silence until `now_ns` has ended."""
        for bar in self._bars.wait(now_ns):
            await self._bar(bar)

    async def _quotes(self, block: QuoteBlock) -> None:
        first_sequence = self._quote_sequences.take(block.symbol, len(block))
        await self._check_gap(block)
        self._state.board.put_quotes(block, first_sequence)
        self._state.streams.offer(block, first_sequence)
        try:
            await self._publisher.quotes(block, first_sequence)
            self._meter.published(1)
        except Unavailable:
            self._meter.dropped(len(block))
        for bar in self._bars.add_quotes(block):
            await self._bar(bar)

    async def _trades(self, block: TradeBlock) -> None:
        first_sequence = self._trade_sequences.take(block.symbol, len(block))
        await self._check_gap(block)
        self._state.board.put_trades(block)
        try:
            await self._publisher.trades(block, first_sequence)
            self._meter.published(1)
        except Unavailable:
            self._meter.dropped(len(block))
        for bar in self._bars.add_trades(block):
            await self._bar(bar)

    async def _check_gap(self, block: QuoteBlock | TradeBlock) -> None:
        first_ns, last_ns = int(block.event_time_ns[0]), int(block.event_time_ns[-1])
        if not self._gaps.knows(block.symbol):
            self._state.live_bars.doubt(block.symbol, 0, first_ns)
        gap = self._gaps.saw(block.symbol, first_ns, last_ns)
        if gap is None:
            return
        self._state.live_bars.doubt(gap.symbol, gap.from_time_ns, gap.to_time_ns)
        try:
            await self._publisher.gap(gap)
        except Unavailable:
            self._log.warning("gap could not be published", symbol=gap.symbol, reason=gap.reason)

    async def _bar(self, bar: Bar) -> None:
        self._state.live_bars.add(bar)
        try:
            await self._publisher.bar(bar)
        except Unavailable:
            self._log.warning("bar could not be published", symbol=bar.symbol, timestamp_ns=bar.timestamp_ns)
