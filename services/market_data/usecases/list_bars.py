"""A page of bars: what the venue remembers, with the bars of this run on top."""

from services.market_data.domain.bar_query import BarQuery
from services.market_data.domain.live_bars import LiveBars
from services.market_data.domain.registry import Registry
from services.market_data.ports import HistorySource
from trading.market import Bar, Interval


class ListBars:
    """Answers a question about bars, page by page."""

    def __init__(self, registry: Registry, history: HistorySource, live_bars: LiveBars) -> None:
        self._registry, self._history, self._live_bars = registry, history, live_bars

    async def __call__(self, query: BarQuery) -> tuple[list[Bar], BarQuery]:
        """At most `page_size` bars, by symbol in the caller's order and then time, and the rest of the question."""
        page: list[Bar] = []
        while not query.is_done and len(page) < query.page_size:
            page, query = await self._add_group(page, query)
        return page, query

    async def _add_group(self, page: list[Bar], query: BarQuery) -> tuple[list[Bar], BarQuery]:
        room = query.page_size - len(page)
        symbols = query.group(room)
        instruments = [self._registry.get(symbol) for symbol in symbols]
        # One bar more than there is room for tells whether the symbol goes on; a group of several always fits.
        found = await self._history.bars(instruments, query.interval, query.from_ns, query.end_ns, room + 1)
        for symbol in symbols:
            bars = self._with_live(query, symbol, found.get(symbol, []), room + 1)
            room = query.page_size - len(page)
            if len(bars) > room:
                return (page + bars[:room], query.after_bar(bars[room - 1])) if room else (page, query)
            page, query = page + bars, query.after_symbols(1)
        return page, query

    def _with_live(self, query: BarQuery, symbol: str, history: list[Bar], limit: int) -> list[Bar]:
        if query.interval is not Interval.ONE_MINUTE:
            return history
        # Where the venue's answer was cut off, ours must not reach beyond it: there would be a hole between.
        end_ns = history[-1].timestamp_ns + 1 if len(history) >= limit else query.end_ns
        return self._live_bars.over(history, symbol, query.from_ns, end_ns)
