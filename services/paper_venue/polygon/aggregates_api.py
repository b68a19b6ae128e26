"""The REST API's aggregates: ranges with paging, the previous day, whole markets of a day, open and close."""

from urllib.parse import urlencode

import numpy as np
from starlette.routing import Route

from services.paper_venue.domain.bars import BarTable
from services.paper_venue.domain.charts import Length, Unit
from services.paper_venue.domain.history import day_start_ns
from services.paper_venue.domain.market import Market as Exchange
from services.paper_venue.domain.ticks import Kind, Ticks
from services.paper_venue.polygon.aggregates import DayBook
from services.paper_venue.polygon.errors import bad_request, not_found
from services.paper_venue.polygon.frames import MILLISECOND_NS
from services.paper_venue.polygon.listing import Listing, Market, Ticker
from services.paper_venue.polygon.rest import Answer, Call, Door
from services.paper_venue.polygon.times import day_close_ms, day_span, parse_date, span_of
from services.paper_venue.polygon.windows import Span, Window, page_of
from trading.clock import DAY_NS, SECOND_NS, Clock

_ROWS_PER_PAGE, _MOST_ROWS = 5_000, 50_000
_MINUTE, _DAY = Length(1, Unit.MINUTE), Length(1, Unit.DAY)
_END_OF_TIME = 2**62
_DECIMALS = 9


class AggregatesApi:
    """The handlers of aggregates."""

    def __init__(self, exchange: Exchange, listing: Listing, clock: Clock) -> None:
        self._exchange = exchange
        self._listing = listing
        self._clock = clock
        self._book = DayBook(exchange)

    def routes(self, door: Door) -> list[Route]:
        """Every route of aggregates behind `door`."""
        return [
            door.route("/v2/aggs/ticker/{ticker}/range/{count}/{span}/{start}/{end}", self.range),
            door.route("/v2/aggs/ticker/{ticker}/prev", self.previous),
            door.route("/v2/aggs/grouped/locale/{locale}/market/{market}/{date}", self.grouped),
            door.route("/v1/open-close/{ticker}/{date}", self.open_close),
        ]

    def range(self, call: Call) -> Answer:
        """Windows between two times; the limit counts the bars that they are made of."""
        window = Window.parse(call.path["count"], call.path["span"])
        limit, descending = call.limit(_ROWS_PER_PAGE, _MOST_ROWS), call.descending("sort", "asc")
        ticker = self._listing.get(call.path["ticker"])
        if ticker is None:
            return self._answer(call, [], 0)
        start_ns, end_ns = _interval(call, ticker)
        first_ns = window.start_of(start_ns, ticker.asset_class)
        base = self._base(ticker, window.span, first_ns)
        keys = window.starts_of(base.start_ns, ticker.asset_class)
        inside = keys <= end_ns
        base, keys = base[inside], keys[inside]
        cut = page_of(keys, limit, descending)
        made = base[cut].grouped(keys[cut])
        rows = _rows(made)
        answer = self._answer(call, rows[::-1] if descending else rows, cut.stop - cut.start)
        if cut.stop - cut.start < len(base):
            ends = (keys[0], keys[cut.start] - 1) if descending else (keys[cut.stop], end_ns)
            answer["next_url"] = _next_url(call, ticker, window, (int(ends[0]), int(ends[1])), (limit, descending))
        return answer

    def previous(self, call: Call) -> Answer:
        """The last day that is over."""
        ticker = self._listing.get(call.path["ticker"])
        if ticker is None:
            return self._answer(call, [], 0)
        rows = _day_rows(ticker, self.days(ticker).previous)
        return self._answer(call, rows, len(rows))

    def grouped(self, call: Call) -> Answer:
        """Every ticker's bar of one day."""
        market = Market.called(call.path["market"], call.path["locale"])
        day = parse_date(call.path["date"])
        rows: list[Answer] = []
        for ticker in self._listing.of_market(market):
            rows += _day_rows(ticker, self._traded(ticker, _DAY, *day_span(day, market.asset_class)))
        answer = self._answer(call, rows, len(rows))
        del answer["ticker"]
        return answer

    def open_close(self, call: Call) -> Answer:
        """One ticker's day."""
        ticker = self._listing.find(call.path["ticker"])
        day = parse_date(call.path["date"])
        rows = _rows(self._traded(ticker, _DAY, *day_span(day, ticker.asset_class)))
        if not rows:
            raise not_found()
        row = rows[0]
        words = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
        found = {word: row[letter] for word, letter in words.items()}
        return {"status": "OK", "from": day.isoformat(), "symbol": ticker.name, **found}

    def days(self, ticker: Ticker) -> "Days":
        """The day in the making and the one before it."""
        table = self._traded(ticker, _DAY, 0, _END_OF_TIME)
        newest = self._exchange.tape.latest(Kind.TRADE, ticker.index)
        now_ns = int(newest.time_ns[0]) if len(newest) else self._clock.now_ns()
        today = self._book.before(ticker, now_ns + 1)
        before = table[table.start_ns < day_start_ns(now_ns, ticker.asset_class)]
        return Days(BarTable.of([today] if today and today.volume else []), before[-1:])

    def newest_minute(self, ticker: Ticker) -> BarTable:
        """The minute that closed last; empty before the first."""
        return self._traded(ticker, _MINUTE, 0, _END_OF_TIME)[-1:]

    def _traded(self, ticker: Ticker, length: Length, start_ns: int, end_ns: int) -> BarTable:
        """Bars of the charts; a bar in which nothing traded does not exist here."""
        table = self._exchange.charts.find(ticker.symbol, length, start_ns, end_ns)
        return table[table.volume > 0]

    def _base(self, ticker: Ticker, span: Span, start_ns: int) -> BarTable:
        """The bars that windows of a span are made of."""
        if span is Span.SECOND:
            return _seconds(self._exchange.tape.find(Kind.TRADE, ticker.index, start_ns, _END_OF_TIME))
        return self._traded(ticker, _MINUTE if span.is_within_a_day else _DAY, start_ns, _END_OF_TIME)

    @staticmethod
    def _answer(call: Call, rows: list[Answer], queried: int) -> Answer:
        answer: Answer = {
            "ticker": call.path.get("ticker"),
            "queryCount": queried,
            "resultsCount": len(rows),
            "adjusted": call.query.get("adjusted", "true") != "false",
            "status": "OK",
            "count": len(rows),
        }
        return answer | ({"results": rows} if rows else {})


class Days:
    """A ticker's day in the making, empty until something traded, and the last one before it."""

    def __init__(self, today: BarTable, previous: BarTable) -> None:
        self.today = today
        self.previous = previous


def bar_row(table: BarTable) -> Answer:
    """The bar of a table of one; nothing of an empty one."""
    rows = _rows(table[-1:])
    return rows[0] if rows else {}


def _interval(call: Call, ticker: Ticker) -> tuple[int, int]:
    start_ns, _ = span_of(call.path["start"], MILLISECOND_NS, ticker.asset_class)
    _, end_ns = span_of(call.path["end"], MILLISECOND_NS, ticker.asset_class)
    if start_ns > end_ns:
        raise bad_request("The parameter 'to' cannot be a time that occurs before 'from'.")
    return min(start_ns, _END_OF_TIME - 2 * DAY_NS), min(end_ns, _END_OF_TIME)


def _next_url(call: Call, ticker: Ticker, window: Window, interval_ns: tuple[int, int], order: tuple[int, bool]) -> str:
    """Where the rest is: the same question about what is left of the interval, without the key."""
    start, end = (time_ns // MILLISECOND_NS for time_ns in interval_ns)
    query = {
        "adjusted": call.query.get("adjusted", "true"),
        "sort": "desc" if order[1] else "asc",
        "limit": order[0],
    }
    path = f"/v2/aggs/ticker/{ticker.name}/range/{window.count}/{window.span}/{start}/{end}"
    return f"{call.base}{path}?{urlencode(query)}"


def _seconds(trades: Ticks) -> BarTable:
    """Trades as bars of a second."""
    sizes = trades.b / 1e9
    single = BarTable(
        trades.time_ns, trades.a, trades.a, trades.a, trades.a, sizes, np.ones(len(trades), np.int64), trades.a
    )
    return single.grouped(trades.time_ns // SECOND_NS * SECOND_NS)


def _day_rows(ticker: Ticker, table: BarTable) -> list[Answer]:
    """Single days under the ticker's name, stamped with their end."""
    ends = [day_close_ms(start, ticker) for start in table.start_ns.tolist()]
    return [{"T": ticker.name, **row, "t": end} for row, end in zip(_rows(table), ends, strict=True)]


def _rows(table: BarTable) -> list[Answer]:
    prices = [(column / 1e9).tolist() for column in (table.open, table.high, table.low, table.close, table.vwap)]
    columns = zip(
        (table.start_ns // MILLISECOND_NS).tolist(),
        *prices,
        np.round(table.volume, _DECIMALS).tolist(),
        table.trades.tolist(),
        strict=True,
    )
    return [{"v": v, "vw": vw, "o": o, "c": c, "h": h, "l": lo, "t": t, "n": n} for t, o, h, lo, c, vw, v, n in columns]
