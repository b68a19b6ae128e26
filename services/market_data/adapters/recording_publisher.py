"""A publisher that also keeps what it publishes, for the history."""

from services.market_data.domain.feed import VenueStatus
from services.market_data.domain.gaps import Gap
from services.market_data.ports import HistoryRecorder, MarketPublisher
from trading.market import Bar, QuoteBlock, TradeBlock


class RecordingPublisher:
    """MarketPublisher that hands on to another; the recorder sees also what NATS does not take."""

    def __init__(self, publisher: MarketPublisher, recorder: HistoryRecorder) -> None:
        self._publisher, self._recorder = publisher, recorder

    async def quotes(self, block: QuoteBlock, first_sequence: int) -> None:
        self._recorder.quotes(block)
        await self._publisher.quotes(block, first_sequence)

    def quotes_at_once(self, block: QuoteBlock, first_sequence: int) -> bool:
        sent = self._publisher.quotes_at_once(block, first_sequence)
        if sent:
            self._recorder.quotes(block)
        return sent

    async def trades(self, block: TradeBlock, first_sequence: int) -> None:
        self._recorder.trades(block)
        await self._publisher.trades(block, first_sequence)

    async def bar(self, bar: Bar) -> None:
        self._recorder.bar(bar)
        await self._publisher.bar(bar)

    async def gap(self, gap: Gap) -> None:
        await self._publisher.gap(gap)

    async def status(self, status: VenueStatus) -> None:
        await self._publisher.status(status)
