"""What happens to ticks: numbered, remembered, published, made into bars, and given to who streams them."""

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from services.market_data.domain.bars import BarBook
from services.market_data.domain.blocks import BlockT
from services.market_data.domain.corrections import TradeCorrection
from services.market_data.domain.future import FutureGuard
from services.market_data.domain.gaps import Gap, GapWatch
from services.market_data.domain.live_bars import LiveBars
from services.market_data.domain.quotes import QuoteBoard
from services.market_data.domain.sessions import SessionBoard, SessionNow
from services.market_data.domain.ticks import News, Sequences, Ticks
from services.market_data.domain.trade_line import Passed
from services.market_data.domain.trade_lines import TradeLines
from services.market_data.domain.window_board import WindowBoard
from services.market_data.ports import FeedMeter, MarketPublisher
from services.market_data.usecases.stream_quotes import QuoteStreams
from trading.errors import Unavailable
from trading.instruments import Instrument
from trading.market import Bar, QuoteBlock, TradeBlock


@dataclass(frozen=True, slots=True)
class MarketState:
    """What the service remembers of the market; shared by everything that writes it and reads it."""

    board: QuoteBoard
    live_bars: LiveBars
    streams: QuoteStreams
    windows: WindowBoard = field(default_factory=WindowBoard)
    sessions: SessionBoard = field(default_factory=SessionBoard)

    def session_of(self, instrument: Instrument, now_ns: int) -> SessionNow:
        """Whether an instrument can be traded."""
        newest = self.board.get(instrument.symbol)
        return self.sessions.now(instrument, newest.quote if newest else None, now_ns)


class PublishTicks:
    """Carries what one venue said to everyone. Nothing is dropped unless NATS stays away, and that is counted.

    What the venue says of symbols that another venue answers for (`owns` says no) is published and no more.
    """

    def __init__(
        self,
        state: MarketState,
        bars: BarBook,
        gaps: GapWatch,
        lines: TradeLines,
        guard: FutureGuard,
        publisher: MarketPublisher,
        meter: FeedMeter,
        owns: Callable[[str], bool] = lambda _symbol: True,
    ) -> None:
        self._state, self._bars, self._gaps, self._lines, self._guard = state, bars, gaps, lines, guard
        self._publisher, self._meter, self._owns = publisher, meter, owns
        self._quote_sequences, self._trade_sequences = Sequences(), Sequences()
        self._log = structlog.get_logger(__name__)

    async def __call__(self, ticks: Ticks) -> None:
        """Take in one drain of a session."""
        for carried in ticks.carried:
            await self._follow(*carried)
        for quotes in ticks.quotes:
            await self._quotes(self._credible(quotes))
        for trades in ticks.trades:
            if len(credible := self._credible(trades)):
                await self.trades(trades.symbol, self._lines.take(credible))
        for news in ticks.news:
            await self._hear(news)
        self._meter.read(ticks)
        if ticks.refused:
            self._log.warning("unreadable ticks refused", ticks=ticks.refused)
            self._meter.dropped(ticks.refused)

    def at_once(self, block: QuoteBlock) -> int | None:
        """Publish a quote that came alone and give its place in the feed, if nothing has to be waited for or told.

        Everything that only has to follow does so when it is given again, as carried.
        """
        symbol = block.symbol
        if not self._gaps.is_whole(symbol) or not self._guard.believes(block):
            return None
        first_sequence = self._quote_sequences.next(symbol)
        if not self._publisher.quotes_at_once(block, first_sequence):
            return None
        return self._quote_sequences.take(symbol, 1)

    async def _hear(self, news: News) -> None:
        if not isinstance(news, TradeCorrection):
            self._log.info("trading changes", symbol=news.symbol, news=repr(news))
            if self._owns(news.symbol):
                self._state.sessions.put(news)
            return
        for bar in self._bars.correct(news):
            await self._bar(bar)

    async def trades(self, symbol: str, passed: Passed) -> None:
        """Take in trades that their line has let pass, and the hole before them."""
        if passed.gap is not None:
            await self._gap(passed.gap)
        if passed.block is not None and len(passed.block):
            await self._trades(passed.block)

    async def filled(self, symbol: str, passed: Passed) -> None:
        """Take in trades that came late, from the venue's memory: bars that were closed meanwhile are not whole."""
        if passed.block is None:
            return
        block = self._credible(passed.block)
        if len(block):
            self._meter.filled(len(block))
            self._doubt(symbol, int(block.event_time_ns[0]), int(block.event_time_ns[-1]) + 1)
        await self.trades(symbol, Passed(block, passed.gap))

    async def close_bars(self, now_ns: int) -> None:
        """Publish the bars that silence until `now_ns` has ended; none while missing trades are on their way."""
        self._meter.bars(self._bars.late, self._bars.uncorrected)
        if self._lines.any_open:
            return
        for bar in self._bars.wait(now_ns):
            await self._bar(bar)

    async def _quotes(self, block: QuoteBlock) -> None:
        if not len(block):
            return
        first_sequence = self._quote_sequences.take(block.symbol, len(block))
        await self._check_gap(block)
        self._remember(block, first_sequence)
        try:
            await self._publisher.quotes(block, first_sequence)
            self._meter.published(1)
        except Unavailable:
            self._meter.dropped(len(block))
        await self._include(block)

    async def _follow(self, block: QuoteBlock, first_sequence: int) -> None:
        """What is left to do for a quote that was published at once."""
        self._meter.published(1)
        await self._check_gap(block)
        self._remember(block, first_sequence)
        await self._include(block)

    def _remember(self, block: QuoteBlock, first_sequence: int) -> None:
        if self._owns(block.symbol):
            self._state.board.put_quotes(block, first_sequence)
            self._state.streams.offer(block, first_sequence)

    async def _include(self, block: QuoteBlock) -> None:
        """What nobody waits for comes after the publish."""
        if self._owns(block.symbol):
            self._state.windows.put_quotes(block)
        for bar in self._bars.add_quotes(block):
            await self._bar(bar)

    async def _trades(self, block: TradeBlock) -> None:
        first_sequence = self._trade_sequences.take(block.symbol, len(block))
        if not self._gaps.knows(block.symbol):
            self._doubt(block.symbol, 0, int(block.event_time_ns[0]))
        self._gaps.passed(block.symbol, int(block.event_time_ns[-1]))
        if self._owns(block.symbol):
            self._state.board.put_trades(block)
        try:
            await self._publisher.trades(block, first_sequence)
            self._meter.published(1)
        except Unavailable:
            self._meter.dropped(len(block))
        if self._owns(block.symbol):
            self._state.windows.put_trades(block)
        for bar in self._bars.add_trades(block):
            await self._bar(bar)

    def _credible(self, block: BlockT) -> BlockT:
        credible, refused = self._guard.credible(block)
        if refused:
            self._log.warning("ticks from the future refused", symbol=block.symbol, ticks=refused)
            self._meter.dropped(refused)
        return credible

    async def _check_gap(self, block: QuoteBlock) -> None:
        first_ns, last_ns = int(block.event_time_ns[0]), int(block.event_time_ns[-1])
        if not self._gaps.knows(block.symbol):
            self._doubt(block.symbol, 0, first_ns)
        gap = self._gaps.saw(block.symbol, first_ns, last_ns)
        if gap is not None:
            await self._gap(gap)

    async def _gap(self, gap: Gap) -> None:
        self._meter.gap()
        self._doubt(gap.symbol, gap.from_time_ns, gap.to_time_ns)
        try:
            await self._publisher.gap(gap)
        except Unavailable:
            self._log.warning("gap could not be published", symbol=gap.symbol, reason=gap.reason)

    def _doubt(self, symbol: str, from_ns: int, to_ns: int) -> None:
        if self._owns(symbol):
            self._state.live_bars.doubt(symbol, from_ns, to_ns)

    async def _bar(self, bar: Bar) -> None:
        if self._owns(bar.symbol):
            self._state.live_bars.add(bar)
        try:
            await self._publisher.bar(bar)
        except Unavailable:
            self._log.warning("bar could not be published", symbol=bar.symbol, timestamp_ns=bar.timestamp_ns)
