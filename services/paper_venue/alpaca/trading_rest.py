"""Alpaca's trading API: orders, positions, account, activities, clock, calendar, assets."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from itertools import islice

from starlette.routing import Route

from services.paper_venue.alpaca.errors import FIELD, NOT_FOUND, ApiError, refusal
from services.paper_venue.alpaca.listing import Listing, asset_class
from services.paper_venue.alpaca.order_bodies import NewOrder, Replacement
from services.paper_venue.alpaca.payloads import (
    Payload,
    account_payload,
    activity_id,
    asset_payload,
    fill_activity,
    order_payload,
    position_payload,
)
from services.paper_venue.alpaca.rest import Answer, Call, Door
from services.paper_venue.alpaca.times import parse_time, rfc3339
from services.paper_venue.domain.account import Position
from services.paper_venue.domain.checks import check_available
from services.paper_venue.domain.exchange import Exchange
from services.paper_venue.domain.orders import Order, OrderEvent, OrderRequest
from services.paper_venue.domain.sessions import CLOSES, OPENS, Sessions, is_trading_day, new_york_date
from trading.clock import DAY_NS, Clock
from trading.errors import TradingError, UnknownSymbol
from trading.money import ONE, parse_nanos
from trading.order import OrderType, TimeInForce

_ORDERS_PER_PAGE, _MOST_ORDERS = 50, 500
_ACTIVITIES_PER_PAGE = 100
_CALENDAR_DAYS = 366
_END_OF_TIME = 2**63 - 1


class TradingApi:
    """The handlers of the trading API for one account."""

    def __init__(self, exchange: Exchange, listing: Listing, sessions: Sessions, clock: Clock, account_id: str) -> None:
        self._exchange = exchange
        self._listing = listing
        self._sessions = sessions
        self._clock = clock
        self._account_id = account_id
        self._created_ns = clock.now_ns()

    def routes(self, door: Door) -> list[Route]:
        """Every route of the trading API behind `door`."""
        table = (
            ("/v2/orders", "POST", self.submit),
            ("/v2/orders", "GET", self.list_orders),
            ("/v2/orders", "DELETE", self.cancel_all),
            ("/v2/orders:by_client_order_id", "GET", self.order_by_client_id),
            ("/v2/orders/{order_id}", "GET", self.order),
            ("/v2/orders/{order_id}", "PATCH", self.replace),
            ("/v2/orders/{order_id}", "DELETE", self.cancel),
            ("/v2/positions", "GET", self.positions),
            ("/v2/positions", "DELETE", self.close_all),
            ("/v2/positions/{symbol:path}", "GET", self.position),
            ("/v2/positions/{symbol:path}", "DELETE", self.close),
            ("/v2/account", "GET", self.account),
            ("/v2/account/activities", "GET", self.activities),
            ("/v2/account/activities/{activity_type}", "GET", self.activities),
            ("/v2/clock", "GET", self.clock),
            ("/v2/calendar", "GET", self.calendar),
            ("/v2/assets", "GET", self.assets),
            ("/v2/assets/{symbol:path}", "GET", self.asset),
        )
        return [Route(path, door.endpoint(handler), methods=[method]) for path, method, handler in table]

    def submit(self, call: Call) -> Answer:
        request = self._named(call.read(NewOrder).request())
        return self._answer(self._exchange.submit(request, self._clock.now_ns()))

    def replace(self, call: Call) -> Answer:
        changes = call.read(Replacement).changes()
        return self._answer(self._exchange.replace(call.path["order_id"], changes, self._clock.now_ns()))

    def order(self, call: Call) -> Answer:
        return self._answer(self._exchange.order(call.path["order_id"]))

    def order_by_client_id(self, call: Call) -> Answer:
        return self._answer(self._exchange.order_by_client_id(call.query.get("client_order_id", "")))

    def cancel(self, call: Call) -> Answer:
        self._exchange.cancel(call.path["order_id"], self._clock.now_ns())
        return Answer(status=204)

    def cancel_all(self, call: Call) -> Answer:
        now_ns = self._clock.now_ns()
        canceled = [self._exchange.cancel(order.order_id, now_ns) for order in self._exchange.open_orders()]
        return Answer(
            [{"id": o.order_id, "status": 200, "body": order_payload(o, self._listing)} for o in canceled], 207
        )

    def list_orders(self, call: Call) -> Answer:
        limit = call.whole_number("limit", _ORDERS_PER_PAGE, _MOST_ORDERS)
        chosen = list(self._chosen_orders(call))
        if _direction(call) == "desc":
            chosen.reverse()
        return Answer([order_payload(order, self._listing) for order in chosen[:limit]])

    def positions(self, call: Call) -> Answer:
        account = self._exchange.account
        return Answer([position_payload(each, account, self._listing) for each in account.positions()])

    def position(self, call: Call) -> Answer:
        return Answer(position_payload(self._position(call), self._exchange.account, self._listing))

    def close(self, call: Call) -> Answer:
        position = self._position(call)
        return self._answer(self._close(position, self._share_to_close(call, position)))

    def close_all(self, call: Call) -> Answer:
        if call.query.get("cancel_orders", "").lower() == "true":
            self.cancel_all(call)
        return Answer([self._close_or_explain(each) for each in list(self._exchange.account.positions())], 207)

    def account(self, call: Call) -> Answer:
        return Answer(account_payload(self._exchange.account, self._account_id, self._created_ns))

    def activities(self, call: Call) -> Answer:
        wanted = call.path.get("activity_type") or call.query.get("activity_types", "FILL")
        if "FILL" not in wanted.split(","):
            return Answer([])
        size = call.whole_number("page_size", _ACTIVITIES_PER_PAGE, _ACTIVITIES_PER_PAGE)
        fills = list(self._chosen_fills(call))
        if _direction(call) == "desc":
            fills.reverse()
        page = islice(_after(fills, call.query.get("page_token")), size)
        return Answer([fill_activity(fill, self._account_id, self._listing) for fill in page])

    def clock(self, call: Call) -> Answer:
        now_ns = self._clock.now_ns()
        return Answer(
            {
                "timestamp": rfc3339(now_ns),
                "is_open": self._sessions.is_open(now_ns),
                "next_open": rfc3339(self._sessions.next_open_ns(now_ns)),
                "next_close": rfc3339(self._sessions.next_close_ns(now_ns)),
            }
        )

    def calendar(self, call: Call) -> Answer:
        today = new_york_date(self._clock.now_ns())
        start = _date(call, "start", today)
        end = min(
            _date(call, "end", start + timedelta(days=_CALENDAR_DAYS)), start + timedelta(days=10 * _CALENDAR_DAYS)
        )
        days = (start + timedelta(days=after) for after in range((end - start).days + 1))
        hours = {"open": OPENS.strftime("%H:%M"), "close": CLOSES.strftime("%H:%M")}
        return Answer([{"date": day.isoformat(), **hours} for day in days if is_trading_day(day)])

    def assets(self, call: Call) -> Answer:
        wanted = call.query.get("asset_class")
        if call.query.get("status", "active") != "active":
            return Answer([])
        listed = [i for i in self._listing.instruments if wanted in (None, "", asset_class(i))]
        return Answer([asset_payload(instrument, self._listing) for instrument in listed])

    def asset(self, call: Call) -> Answer:
        name = call.path["symbol"]
        if name not in self._listing:
            raise ApiError(404, NOT_FOUND, f"asset not found for {name}")
        return Answer(asset_payload(self._listing.find(name), self._listing))

    def _answer(self, order: Order) -> Answer:
        return Answer(order_payload(order, self._listing))

    def _named(self, request: OrderRequest) -> OrderRequest:
        """The request under the exchange's own symbol, whatever name the customer used."""
        symbol = self._listing.find(request.symbol).symbol
        return request if symbol == request.symbol else replace(request, symbol=symbol)

    def _chosen_orders(self, call: Call) -> Iterator[Order]:
        status, side = call.query.get("status", "open"), call.query.get("side")
        if status not in ("open", "closed", "all"):
            raise ApiError(422, FIELD, f"invalid status: expected open, closed or all, was {status!r}")
        after, until = _span(call)
        names = call.names("symbols")
        symbols = {instrument.symbol for instrument in self._listing.find_all(names)}
        source = self._exchange.open_orders() if status == "open" else self._exchange.orders()
        for order in source:
            if (
                after < order.created_ns < until
                and (status == "all" or order.status.is_open == (status == "open"))
                and (not names or order.symbol in symbols)
                and side in (None, "", order.side.value.lower())
            ):
                yield order

    def _chosen_fills(self, call: Call) -> Iterator[OrderEvent]:
        after, until = _span(call)
        if "date" in call.query:
            after = parse_time(call.query["date"], "date") - 1
            until = after + 1 + DAY_NS
        return (fill for fill in self._exchange.fills() if after < fill.time_ns < until)

    def _position(self, call: Call) -> Position:
        try:
            position = self._exchange.account.position(self._listing.find(call.path["symbol"]).symbol)
        except UnknownSymbol:
            raise ApiError(404, NOT_FOUND, f"symbol not found: {call.path['symbol']}") from None
        if not position.quantity_nanos:
            raise ApiError(404, NOT_FOUND, "position does not exist")
        return position

    def _share_to_close(self, call: Call, position: Position) -> int:
        """How much of a position to close: all of it, a quantity, or a percentage."""
        whole = abs(position.quantity_nanos)
        if "qty" in call.query:
            return int(parse_nanos(call.query["qty"], "qty"))
        if "percentage" in call.query:
            return whole * parse_nanos(call.query["percentage"], "percentage") // (100 * ONE)
        return whole

    def _close(self, position: Position, quantity: int) -> Order:
        """Close a position by a MARKET order; more than no other order is closing already is refused."""
        check_available(position.symbol, quantity, self._exchange.account)
        request = OrderRequest(position.symbol, position.closing_side, OrderType.MARKET, TimeInForce.DAY, quantity)
        return self._exchange.submit(request, self._clock.now_ns())

    def _close_or_explain(self, position: Position) -> Payload:
        symbol = self._listing.spelling(position.symbol)
        try:
            order = self._close(position, abs(position.quantity_nanos))
        except TradingError as error:
            refused = refusal(error)
            return {"symbol": symbol, "status": refused.status, "body": refused.body}
        return {"symbol": symbol, "status": 200, "body": order_payload(order, self._listing)}


def _direction(call: Call) -> str:
    direction = call.query.get("direction") or "desc"
    if direction not in ("asc", "desc"):
        raise ApiError(422, FIELD, f"invalid direction: expected asc or desc, was {direction!r}")
    return direction


def _span(call: Call) -> tuple[int, int]:
    """The open interval of times that `after` and `until` leave."""
    after = parse_time(call.query["after"], "after") if call.query.get("after") else -1
    until = parse_time(call.query["until"], "until") if call.query.get("until") else _END_OF_TIME
    return after, until


def _date(call: Call, name: str, default: date) -> date:
    text = call.query.get(name)
    try:
        return date.fromisoformat(text[:10]) if text else default
    except ValueError:
        raise ApiError(422, FIELD, f"invalid {name}: expected YYYY-MM-DD, was {text!r}") from None


def _after(fills: list[OrderEvent], token: str | None) -> Iterator[OrderEvent]:
    """The fills that follow the one whose activity id is `token`, or all."""
    rest = iter(fills)
    if token:
        for fill in rest:
            if activity_id(fill) == token:
                break
    return rest
