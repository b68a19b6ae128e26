"""The REST API's trades and quotes: histories with paging, and the last of each."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.routing import Route

from services.paper_venue.domain.market import Market as Exchange
from services.paper_venue.domain.tape import Placed
from services.paper_venue.domain.ticks import Kind
from services.paper_venue.polygon.errors import bad_request, not_found
from services.paper_venue.polygon.frames import (
    COIN_EXCHANGE,
    MILLISECOND_NS,
    STOCK_EXCHANGE,
    TAPE,
    conditions,
    round_lots,
)
from services.paper_venue.polygon.listing import Listing, Ticker
from services.paper_venue.polygon.rest import Answer, Call, Door
from services.paper_venue.polygon.times import span_of

_ROWS_PER_PAGE, _MOST_ROWS = 1_000, 50_000
_END_OF_TIME = 2**62


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where the next page begins: rows of a closed interval whose position is beyond `last`."""

    start_ns: int
    end_ns: int
    limit: int
    descending: bool
    last: int

    def token(self) -> str:
        """The cursor as the customer carries it."""
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode()

    @classmethod
    def read(cls, token: str) -> "Cursor":
        """Understand a token of ours; raises ApiError 400 for any other."""
        try:
            return msgspec.json.decode(base64.urlsafe_b64decode(token), type=cls)
        except (ValueError, msgspec.DecodeError) as error:
            raise bad_request("Could not parse the cursor.") from error

    def page(self, rows: Placed) -> Placed:
        """The rows of this page, in its order, and one more where there is one."""
        if self.descending:
            kept = rows.positions < self.last if self.last else rows.positions > 0
            end = int(kept.sum())
            return rows[max(0, end - self.limit - 1) : end][::-1]
        start = int((rows.positions <= self.last).sum())
        return rows[start : start + self.limit + 1]


class TicksApi:
    """The handlers of trades and quotes."""

    def __init__(self, exchange: Exchange, listing: Listing) -> None:
        self._exchange = exchange
        self._listing = listing

    def routes(self, door: Door) -> list[Route]:
        """Every route of ticks behind `door`."""
        return [
            door.route("/v3/trades/{ticker}", lambda call: self._history(call, Kind.TRADE, "trades", _trades)),
            door.route("/v3/quotes/{ticker}", lambda call: self._history(call, Kind.QUOTE, "quotes", _quotes)),
            door.route("/v2/last/trade/{ticker}", self.last_trade),
            door.route("/v2/last/nbbo/{ticker}", self.last_quote),
            door.route("/v1/last/crypto/{base}/{quote}", self.last_coin_trade),
        ]

    def last_trade(self, call: Call) -> Answer:
        """The newest trade of a ticker."""
        return {"results": self._last(Kind.TRADE, self._listing.find(call.path["ticker"]), short_trade), "status": "OK"}

    def last_quote(self, call: Call) -> Answer:
        """The newest quote of a ticker."""
        return {"results": self._last(Kind.QUOTE, self._listing.find(call.path["ticker"]), short_quote), "status": "OK"}

    def last_coin_trade(self, call: Call) -> Answer:
        """The newest trade of a pair."""
        ticker = self._listing.find_pair(call.path["base"], call.path["quote"])
        found = self._last(Kind.TRADE, ticker, short_trade)
        words = {"conditions": "c", "exchange": "x", "price": "p", "size": "s"}
        last = {word: found[letter] for word, letter in words.items()} | {"timestamp": found["t"] // MILLISECOND_NS}
        return {"last": last, "status": "success", "symbol": ticker.stream_name}

    def latest(self, kind: Kind, ticker: Ticker) -> Placed:
        """The newest row of a kind; empty when there is none."""
        return self._exchange.tape.latest_placed(kind, ticker.index)

    def _last(self, kind: Kind, ticker: Ticker, write: Callable[[Ticker, Placed], Answer]) -> Answer:
        found = self.latest(kind, ticker)
        if not len(found):
            raise not_found()
        return {"T": ticker.name, **write(ticker, found)}

    def _history(self, call: Call, kind: Kind, name: str, write: Callable[[Ticker, Placed], list[Answer]]) -> Answer:
        ticker = self._listing.get(call.path["ticker"])
        cursor = _cursor(call, ticker)
        if ticker is None:
            return {"results": [], "status": "OK"}
        found = self._exchange.tape.find_placed(kind, ticker.index, cursor.start_ns, cursor.end_ns)
        rows = cursor.page(found)
        page = rows[: cursor.limit]
        answer: Answer = {"results": write(ticker, page), "status": "OK"}
        if len(rows) > cursor.limit:
            following = msgspec.structs.replace(cursor, last=int(page.positions[-1]))
            answer["next_url"] = f"{call.base}/v3/{name}/{ticker.name}?cursor={following.token()}"
        return answer


@dataclass(frozen=True, slots=True)
class _Bounds:
    """A closed interval of times that conditions make smaller."""

    start_ns: int = 0
    end_ns: int = _END_OF_TIME

    def within(self, start_ns: int | None = None, end_ns: int | None = None) -> "_Bounds":
        return _Bounds(
            self.start_ns if start_ns is None else max(self.start_ns, start_ns),
            self.end_ns if end_ns is None else min(self.end_ns, end_ns),
        )


_CONDITIONS: dict[str, Callable[[_Bounds, int, int], _Bounds]] = {
    "timestamp": lambda bounds, first, last: bounds.within(first, last),
    "timestamp.gte": lambda bounds, first, last: bounds.within(start_ns=first),
    "timestamp.gt": lambda bounds, first, last: bounds.within(start_ns=last + 1),
    "timestamp.lte": lambda bounds, first, last: bounds.within(end_ns=last),
    "timestamp.lt": lambda bounds, first, last: bounds.within(end_ns=first - 1),
}


def _cursor(call: Call, ticker: Ticker | None) -> Cursor:
    """Where this page begins: at the token, or at the start of what the parameters ask for."""
    token = call.query.get("cursor")
    if token:
        return Cursor.read(token)
    if call.query.get("sort", "timestamp") != "timestamp":
        raise bad_request(f"The parameter 'sort' must be timestamp, was {call.query['sort']!r}.")
    bounds = _Bounds()
    for name, narrow in _CONDITIONS.items():
        if ticker is not None and name in call.query:
            bounds = narrow(bounds, *span_of(call.query[name], 1, ticker.asset_class))
    limit = call.limit(_ROWS_PER_PAGE, _MOST_ROWS)
    return Cursor(bounds.start_ns, bounds.end_ns, limit, call.descending("order", "desc"), 0)


def short_trade(ticker: Ticker, found: Placed) -> Answer:
    """A trade under one-letter names."""
    (row,) = found.ticks.rows()
    return {
        "c": conditions(row.c, ticker.is_crypto),
        "i": str(row.d),
        "p": row.a / 1e9,
        "q": int(found.positions[0]),
        "s": _size(row.b),
        "t": row.time_ns,
        "x": COIN_EXCHANGE if ticker.is_crypto else STOCK_EXCHANGE,
        "y": row.time_ns,
        "z": TAPE,
    }


def short_quote(ticker: Ticker, found: Placed) -> Answer:
    """A quote under one-letter names: capitals are the ask's."""
    ticks = found.ticks
    exchange = COIN_EXCHANGE if ticker.is_crypto else STOCK_EXCHANGE
    return {
        "P": ticks.c[0].item() / 1e9,
        "S": _sizes(ticker, ticks.d)[0],
        "X": exchange,
        "p": ticks.a[0].item() / 1e9,
        "s": _sizes(ticker, ticks.b)[0],
        "x": exchange,
        "q": int(found.positions[0]),
        "t": ticks.time_ns[0].item(),
        "y": ticks.time_ns[0].item(),
        "z": TAPE,
    }


def _trades(ticker: Ticker, page: Placed) -> list[Answer]:
    """Trades as histories write them; a coin's lack what only a consolidated tape has."""
    rows = []
    for row, position in zip(page.ticks.rows(), page.positions.tolist(), strict=True):
        trade: Answer = {
            "conditions": conditions(row.c, ticker.is_crypto),
            "exchange": COIN_EXCHANGE if ticker.is_crypto else STOCK_EXCHANGE,
            "id": str(row.d),
            "participant_timestamp": row.time_ns,
            "price": row.a / 1e9,
            "size": _size(row.b),
        }
        taped = {"sequence_number": position, "sip_timestamp": row.time_ns, "tape": TAPE}
        rows.append(trade if ticker.is_crypto else trade | taped)
    return rows


def _quotes(ticker: Ticker, page: Placed) -> list[Answer]:
    ticks = page.ticks
    exchange = COIN_EXCHANGE if ticker.is_crypto else STOCK_EXCHANGE
    columns = zip(
        (ticks.c / 1e9).tolist(), _sizes(ticker, ticks.d), (ticks.a / 1e9).tolist(), _sizes(ticker, ticks.b),
        ticks.time_ns.tolist(), page.positions.tolist(), strict=True,
    )  # fmt: skip
    return [
        {
            "ask_exchange": exchange, "ask_price": ap, "ask_size": as_, "bid_exchange": exchange, "bid_price": bp,
            "bid_size": bs, "participant_timestamp": t, "sequence_number": q, "sip_timestamp": t, "tape": TAPE,
        }
        for ap, as_, bp, bs, t, q in columns
    ]  # fmt: skip


def _sizes(ticker: Ticker, nanos: Any) -> list[Any]:
    """Sizes of quotes: round lots of shares, units of coins."""
    return list((nanos / 1e9).tolist()) if ticker.is_crypto else round_lots(nanos)


def _size(nanos: int) -> float | int:
    return nanos / 1e9 if nanos % 1_000_000_000 else nanos // 1_000_000_000
