"""Order lists: one-cancels-the-other, one-triggers-the-other, and one that triggers such a pair."""

from collections.abc import Mapping
from dataclasses import replace

from services.paper_venue.binance.auth import new_client_id
from services.paper_venue.binance.errors import (
    BAD_PARAMETER,
    CANCEL_REJECTED,
    NEW_ORDER_REJECTED,
    NO_SUCH_ORDER_LIST,
    ApiError,
    missing,
)
from services.paper_venue.binance.limits import Limits
from services.paper_venue.binance.listing import Pair
from services.paper_venue.binance.order_params import NewOrder, answer_of, new_order
from services.paper_venue.binance.order_payloads import Payload
from services.paper_venue.binance.params import Params
from services.paper_venue.binance.texts import TimeUnit
from services.paper_venue.binance.trading_api import TradingApi
from services.paper_venue.domain.groups import Group, GroupRequest
from services.paper_venue.domain.orders import GroupKind, OrderRequest

_USUAL_ROWS, _MOST_ROWS = 500, 1_000
_OWN = ("price", "stopPrice", "trailingDelta", "timeInForce", "icebergQty", "pegPriceType")
_GAINS, _LOSSES = ("LIMIT_MAKER", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"), ("STOP_LOSS", "STOP_LOSS_LIMIT")
_WORKING = ("LIMIT", "LIMIT_MAKER")
_WRONG_PRICES = "The relationship of the prices for the orders is not correct."


class OrderListApi:
    """The handlers of the signed calls about order lists; all raise ApiError."""

    def __init__(self, trading: TradingApi, limits: Limits) -> None:
        self._trading = trading
        self._limits = limits

    def place_oco(self, params: Params) -> object:
        """Two exits, above and below the market, of which one ends the other."""
        pair = self._trading.pair(params)
        shared = {name: params.text(name) for name in ("side", "quantity")}
        exits = _pair_of_exits(params, pair, "", shared)
        self._check_prices(exits, pair)
        return self._place(GroupKind.OCO, exits, pair, params)

    def place_oto(self, params: Params) -> object:
        """A working order whose complete fill releases a pending one."""
        pair = self._trading.pair(params)
        pending = _order(params, pair, "pending", {})
        return self._place(GroupKind.OTO, [_working(params, pair), pending], pair, params)

    def place_otoco(self, params: Params) -> object:
        """A working order whose complete fill releases a pair."""
        pair = self._trading.pair(params)
        shared = {"side": params.text("pendingSide"), "quantity": params.text("pendingQuantity")}
        exits = _pair_of_exits(params, pair, "pending", shared)
        return self._place(GroupKind.BRACKET, [_working(params, pair), *exits], pair, params)

    def cancel(self, params: Params) -> object:
        """Cancel a whole list."""
        pair = self._trading.pair(params)
        group = self._find(params, "listClientOrderId", CANCEL_REJECTED, "Unknown order list sent.")
        if group.symbol != pair.symbol:
            raise ApiError(CANCEL_REJECTED, "Unknown order list sent.")
        return self._trading.cancel_group(group, pair, params)

    def status(self, params: Params) -> object:
        """One list."""
        group = self._find(params, "origClientOrderId", NO_SUCH_ORDER_LIST, "Order list does not exist.")
        return self._told(group, params.unit)

    def open_lists(self, params: Params) -> object:
        """Every list that is still executing."""
        return [self._told(group, params.unit) for group in self._groups() if self._trading.lists.is_open(group)]

    def all_lists(self, params: Params) -> object:
        """Every list: from an id on, between two times, or the newest."""
        count, first = params.limit(_USUAL_ROWS, _MOST_ROWS), params.whole("fromId", 0, least=0)
        start_ns, end_ns = params.time_ns("startTime") or 0, params.time_ns("endTime")
        found = [
            group
            for group in self._groups()
            if group.number >= first and start_ns <= group.created_ns and (end_ns is None or group.created_ns <= end_ns)
        ]
        oldest_first = params.get("fromId") is not None or params.get("startTime") is not None
        return [self._told(group, params.unit) for group in (found[:count] if oldest_first else found[-count:])]

    def _place(self, kind: GroupKind, orders: list[NewOrder], pair: Pair, params: Params) -> object:
        name = params.client_id("listClientOrderId") or new_client_id()
        if any(group.name == name and self._trading.lists.is_open(group) for group in self._groups()):
            raise ApiError(NEW_ORDER_REJECTED, "Duplicate order sent.")
        answer = answer_of(params, "RESULT")
        for _ in orders:
            self._limits.take_order()
        request = GroupRequest(kind, _requests(orders), first_fill_decides=True, name=name)
        group = self._trading.submit_group(request, orders, pair)
        return self._trading.lists.placed(group, pair, params.unit, answer)

    def _check_prices(self, exits: list[NewOrder], pair: Pair) -> None:
        """The market must lie between the two exits."""
        market = self._trading.market_price(pair, exits[0].request)
        gain = next(order.request for order in exits if order.kind in _GAINS)
        loss = next(order.request for order in exits if order.kind in _LOSSES)
        wanted = gain.stop_nanos if gain.limit_nanos is None else gain.limit_nanos
        for price, sign in ((wanted, -gain.side.sign), (loss.stop_nanos, gain.side.sign)):
            if market and price is not None and sign * (price - market) <= 0:
                raise ApiError(NEW_ORDER_REJECTED, _WRONG_PRICES)

    def _find(self, params: Params, name_parameter: str, code: int, complaint: str) -> Group:
        number = params.whole("orderListId", least=0) if params.get("orderListId") is not None else None
        name = params.client_id(name_parameter)
        if number is None and name is None:
            raise missing("orderListId")
        for group in reversed(self._groups()):
            if number in (None, group.number) and name in (None, group.name):
                return group
        raise ApiError(code, complaint)

    def _groups(self) -> list[Group]:
        return self._trading.groups()

    def _told(self, group: Group, unit: TimeUnit) -> Payload:
        return self._trading.lists.status(group, unit)


def _working(params: Params, pair: Pair) -> NewOrder:
    if params.text("workingType") not in _WORKING:
        raise ApiError(BAD_PARAMETER, "Invalid workingType.")
    return _order(params, pair, "working", {})


def _pair_of_exits(params: Params, pair: Pair, prefix: str, shared: Mapping[str, str]) -> list[NewOrder]:
    """The orders above and below the market: the gain first, which holds the balance for both."""
    above, below = (f"{prefix}Above", f"{prefix}Below") if prefix else ("above", "below")
    exits = [_order(params, pair, above, shared), _order(params, pair, below, shared)]
    gains = [order for order in exits if order.kind in _GAINS]
    losses = [order for order in exits if order.kind in _LOSSES]
    if len(gains) != 1 or len(losses) != 1:
        raise ApiError(BAD_PARAMETER, "One order must be a limit or take profit order, the other a stop loss order.")
    return [*gains, *losses]


def _order(params: Params, pair: Pair, prefix: str, shared: Mapping[str, str]) -> NewOrder:
    """One order of a list, whose parameters carry a prefix, beside those that it shares with others."""
    values = dict(shared)
    own = {"type": "Type", "side": "Side", "quantity": "Quantity", "newClientOrderId": "ClientOrderId"}
    own |= {name: name[0].upper() + name[1:] for name in _OWN}
    for name, suffix in own.items():
        found = params.get(prefix + suffix)
        if found is not None:
            values[name] = found
    if "type" not in values:
        raise missing(f"{prefix}Type")
    return new_order(replace(params, values=values), pair)


def _requests(orders: list[NewOrder]) -> tuple[OrderRequest, ...]:
    return tuple(order.request for order in orders)
