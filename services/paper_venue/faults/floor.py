"""The floor under the admin route: a test halts an instrument, lets it trade again, and says prices of its own."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from services.paper_venue.domain.market import Market
from services.paper_venue.domain.ticks import Kind, Ticks
from services.paper_venue.feed import Feed
from trading.clock import Clock
from trading.errors import TradingError
from trading.money import parse_nanos

Handler = Callable[[Request], Awaitable[Response]]
ShapeT = TypeVar("ShapeT")
_LARGEST_BODY = 65_536
_Amount = str | int | float


class Symbols(msgspec.Struct, forbid_unknown_fields=True):
    """What is halted."""

    symbols: list[str]


class Price(msgspec.Struct, forbid_unknown_fields=True):
    """A quote, if `bid` and `ask` are there, and then a print, if `last` is."""

    symbol: str
    bid: _Amount | None = None
    ask: _Amount | None = None
    bid_size: _Amount = 1_000_000
    ask_size: _Amount = 1_000_000
    last: _Amount | None = None


class Floor:
    """Handlers that change the market itself; quotes go out to its listeners, prints only move orders."""

    def __init__(self, market: Market, feed: Feed, clock: Clock) -> None:
        self._market = market
        self._exchange = market.exchange
        self._feed = feed
        self._clock = clock

    def table(self) -> tuple[tuple[str, str, Handler], ...]:
        """Paths below the admin route, verbs and handlers."""
        return (
            ("/halts", "GET", self._list),
            ("/halts", "POST", self._halt),
            ("/halts/{symbol:path}", "DELETE", self._resume),
            ("/market", "POST", self._say),
        )

    async def _list(self, request: Request) -> Response:
        return _json({"halted": self._exchange.halted()})

    async def _halt(self, request: Request) -> Response:
        try:
            for symbol in (await _read(request, Symbols)).symbols:
                self._exchange.halt(symbol)
        except (msgspec.DecodeError, TradingError) as error:
            return _json({"error": str(error)}, 400)
        return await self._list(request)

    async def _resume(self, request: Request) -> Response:
        try:
            self._exchange.resume(request.path_params["symbol"], self._clock.now_ns())
        except TradingError as error:
            return _json({"error": str(error)}, 404)
        return await self._list(request)

    async def _say(self, request: Request) -> Response:
        """Orders have met all of it when the answer comes."""
        try:
            prices = await _read(request, list[Price])
            said = [(self._quotes(price), self._prints(price)) for price in prices]
        except (msgspec.DecodeError, TradingError) as error:
            return _json({"error": str(error)}, 400)
        for quotes, prints in said:
            if len(quotes):
                await self._feed.publish(self._market.repeat(quotes, self._clock.now_ns()), patient=False)
            if len(prints):
                self._exchange.apply(prints, self._clock.now_ns())
        return _json({"said": len(said)})

    def _quotes(self, price: Price) -> Ticks:
        if price.bid is None or price.ask is None:
            return Ticks.empty()
        return self._tick(Kind.QUOTE, price.symbol, price.bid, price.bid_size, price.ask, price.ask_size)

    def _prints(self, price: Price) -> Ticks:
        return Ticks.empty() if price.last is None else self._tick(Kind.TRADE, price.symbol, price.last, 1, 0, 0)

    def _tick(self, kind: Kind, symbol: str, *amounts: _Amount) -> Ticks:
        index = self._exchange.symbols.index(self._exchange.instruments.get(symbol).symbol)
        columns = [np.array([parse_nanos(amount)], np.int64) for amount in amounts]
        return Ticks.of(kind, index, np.array([self._clock.now_ns()], np.int64), *columns)


async def _read(request: Request, shape: type[ShapeT]) -> ShapeT:
    body = await request.body()
    if len(body) > _LARGEST_BODY:
        raise msgspec.DecodeError(f"expected at most {_LARGEST_BODY} bytes, was {len(body)}")
    return msgspec.json.decode(body, type=shape)


def _json(payload: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(payload), status, media_type="application/json")
