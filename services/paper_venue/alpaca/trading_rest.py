"""Alpaca's trading API: orders, positions, account, activities, clock, calendar, assets."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta

from starlette.routing import Route

from services.paper_venue.alpaca.activities import ActivitiesApi
from services.paper_venue.alpaca.errors import FIELD, NOT_FOUND, ApiError, refusal
from services.paper_venue.alpaca.listing import Listing, asset_class
from services.paper_venue.alpaca.order_bodies import NewOrder, Replacement
from services.paper_venue.alpaca.order_classes import check_group
from services.paper_venue.alpaca.payloads import (
    Payload,
    account_payload,
    asset_payload,
    order_payload,
    position_payload,
)
from services.paper_venue.alpaca.queries import direction_of, span_of
from services.paper_venue.alpaca.rest import Answer, Call, Door
from services.paper_venue.alpaca.times import rfc3339
from services.paper_venue.domain.account import Position
from services.paper_venue.domain.checks import check_available
from services.paper_venue.domain.exchange import Exchange
from services.paper_venue.domain.orders import Order, OrderRequest
from services.paper_venue.domain.sessions import CLOSES, OPENS, Sessions, is_trading_day, new_york_date
from trading.clock import Clock
from trading.errors import TradingError, UnknownSymbol
from trading.money import ONE, parse_nanos
from trading.order import OrderType, TimeInForce

_ORDERS_PER_PAGE, _MOST_ORDERS = 50, 500
_CALENDAR_DAYS = 366


class TradingApi:
    """The handlers of the trading API for one account; `market_clock` is the time of a market that is replayed."""

    def __init__(
        self,
        exchange: Exchange,
        listing: Listing,
        sessions: Sessions,
        clock: Clock,
        market_clock: Callable[[], int],
        account_id: str,
    ) -> None:
        self._exchange = exchange
        self._listing = listing
        self._sessions = sessions
        self._clock = clock
        self._market_clock = market_clock
        self._account_id = account_id
        self._created_ns = clock.now_ns()

    def routes(self, door: Door) -> list[Route]:
        """Every route of the trading API behind `door`."""
        activities = ActivitiesApi(self._exchange, self._listing, self._account_id)
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
            ("/v2/account/activities", "GET", activities.list),
            ("/v2/account/activities/{activity_type}", "GET", activities.list),
            ("/v2/clock", "GET", self.clock),
            ("/v2/calendar", "GET", self.calendar),
            ("/v2/assets", "GET", self.assets),
            ("/v2/assets/{symbol:path}", "GET", self.asset),
        )
        return [Route(path, door.endpoint(handler), methods=[method]) for path, method, handler in table]

    def submit(self, call: Call) -> Answer:
        asked = call.read(NewOrder)
        if asked.is_grouped:
            return self._submit_group(asked)
        return self._answer(self._exchange.submit(self._named(asked.request()), self._clock.now_ns()))

    def replace(self, call: Call) -> Answer:
        old = self._exchange.order(call.path["order_id"])
        changes = call.read(Replacement).changes(old.request.trail)
        return self._answer(self._exchange.replace(old.order_id, changes, self._clock.now_ns()))

    def order(self, call: Call) -> Answer:
        return self._answer(self._exchange.order(call.path["order_id"]))

    def order_by_client_id(self, call: Call) -> Answer:
        return self._answer(self._exchange.order_by_client_id(call.query.get("client_order_id", "")))

    def cancel(self, call: Call) -> Answer:
        self._exchange.cancel(call.path["order_id"], self._clock.now_ns())
        return Answer(status=204)

    def cancel_all(self, call: Call) -> Answer:
        canceled = self._exchange.cancel_all(self._clock.now_ns())
        return Answer(
            [{"id": o.order_id, "status": 200, "body": order_payload(o, self._listing)} for o in canceled], 207
        )

    def list_orders(self, call: Call) -> Answer:
        limit = call.whole_number("limit", _ORDERS_PER_PAGE, _MOST_ORDERS)
        chosen = list(self._chosen_orders(call))
        if direction_of(call) == "desc":
            chosen.reverse()
        if call.query.get("nested", "").lower() != "true":
            return Answer([order_payload(order, self._listing) for order in chosen[:limit]])
        heads = [order for order in chosen if not self._exchange.is_leg(order)]
        return Answer([self._whole(order) for order in heads[:limit]])

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

    def clock(self, call: Call) -> Answer:
        now_ns = self._market_clock()
        return Answer(
            {
                "timestamp": rfc3339(now_ns),
                "is_open": self._sessions.is_open(now_ns),
                "next_open": rfc3339(self._sessions.next_open_ns(now_ns)),
                "next_close": rfc3339(self._sessions.next_close_ns(now_ns)),
            }
        )

    def calendar(self, call: Call) -> Answer:
        today = new_york_date(self._market_clock())
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
        return Answer(self._whole(order))

    def _whole(self, order: Order) -> Payload:
        """An order with its legs."""
        return order_payload(order, self._listing, self._exchange.legs(order))

    def _submit_group(self, asked: NewOrder) -> Answer:
        group = asked.group()
        instrument = self._listing.find(asked.symbol)
        check_group(group, instrument, self._exchange.touch(instrument.symbol))
        orders = tuple(self._named(order) for order in group.orders)
        first, *legs = self._exchange.submit_group(replace(group, orders=orders), self._clock.now_ns())
        return Answer(order_payload(first, self._listing, legs))

    def _named(self, request: OrderRequest) -> OrderRequest:
        """The request under the exchange's own symbol, whatever name the customer used."""
        symbol = self._listing.find(request.symbol).symbol
        return request if symbol == request.symbol else replace(request, symbol=symbol)

    def _chosen_orders(self, call: Call) -> Iterator[Order]:
        status, side = call.query.get("status", "open"), call.query.get("side")
        if status not in ("open", "closed", "all"):
            raise ApiError(422, FIELD, f"invalid status: expected open, closed or all, was {status!r}")
        after, until = span_of(call)
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


def _date(call: Call, name: str, default: date) -> date:
    text = call.query.get(name)
    try:
        return date.fromisoformat(text[:10]) if text else default
    except ValueError:
        raise ApiError(422, FIELD, f"invalid {name}: expected YYYY-MM-DD, was {text!r}") from None
