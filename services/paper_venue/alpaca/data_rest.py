"""Alpaca's data API: bars, trades and quotes of the past with paging, the latest of each, and snapshots."""

import re
from collections.abc import Callable

import msgspec
from starlette.routing import Route

from services.paper_venue.alpaca.errors import ApiError
from services.paper_venue.alpaca.frames import Codec, Framer
from services.paper_venue.alpaca.listing import Listing
from services.paper_venue.alpaca.paging import Cursor, Span, first_page
from services.paper_venue.alpaca.rest import Answer, Call, Door
from services.paper_venue.alpaca.times import parse_time, rfc3339
from services.paper_venue.domain.bars import BarTable
from services.paper_venue.domain.charts import Length, Unit
from services.paper_venue.domain.market import Market
from services.paper_venue.domain.ticks import Kind, Ticks
from trading.clock import DAY_NS, Clock
from trading.instruments import AssetClass, Instrument

_ROWS_PER_PAGE, _MOST_ROWS = 1_000, 10_000
_END_OF_TIME = 2**63 - 1
_TIMEFRAME = re.compile(r"(\d{1,2})(Min|T|Hour|H|Day|D|Week|W|Month|M)", re.IGNORECASE)
_UNITS = {"min": Unit.MINUTE, "t": Unit.MINUTE, "hour": Unit.HOUR, "h": Unit.HOUR, "day": Unit.DAY, "d": Unit.DAY}
_UNITS |= {"week": Unit.WEEK, "w": Unit.WEEK, "month": Unit.MONTH, "m": Unit.MONTH}
_COUNTS = {
    Unit.MINUTE: range(1, 60),
    Unit.HOUR: range(1, 24),
    Unit.DAY: (1,),
    Unit.WEEK: (1,),
    Unit.MONTH: (1, 2, 3, 4, 6, 12),
}
_MINUTE, _DAY = Length(1, Unit.MINUTE), Length(1, Unit.DAY)


class DataApi:
    """The handlers of the data API for one asset class."""

    def __init__(self, market: Market, listing: Listing, asset_class: AssetClass, clock: Clock) -> None:
        self._market = market
        self._listing = listing
        self._clock = clock
        self._crypto = asset_class is AssetClass.CRYPTO
        self._symbols = {i.symbol for i in listing.instruments if i.asset_class is asset_class}
        named = {i.symbol: listing.spelling(i.symbol) for i in listing.instruments}
        self._framer = Framer(asset_class, list(named.values()), named)

    def routes(self, door: Door) -> list[Route]:
        """Every route of this asset class behind `door`."""
        base = "/v1beta3/crypto/us" if self._crypto else "/v2/stocks"
        table: dict[str, Callable[[Call], Answer]] = {
            "/bars": self.bars,
            "/trades": lambda call: self._ticks(call, Kind.TRADE, "trades"),
            "/quotes": lambda call: self._ticks(call, Kind.QUOTE, "quotes"),
            "/snapshots": self.snapshots,
            self._latest("trades"): lambda call: self._newest(call, "trades", self._latest_trade),
            self._latest("quotes"): lambda call: self._newest(call, "quotes", self._latest_quote),
            self._latest("bars"): lambda call: self._newest(call, "bars", self._minute_bar),
        }
        return [Route(base + path, door.endpoint(handler), methods=["GET"]) for path, handler in table.items()]

    def bars(self, call: Call) -> Answer:
        """Historical bars of any length."""
        length = _length(call.query.get("timeframe", ""))

        def find(symbol: str, start_ns: int, end_ns: int) -> BarTable:
            return self._market.charts.find(symbol, length, start_ns, end_ns)

        page = first_page(
            self._asked(call), self._span(call), _limit(call), _cursor(call), find, lambda t: t.start_ns, _cut_bars
        )
        rows = {self._listing.spelling(symbol): _bar_rows(table) for symbol, table in page.tables.items()}
        return Answer({"bars": rows, "next_page_token": page.next.token() if page.next else None})

    def snapshots(self, call: Call) -> Answer:
        """The newest of everything by symbol."""
        found = {self._listing.spelling(symbol): self._snapshot(symbol) for symbol in self._asked(call)}
        return Answer({"snapshots": found} if self._crypto else found)

    def _latest(self, what: str) -> str:
        return f"/latest/{what}" if self._crypto else f"/{what}/latest"

    def _ticks(self, call: Call, kind: Kind, name: str) -> Answer:
        def find(symbol: str, start_ns: int, end_ns: int) -> Ticks:
            return self._market.tape.find(kind, self._listing.index(symbol), start_ns, end_ns)

        page = first_page(
            self._asked(call), self._span(call), _limit(call), _cursor(call), find, lambda t: t.time_ns, _cut_ticks
        )
        rows = {self._listing.spelling(symbol): self._bodies(ticks) for symbol, ticks in page.tables.items()}
        return Answer({name: rows, "next_page_token": page.next.token() if page.next else None})

    def _newest(self, call: Call, name: str, find: Callable[[str], object]) -> Answer:
        found = {self._listing.spelling(symbol): find(symbol) for symbol in self._asked(call)}
        return Answer({name: {symbol: row for symbol, row in found.items() if row is not None}})

    def _snapshot(self, symbol: str) -> dict[str, object]:
        days = _bar_rows(self._market.charts.find(symbol, _DAY, 0, _END_OF_TIME)[-2:])
        return {
            "latestTrade": self._latest_trade(symbol),
            "latestQuote": self._latest_quote(symbol),
            "minuteBar": self._minute_bar(symbol),
            "dailyBar": days[-1] if days else None,
            "prevDailyBar": days[-2] if len(days) > 1 else None,
        }

    def _latest_trade(self, symbol: str) -> object:
        return self._last_tick(Kind.TRADE, symbol)

    def _latest_quote(self, symbol: str) -> object:
        return self._last_tick(Kind.QUOTE, symbol)

    def _last_tick(self, kind: Kind, symbol: str) -> object:
        bodies = self._bodies(self._market.tape.latest(kind, self._listing.index(symbol)))
        return bodies[0] if bodies else None

    def _minute_bar(self, symbol: str) -> object:
        bars = _bar_rows(self._market.charts.find(symbol, _MINUTE, 0, _END_OF_TIME)[-1:])
        return bars[0] if bars else None

    def _bodies(self, ticks: Ticks) -> list[dict[str, object]]:
        """Ticks as the REST API writes them: the stream's fields without type and symbol."""
        return [_body(message) for message in self._framer.messages(ticks, Codec.JSON)]

    def _asked(self, call: Call) -> list[str]:
        """The canonical symbols that are asked for and belong to this API; others are absent from the answer."""
        names = call.names("symbols")
        if not names:
            raise ApiError(400, None, "symbols parameter is required")
        found: list[Instrument] = self._listing.find_all(names)
        return list(dict.fromkeys(i.symbol for i in found if i.symbol in self._symbols))

    def _span(self, call: Call) -> Span:
        """The interval asked for: from the start of today unless told otherwise, to the end of the market so far."""
        order = call.query.get("sort", "asc")
        if order not in ("asc", "desc"):
            raise ApiError(400, None, f"invalid sort: {order}")
        now_ns = self._clock.now_ns()
        start, end = call.query.get("start"), call.query.get("end")
        start_ns = parse_time(start, "start") if start else now_ns // DAY_NS * DAY_NS
        end_ns = _end_of(end) if end else _END_OF_TIME
        if start_ns > end_ns:
            raise ApiError(400, None, "end should not be before start")
        return Span(start_ns, end_ns, order == "desc")


def _end_of(text: str) -> int:
    """The end of an interval; a bare date includes its whole day."""
    moment = parse_time(text, "end")
    return moment + DAY_NS - 1 if len(text) == len("2026-01-01") else moment


def _length(text: str) -> Length:
    found = _TIMEFRAME.fullmatch(text)
    if found is not None:
        unit = _UNITS[found.group(2).lower()]
        if int(found.group(1)) in _COUNTS[unit]:
            return Length(int(found.group(1)), unit)
    raise ApiError(400, None, f"invalid timeframe: {text}" if text else "timeframe parameter is required")


def _limit(call: Call) -> int:
    return call.whole_number("limit", _ROWS_PER_PAGE, _MOST_ROWS)


def _cursor(call: Call) -> Cursor | None:
    token = call.query.get("page_token")
    return Cursor.read(token) if token else None


def _cut_bars(table: BarTable, rows: slice) -> BarTable:
    return table[rows]


def _cut_ticks(ticks: Ticks, rows: slice) -> Ticks:
    return ticks[rows]


def _bar_rows(table: BarTable) -> list[dict[str, object]]:
    open_, high, low, close, vwap = (
        (column / 1e9).tolist() for column in (table.open, table.high, table.low, table.close, table.vwap)
    )
    columns = zip(
        table.start_ns.tolist(),
        open_,
        high,
        low,
        close,
        table.volume.tolist(),
        table.trades.tolist(),
        vwap,
        strict=True,
    )
    return [
        {"t": rfc3339(t), "o": o, "h": h, "l": lo, "c": c, "v": v, "n": n, "vw": vw}
        for t, o, h, lo, c, v, n, vw in columns
    ]


def _body(message: object) -> dict[str, object]:
    fields = msgspec.to_builtins(message)
    return {name: value for name, value in fields.items() if name not in ("T", "S")}
