"""A table of the past: the store brought up to date by the venue, and the bars of this run on top."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from services.market_data.domain.coverage import Coverage
from services.market_data.domain.frame_query import FrameQuery, Selection
from services.market_data.domain.history import Kind
from services.market_data.domain.live_bars import LiveBars
from services.market_data.domain.registry import Registry
from services.market_data.ports import EncodedFrame, HistoryStore
from services.market_data.usecases.fetch_bars import FetchBars
from trading.errors import UnknownSymbol
from trading.instruments import Instrument
from trading.market import Bar, Interval


class GetHistorical:
    """Answers questions about the past; `sources` by venue."""

    def __init__(
        self,
        registry: Registry,
        coverage: Coverage,
        store: HistoryStore,
        sources: Mapping[str, FetchBars],
        live_bars: LiveBars,
    ) -> None:
        self._registry, self._coverage, self._store = registry, coverage, store
        self._sources, self._live_bars = sources, live_bars

    async def symbol(self, spelling: str) -> str:
        """The canonical symbol of any spelling; also of what is only stored. Raises UnknownSymbol."""
        try:
            return self._registry.get(spelling).symbol
        except UnknownSymbol:
            if await self._store.holds(spelling.upper()):
                return spelling.upper()
            raise

    async def __call__(self, query: FrameQuery) -> EncodedFrame:
        """The table as an Arrow stream. Raises InvalidArgument, or what the venue's history raises."""
        if query.selection.kind is not Kind.BARS:
            return await self._store.frame(query, ())
        owned = replace(query.selection, venues=self._owners(query.selection.symbols))
        return await self._store.frame(replace(query, selection=owned), await self._fresh(owned))

    def _owners(self, symbols: Sequence[str]) -> dict[str, str]:
        """The venue whose bars answer for a symbol; none for what is only stored."""
        streamed = {instrument.symbol for instrument in self._registry.all()}
        owners = {symbol: self._coverage.owner(symbol) for symbol in symbols if symbol in streamed}
        return {symbol: owner for symbol, owner in owners.items() if owner is not None}

    async def _fresh(self, wanted: Selection) -> Sequence[Bar]:
        """Bars that the store does not have yet."""
        assert wanted.interval is not None
        fresh: list[Bar] = []
        for source, instruments in self._asked(wanted.symbols, wanted.venue):
            told = await source.keep(instruments, wanted.interval, wanted.start_ns, wanted.end_ns)
            fresh += self._with_live(told, instruments, wanted, wanted.interval)
        return fresh

    def _asked(self, symbols: Sequence[str], venue: str) -> list[tuple[FetchBars, list[Instrument]]]:
        """Which venue to ask for which of the symbols; what only the store knows is asked of nobody."""
        by_venue: defaultdict[str, list[Instrument]] = defaultdict(list)
        for instrument in self._registry.listed():
            name = venue or self._coverage.owner(instrument.symbol)
            if instrument.symbol in symbols and name and name in self._sources:
                by_venue[name].append(instrument)
        return [(self._sources[name], asked) for name, asked in by_venue.items()]

    def _with_live(
        self, told: Sequence[Bar], instruments: Sequence[Instrument], wanted: Selection, interval: Interval
    ) -> list[Bar]:
        return [
            bar
            for instrument in instruments
            for bar in self._live_bars.over(
                (bar for bar in told if bar.symbol == instrument.symbol),
                instrument.symbol,
                wanted.start_ns,
                wanted.end_ns,
                interval,
            )
        ]
