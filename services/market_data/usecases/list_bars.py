"""A page of bars: what the venue remembers, with the bars of this run on top."""

from collections.abc import Collection, Sequence

from services.market_data.domain.activity_bars import ActivityRule
from services.market_data.domain.bar_query import BarQuery
from services.market_data.domain.live_bars import LiveBars
from services.market_data.domain.registry import Registry
from services.market_data.ports import HistorySource
from trading.errors import InvalidArgument
from trading.market import Bar, Interval


class ListBars:
    """Answers a question about bars, page by page."""

    def __init__(
        self,
        registry: Registry,
        history: HistorySource,
        live_bars: LiveBars,
        rules: Collection[ActivityRule] = (),
    ) -> None:
        self._registry, self._history, self._live_bars, self._rules = registry, history, live_bars, rules

    async def __call__(self, query: BarQuery) -> tuple[list[Bar], BarQuery]:
        """At most `page_size` bars, by symbol in the caller's order and then time, and the rest of the question."""
        page: list[Bar] = []
        while not query.is_done and len(page) < query.page_size:
            page, query = await self._add_group(page, query)
        return page, query

    async def _add_group(self, page: list[Bar], query: BarQuery) -> tuple[list[Bar], BarQuery]:
        room = query.page_size - len(page)
        symbols = query.group(room)
        # One bar more than there is room for tells whether the symbol goes on; a group of several always fits.
        found = await self._found(symbols, query, room + 1)
        for symbol in symbols:
            bars = found[symbol]
            room = query.page_size - len(page)
            if len(bars) > room:
                return (page + bars[:room], query.after_bar(bars[room - 1])) if room else (page, query)
            page, query = page + bars, query.after_symbols(1)
        return page, query

    async def _found(self, symbols: Sequence[str], query: BarQuery, limit: int) -> dict[str, list[Bar]]:
        """Bars by symbol; of one symbol at least `limit` where there are as many, of several all."""
        interval = query.interval
        if isinstance(interval, ActivityRule):
            self._check(interval)
            start_ns, end_ns = query.from_ns, query.end_ns
            return {symbol: self._live_bars.between(symbol, str(interval), start_ns, end_ns) for symbol in symbols}
        instruments = [self._registry.get(symbol) for symbol in symbols]
        history = await self._history.bars(instruments, interval, query.from_ns, query.end_ns, limit)
        return {symbol: self._with_live(query, interval, symbol, history.get(symbol, []), limit) for symbol in symbols}

    def _with_live(self, query: BarQuery, interval: Interval, symbol: str, history: list[Bar], limit: int) -> list[Bar]:
        # Where the venue's answer was cut off, ours must not reach beyond it: there would be a hole between.
        end_ns = history[-1].timestamp_ns + 1 if len(history) >= limit else query.end_ns
        return self._live_bars.over(history, symbol, query.from_ns, end_ns, interval)

    def _check(self, rule: ActivityRule) -> None:
        if rule not in self._rules:
            made = ", ".join(map(str, self._rules)) or "no bars of activity"
            raise InvalidArgument(
                f"This service makes {made}, besides bars of time.", field="interval", value=str(rule)
            )
