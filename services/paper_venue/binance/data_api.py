"""Market data on request, for REST and the WebSocket API alike."""

from collections.abc import Callable

from services.paper_venue.binance.book import Books
from services.paper_venue.binance.errors import ApiError
from services.paper_venue.binance.klines import Klines, interval_of
from services.paper_venue.binance.limits import Limits
from services.paper_venue.binance.listing import Listing, Pair
from services.paper_venue.binance.params import Params
from services.paper_venue.binance.tickers import Tickers
from services.paper_venue.binance.trades import (
    END_OF_TIME,
    NumberedTrades,
    Trade,
    TradeHistory,
    aggregate_row,
    trade_row,
)
from services.paper_venue.domain.market import Market
from services.paper_venue.domain.touch import Slippage
from trading.clock import Clock

_USUAL_ROWS, _MOST_ROWS, _MOST_LEVELS = 500, 1_000, 5_000


class DataApi:
    """The handlers of the public calls; all raise ApiError."""

    def __init__(self, market: Market, listing: Listing, slippage: Slippage, limits: Limits, clock: Clock) -> None:
        self.listing = listing
        self.trade_history = TradeHistory(market)
        self.klines_of = Klines(market, self.trade_history)
        self.books = Books(market, slippage)
        self.tickers = Tickers(self.books, self.klines_of, self.trade_history)
        self._limits = limits
        self._exchange = market.exchange
        self._clock = clock

    def ping(self, params: Params) -> object:
        """Nothing, to see whether anybody answers."""
        return {}

    def time(self, params: Params) -> object:
        """The venue's clock."""
        return {"serverTime": params.unit.of(self._clock.now_ns())}

    def exchange_info(self, params: Params) -> object:
        """What trades here, by which rules."""
        halted = self._exchange.halted()
        return {
            "timezone": "UTC",
            "serverTime": params.unit.of(self._clock.now_ns()),
            "rateLimits": self._limits.stated(),
            "exchangeFilters": [],
            "symbols": [pair.info(pair.symbol in halted) for pair in self._pairs(params)],
        }

    def depth(self, params: Params) -> object:
        """A snapshot of the book."""
        pair = self._pair(params)
        return self.books.book(pair).snapshot(params.limit(100, _MOST_LEVELS))

    def trades(self, params: Params) -> object:
        """The newest trades."""
        found = self.trade_history.find(self._pair(params)).last(params.limit(_USUAL_ROWS, _MOST_ROWS))
        return [trade_row(trade, params.unit) for trade in found]

    def historical_trades(self, params: Params) -> object:
        """Trades from an id on; without one the newest."""
        return [trade_row(trade, params.unit) for trade in self._by_id(params)]

    def aggregate_trades(self, params: Params) -> object:
        """Aggregate trades from an id on, or between two times; without either the newest."""
        start_ns, end_ns = params.time_ns("startTime"), params.time_ns("endTime")
        if params.get("fromId") is not None and (start_ns is not None or end_ns is not None):
            raise ApiError(-1128, "Combination of optional parameters invalid.")
        if start_ns is None and end_ns is None:
            return [aggregate_row(trade, params.unit) for trade in self._by_id(params)]
        count = params.limit(_USUAL_ROWS, _MOST_ROWS)
        found = self.trade_history.find(self._pair(params), start_ns or 0, _through(params, end_ns))
        cut = found.first(count) if start_ns is not None else found.last(count)
        return [aggregate_row(trade, params.unit) for trade in cut]

    def klines(self, params: Params) -> object:
        """Klines: with a start the oldest from there on, otherwise the newest."""
        pair, length = self._pair(params), interval_of(params.text("interval"))
        start_ns, end_ns = params.time_ns("startTime"), params.time_ns("endTime")
        count = params.limit(_USUAL_ROWS, _MOST_ROWS)
        table = self.klines_of.find(pair, length, start_ns or 0, END_OF_TIME if end_ns is None else end_ns)
        cut = table[:count] if start_ns is not None else table[-count:]
        return self.klines_of.rows(cut, length, params.unit)

    def average_price(self, params: Params) -> object:
        """The mean price of the last five minutes."""
        return self.tickers.average(self._pair(params), self._clock.now_ns(), params.unit)

    def ticker_day(self, params: Params) -> object:
        """The last 24 hours of one pair, of some, or of all."""
        now_ns, mini = self._clock.now_ns(), params.get("type") == "MINI"
        return self._each(params, lambda pair: self.tickers.day(pair, now_ns, params.unit, mini))

    def ticker_price(self, params: Params) -> object:
        """The last price of one pair, of some, or of all."""
        return self._each(params, self.tickers.price)

    def ticker_book(self, params: Params) -> object:
        """The best prices of one pair, of some, or of all."""
        return self._each(params, self.tickers.book)

    def _pair(self, params: Params) -> Pair:
        return self.listing.find(params.text("symbol"))

    def _pairs(self, params: Params) -> list[Pair]:
        names = params.symbols()
        return list(self.listing.pairs) if names is None else [self.listing.find(name) for name in names]

    def _each(self, params: Params, make: Callable[[Pair], dict[str, object]]) -> object:
        """One answer for one `symbol`, a list for anything else."""
        found = [make(pair) for pair in self._pairs(params)]
        return found[0] if params.get("symbol") is not None else found

    def _by_id(self, params: Params) -> list[Trade]:
        found: NumberedTrades = self.trade_history.find(self._pair(params))
        count = params.limit(_USUAL_ROWS, _MOST_ROWS)
        if params.get("fromId") is None:
            return list(found.last(count))
        return list(found.from_id(params.whole("fromId", least=0), count))


def _through(params: Params, end_ns: int | None) -> int:
    """The last nanosecond of the moment that an end names."""
    return END_OF_TIME if end_ns is None else min(end_ns + params.unit.value - 1, END_OF_TIME)
