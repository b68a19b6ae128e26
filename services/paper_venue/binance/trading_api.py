"""Orders and the account, for REST and the WebSocket API alike."""

from dataclasses import replace

from services.paper_venue.binance.auth import new_client_id
from services.paper_venue.binance.errors import (
    AMEND_REJECTED,
    BAD_PARAMETER,
    BAD_RESTRICTIONS,
    CANCEL_REJECTED,
    NEW_ORDER_REJECTED,
    NO_SUCH_ORDER,
    ApiError,
    missing,
    order_refusal,
)
from services.paper_venue.binance.ledger import Ledger, name_of
from services.paper_venue.binance.limits import Limits
from services.paper_venue.binance.list_payloads import ListPayloads
from services.paper_venue.binance.listing import Listing, Pair
from services.paper_venue.binance.order_params import NewOrder, new_order
from services.paper_venue.binance.order_payloads import OrderPayloads
from services.paper_venue.binance.params import Params
from services.paper_venue.binance.replacements import replacement
from services.paper_venue.domain.exchange import Exchange
from services.paper_venue.domain.groups import Group, GroupRequest
from services.paper_venue.domain.orders import Order, OrderRequest
from services.paper_venue.domain.touch import Touch
from trading.clock import Clock
from trading.errors import TradingError, UnknownOrder
from trading.order import Side

_USUAL_ROWS, _MOST_ROWS = 500, 1_000
_MODES = {"STOP_ON_FAILURE": False, "ALLOW_FAILURE": True}
_RESTRICTIONS = {"ONLY_NEW": False, "ONLY_PARTIALLY_FILLED": True}
_AMENDMENTS = {"ORDER_CLOSED": "Unknown order sent.", "ALREADY_EXISTS": "Duplicate order sent."}


class TradingApi:
    """The handlers of the signed calls; all raise ApiError."""

    def __init__(self, exchange: Exchange, listing: Listing, ledger: Ledger, limits: Limits, clock: Clock) -> None:
        self.payloads = OrderPayloads(exchange, ledger, listing)
        self.lists = ListPayloads(exchange, listing, self.payloads)
        self._exchange = exchange
        self._listing = listing
        self._ledger = ledger
        self._limits = limits
        self._clock = clock

    def place(self, params: Params) -> object:
        """Place a new order."""
        pair = self.pair(params)
        asked = new_order(params, pair)
        self._limits.take_order()
        return self._answer(asked, self._submit(asked, pair), pair, params)

    def test(self, params: Params) -> object:
        """Check an order without placing it."""
        pair = self.pair(params)
        self._check(new_order(params, pair), pair)
        return {}

    def status(self, params: Params) -> object:
        """One order, open or closed."""
        pair = self.pair(params)
        return self.payloads.stored(self._find(params, pair, NO_SUCH_ORDER, "Order does not exist."), pair, params.unit)

    def cancel(self, params: Params) -> object:
        """Cancel an open order."""
        pair = self.pair(params)
        order = self._find(params, pair, CANCEL_REJECTED, "Unknown order sent.")
        _check_restrictions(order, params)
        name = params.client_id("newClientOrderId") or new_client_id()
        return self.payloads.canceled(self._withdraw(order, name), pair, params.unit)

    def cancel_replace(self, params: Params) -> object:
        """Cancel one order, then place another; `cancelReplaceMode` says whether a failure of the first ends it."""
        pair, unit = self.pair(params), params.unit
        asked = new_order(params, pair)
        goes_on = params.word("cancelReplaceMode", _MODES, BAD_PARAMETER, "Invalid cancelReplaceMode.")
        self._limits.take_order()
        return replacement(
            lambda: self.payloads.canceled(self._cancel_for(params, pair), pair, unit),
            lambda: self._answer(asked, self._submit(asked, pair), pair, params),
            goes_on=goes_on,
        )

    def open_orders(self, params: Params) -> object:
        """Open orders of one pair, or of all."""
        wanted = [self.pair(params)] if params.get("symbol") is not None else list(self._listing.pairs)
        return [
            self.payloads.stored(order, pair, params.unit)
            for order in self._exchange.open_orders()
            if (pair := self._listing.of_symbol(order.symbol)) in wanted and pair is not None
        ]

    def cancel_all(self, params: Params) -> object:
        """Cancel every open order of a pair."""
        pair = self.pair(params)
        own = self._open(pair)
        if not own:
            raise ApiError(CANCEL_REJECTED, "Unknown order sent.")
        name = new_client_id()
        for order in own:
            self._ledger.expect_cancellation(order.order_id, name)
        told: dict[str, object] = {}
        for order in self._exchange.cancel_all(self._clock.now_ns(), pair.symbol):
            group = self._exchange.group_of(order)
            if group is None:
                told[order.order_id] = self.payloads.canceled(order, pair, params.unit)
            else:
                told[group.group_id] = self.lists.canceled(group, pair, params.unit)
        return list(told.values())

    def amend(self, params: Params) -> object:
        """Make an open order smaller without losing its place in the queue."""
        pair, quantity = self.pair(params), params.amount("newQty")
        order = self._find(params, pair, AMEND_REJECTED, "Unknown order sent.")
        if quantity is None:
            raise missing("newQty")
        pair.check_quantity(quantity)
        old_name = name_of(order)
        name = params.client_id("newClientOrderId") or new_client_id()
        if name != old_name and self._ledger.is_open(name):
            raise ApiError(AMEND_REJECTED, "Duplicate order sent.")
        known_as = order.client_order_id if name == old_name else self._ledger.unused(name)
        try:
            amended = self._exchange.amend(order.order_id, quantity, known_as, self._clock.now_ns())
        except TradingError as error:
            raise ApiError(AMEND_REJECTED, _AMENDMENTS.get(error.reason, error.message)) from error
        told = self.payloads.amended(amended, old_name, pair, params.unit)
        group = self._exchange.group_of(amended)
        return told if group is None else told | {"listStatus": self.lists.status(group, params.unit)}

    def cancel_group(self, group: Group, pair: Pair, params: Params) -> object:
        """Cancel every order of a list."""
        opened = [order for order in self._exchange.members(group) if order.status.is_open]
        if not opened:
            raise ApiError(CANCEL_REJECTED, "Unknown order list sent.")
        name = params.client_id("newClientOrderId") or new_client_id()
        for order in opened:
            self._ledger.expect_cancellation(order.order_id, name)
        self._exchange.cancel(opened[0].order_id, self._clock.now_ns())
        return self.lists.canceled(group, pair, params.unit)

    def groups(self) -> list[Group]:
        """Every list of pairs that trade here, oldest first."""
        return [group for group in self._exchange.groups() if self._listing.of_symbol(group.symbol) is not None]

    def market_price(self, pair: Pair, request: OrderRequest) -> int:
        """What stops of the request's side look at; 0 when there is nothing yet."""
        return self._exchange.touch(pair.symbol).trigger_price(request.side)

    def submit_group(self, request: GroupRequest, asked: list[NewOrder], pair: Pair) -> Group:
        """Place the orders of a list; the first one is checked against the market as it is now."""
        names = [order.name for order in asked]
        if len(set(names)) < len(names):
            raise ApiError(NEW_ORDER_REJECTED, "Duplicate order sent.")
        for number, order in enumerate(asked):
            self._check(order, pair, waits=number > 0 and request.has_entry)
        known = tuple(
            replace(each, client_order_id=self._ledger.unused(each.client_order_id)) for each in request.orders
        )
        try:
            first, *_ = self._exchange.submit_group(replace(request, orders=known), self._clock.now_ns())
        except TradingError as error:
            raise order_refusal(error) from error
        group = self._exchange.group_of(first)
        assert group is not None
        return group

    def all_orders(self, params: Params) -> object:
        """Every order of a pair: from an id on, between two times, or the newest."""
        pair, count = self.pair(params), params.limit(_USUAL_ROWS, _MOST_ROWS)
        start_ns, end_ns = params.time_ns("startTime"), params.time_ns("endTime")
        first_id = params.whole("orderId", 0, least=0)
        found = [
            order
            for order in self._exchange.orders()
            if order.symbol == pair.symbol and order.sequence >= first_id and _within(order, start_ns, end_ns)
        ]
        oldest_first = params.get("orderId") is not None or start_ns is not None
        return [
            self.payloads.stored(order, pair, params.unit)
            for order in (found[:count] if oldest_first else found[-count:])
        ]

    def fills(self, params: Params) -> object:
        """The account's fills of a pair: from an id on, between two times, of one order, or the newest."""
        pair, count = self.pair(params), params.limit(_USUAL_ROWS, _MOST_ROWS)
        start_ns, end_ns = params.time_ns("startTime") or 0, params.time_ns("endTime")
        first_id, number = params.whole("fromId", 0, least=0), params.whole("orderId", 0, least=0)
        found = [
            fill
            for fill in self._ledger.fills()
            if fill.event.order.symbol == pair.symbol
            and fill.number >= first_id
            and number in (0, fill.event.order.sequence)
            and start_ns <= fill.event.time_ns
            and (end_ns is None or fill.event.time_ns < end_ns + params.unit.value)
        ]
        oldest_first = params.get("fromId") is not None or params.get("startTime") is not None
        cut = found[:count] if oldest_first else found[-count:]
        return [self.payloads.fill(fill, pair, params.unit) for fill in cut]

    def pair(self, params: Params) -> Pair:
        """The pair that is asked about."""
        return self._listing.find(params.text("symbol"))

    def _open(self, pair: Pair) -> list[Order]:
        return [order for order in self._exchange.open_orders() if order.symbol == pair.symbol]

    def _find(self, params: Params, pair: Pair, code: int, complaint: str) -> Order:
        name = params.client_id("origClientOrderId")
        number = params.whole("orderId", least=0) if params.get("orderId") is not None else None
        return self._lookup(number, name, pair, code, complaint)

    def _lookup(self, number: int | None, name: str | None, pair: Pair, code: int, complaint: str) -> Order:
        if number is None and name is None:
            raise missing("orderId")
        try:
            order = self._ledger.find(number, name)
        except UnknownOrder:
            raise ApiError(code, complaint) from None
        if order.symbol != pair.symbol:
            raise ApiError(code, complaint)
        return order

    def _withdraw(self, order: Order, name: str) -> Order:
        if not order.status.is_open:
            raise ApiError(CANCEL_REJECTED, "Unknown order sent.")
        self._ledger.expect_cancellation(order.order_id, name)
        return self._exchange.cancel(order.order_id, self._clock.now_ns())

    def _cancel_for(self, params: Params, pair: Pair) -> Order:
        name = params.client_id("cancelOrigClientOrderId")
        number = params.whole("cancelOrderId", least=0) if params.get("cancelOrderId") is not None else None
        order = self._lookup(number, name, pair, CANCEL_REJECTED, "Unknown order sent.")
        _check_restrictions(order, params)
        return self._withdraw(order, params.client_id("cancelNewClientOrderId") or new_client_id())

    def _check(self, asked: NewOrder, pair: Pair, waits: bool = False) -> None:
        """What needs the book and the other orders: the value, their number, the name, who would take or trigger.

        An order that `waits` for another meets the market later.
        """
        request, touch = asked.request, self._exchange.touch(pair.symbol)
        price = request.limit_nanos or request.stop_nanos or touch.opposite(request.side)[0]
        if request.notional_nanos is not None:
            pair.check_value(request.notional_nanos, market=True)
        elif price:
            pair.check_notional(price, request.quantity_nanos, market=asked.kind == "MARKET")
        own = self._open(pair)
        pair.check_count(len(own), sum(order.waits_for_trigger for order in own), asked.is_stop)
        if self._ledger.is_open(asked.name):
            raise ApiError(NEW_ORDER_REJECTED, "Duplicate order sent.")
        if waits:
            return
        if request.post_only and _would_match(request.limit_nanos or 0, request.side, touch):
            raise ApiError(NEW_ORDER_REJECTED, "Order would immediately match and take.")
        if asked.is_stop and _would_trigger(request, touch):
            raise ApiError(NEW_ORDER_REJECTED, "Order would trigger immediately.")

    def _submit(self, asked: NewOrder, pair: Pair) -> Order:
        self._check(asked, pair)
        known_as = self._ledger.unused(asked.name)
        try:
            order = self._exchange.submit(replace(asked.request, client_order_id=known_as), self._clock.now_ns())
        except TradingError as error:
            raise order_refusal(error) from error
        return self._exchange.order(order.order_id)

    def _answer(self, asked: NewOrder, order: Order, pair: Pair, params: Params) -> object:
        writers = {"ACK": self.payloads.acknowledged, "RESULT": self.payloads.result, "FULL": self.payloads.full}
        return writers[asked.answer](order, pair, params.unit)


def _check_restrictions(order: Order, params: Params) -> None:
    """A cancel may be for an order only that has not traded yet, or only for one that has."""
    if params.get("cancelRestrictions") is None or not order.status.is_open:
        return
    if params.word("cancelRestrictions", _RESTRICTIONS, BAD_RESTRICTIONS, "Invalid cancelRestrictions") != (
        order.filled_nanos > 0
    ):
        raise ApiError(CANCEL_REJECTED, "Order was not canceled due to cancel restrictions.")


def _within(order: Order, start_ns: int | None, end_ns: int | None) -> bool:
    return (start_ns is None or order.created_ns >= start_ns) and (end_ns is None or order.created_ns <= end_ns)


def _would_match(limit: int, side: Side, touch: Touch) -> bool:
    price, _ = touch.opposite(side)
    return price > 0 and side.sign * (limit - price) >= 0


def _would_trigger(request: OrderRequest, touch: Touch) -> bool:
    """The market has passed the stop already."""
    price, stop = touch.trigger_price(request.side), request.stop_nanos
    sign = -request.side.sign if request.take_profit else request.side.sign
    return stop is not None and price > 0 and sign * (price - stop) >= 0
