"""Second aggregates as the market moves, and the day so far that every aggregate tells beside itself."""

from collections.abc import Sequence

import numpy as np

from services.paper_venue.domain.bars import VENUE, BarTable, RunningBars, extended
from services.paper_venue.domain.charts import Length, Unit
from services.paper_venue.domain.history import day_start_ns
from services.paper_venue.domain.market import Batch, Market
from services.paper_venue.domain.ticks import Kind
from services.paper_venue.polygon.listing import Listing, Ticker
from trading.clock import MINUTE_NS, SECOND_NS
from trading.market import Bar

_MINUTE = Length(1, Unit.MINUTE)
_MEMO = "polygon seconds"


class DayBook:
    """The bars of a ticker's days, up to any moment."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._begun: dict[tuple[str, int], Bar | None] = {}

    def at(self, ticker: Ticker, live: Bar) -> Bar:
        """The whole of a day of which `live` has been heard: what the simulated past had of it comes before."""
        key = (ticker.symbol, live.timestamp_ns)
        if key not in self._begun:
            past = self._market.charts.past_minutes(ticker.symbol, live.timestamp_ns)
            self._begun = {known: day for known, day in self._begun.items() if known[0] != ticker.symbol}
            self._begun[key] = _as_day(ticker, past, live.timestamp_ns)
        return extended(self._begun[key], live, live.timestamp_ns)

    def before(self, ticker: Ticker, moment_ns: int) -> Bar | None:
        """The day up to a moment: its closed minutes, then the trades since; None without either."""
        start_ns = day_start_ns(moment_ns, ticker.asset_class)
        minutes = self._market.charts.find(ticker.symbol, _MINUTE, start_ns, moment_ns - MINUTE_NS)
        day = _as_day(ticker, minutes, start_ns)
        since_ns = int(minutes.start_ns[-1]) + MINUTE_NS if len(minutes) else start_ns
        trades = self._market.tape.find(Kind.TRADE, ticker.index, since_ns, moment_ns - 1)
        if len(trades):
            running = RunningBars(ticker.symbol)
            for bar in [*running.take(trades), *running.finish()]:
                day = extended(day, bar, start_ns)
        return day


class SecondAggregates:
    """Builds second bars while somebody listens; a second that began unheard is left out."""

    def __init__(self, market: Market, listing: Listing) -> None:
        self._listing = listing
        self._book = DayBook(market)
        self._running: dict[int, RunningBars] = {}
        self._whole: set[int] = set()
        self._days: dict[str, Bar] = {}

    def of_batch(self, batch: Batch) -> Sequence[tuple[Bar, Bar]]:
        """The seconds that a batch closes, each with its day; every listener of a batch gets the same."""
        if _MEMO not in batch.encoded:
            batch.encoded[_MEMO] = () if batch.repeated else tuple(self._take(batch))
        found = batch.encoded[_MEMO]
        return found if isinstance(found, tuple) else ()

    def forget(self) -> None:
        """Nobody listens any more."""
        self._running, self._whole, self._days = {}, set(), {}

    def _take(self, batch: Batch) -> list[tuple[Bar, Bar]]:
        closed: list[tuple[Bar, Bar]] = []
        for index in sorted(set(batch.ticks.instrument.tolist())):
            closed += [(bar, self._day(self._listing.tickers[index], bar)) for bar in self._bars(index, batch)]
        if not len(batch.ticks):
            closed += [(bar, self._day(self._listing.of_symbol(bar.symbol), bar)) for bar in self._finish()]
        return closed

    def _bars(self, index: int, batch: Batch) -> list[Bar]:
        if index not in self._running:
            self._running[index] = RunningBars(self._listing.tickers[index].symbol, SECOND_NS, "1s", quoted=False)
            if batch.first == 1:
                self._whole.add(index)
        bars = self._running[index].take(batch.ticks[batch.ticks.instrument == index])
        if index not in self._whole and bars:
            self._whole.add(index)
            return bars[1:]
        return bars

    def _finish(self) -> list[Bar]:
        """The market has ended: close what is in the making."""
        return [bar for running in self._running.values() for bar in running.finish()]

    def _day(self, ticker: Ticker, bar: Bar) -> Bar:
        start_ns = day_start_ns(bar.timestamp_ns, ticker.asset_class)
        known = self._days.get(ticker.symbol)
        if known is None or known.timestamp_ns != start_ns:
            known = self._book.before(ticker, bar.timestamp_ns)
        self._days[ticker.symbol] = day = extended(known, bar, start_ns)
        return day


def _as_day(ticker: Ticker, minutes: BarTable, start_ns: int) -> Bar | None:
    """Minutes of one day as its bar; None when there are none."""
    if not len(minutes):
        return None
    table = minutes.grouped(np.full(len(minutes), start_ns, np.int64))
    start, open_, high, low, close, volume, trades, vwap = (column[0].item() for column in table.columns())
    return Bar(ticker.symbol, "1d", start, open_, high, low, close, volume, vwap, trades, VENUE)
