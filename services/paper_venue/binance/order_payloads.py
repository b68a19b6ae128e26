"""Orders, fills and balances as Binance writes them, in answers and in user data events."""

from collections.abc import Sequence

from services.paper_venue.binance.ledger import Fill, Ledger, name_of
from services.paper_venue.binance.listing import QUOTE_ASSET, Listing, Pair
from services.paper_venue.binance.order_params import BASIS_POINT
from services.paper_venue.binance.texts import TimeUnit, decimal, decimal_of_value
from services.paper_venue.domain.account import Account
from services.paper_venue.domain.exchange import Exchange
from services.paper_venue.domain.orders import EventKind, Execution, Order, OrderEvent, Status
from trading.order import OrderType, TimeInForce

Payload = dict[str, object]
_STATUS = {Status.PENDING_NEW: "NEW", Status.HELD: "PENDING_NEW", Status.REPLACED: "CANCELED"}
_TYPES = {
    OrderType.MARKET: "MARKET",
    OrderType.LIMIT: "LIMIT",
    OrderType.STOP: "STOP_LOSS",
    OrderType.STOP_LIMIT: "STOP_LOSS_LIMIT",
    OrderType.TRAILING_STOP: "STOP_LOSS",
}
_EXECUTION_TYPES = {
    EventKind.HELD: "NEW",
    EventKind.NEW: "NEW",
    EventKind.FILL: "TRADE",
    EventKind.AMENDED: "REPLACED",
    EventKind.CANCELED: "CANCELED",
    EventKind.REPLACED: "CANCELED",
    EventKind.EXPIRED: "EXPIRED",
}
_NOT_RESTING = (TimeInForce.IOC, TimeInForce.FOK)
_NO_LIST = _NOT_YET = -1
_ZERO = decimal(0)


class OrderPayloads:
    """Writes orders of the account; the ledger knows their numbers and names."""

    def __init__(self, exchange: Exchange, ledger: Ledger, listing: Listing) -> None:
        self._exchange = exchange
        self._ledger = ledger
        self._listing = listing

    def acknowledged(self, order: Order, pair: Pair, unit: TimeUnit) -> Payload:
        """A new order at its shortest: ACK."""
        return {
            "symbol": pair.name,
            "orderId": order.sequence,
            "orderListId": self._list_of(order),
            "clientOrderId": name_of(order),
            "transactTime": unit.of(order.updated_ns),
        }

    def result(self, order: Order, pair: Pair, unit: TimeUnit) -> Payload:
        """A new order as it stands: RESULT."""
        stop = {"stopPrice": decimal(order.request.stop_nanos)} if order.request.stop_nanos else {}
        return self.acknowledged(order, pair, unit) | self._state(order, unit) | stop | _trailing(order, unit)

    def full(self, order: Order, pair: Pair, unit: TimeUnit) -> Payload:
        """A new order with its fills: FULL."""
        fills = [
            {
                "price": decimal(execution.price_nanos),
                "qty": decimal(execution.quantity_nanos),
                "commission": decimal(execution.fee_nanos),
                "commissionAsset": _fee_asset(execution, pair),
                "tradeId": fill.number,
            }
            for fill in self._ledger.fills_of(order)
            if (execution := fill.event.execution) is not None
        ]
        return self.result(order, pair, unit) | {"fills": fills}

    def canceled(self, order: Order, pair: Pair, unit: TimeUnit) -> Payload:
        """A cancelled order: under the name of the cancellation, with its own name beside it."""
        names = {
            "symbol": pair.name,
            "origClientOrderId": name_of(order),
            "clientOrderId": self._ledger.cancellation_of(order.order_id) or name_of(order),
        }
        return self.result(order, pair, unit) | names

    def stored(self, order: Order, pair: Pair, unit: TimeUnit) -> Payload:
        """An order that is asked for later."""
        times = {
            "stopPrice": decimal(order.request.stop_nanos or 0),
            "icebergQty": _ZERO,
            "time": unit.of(order.created_ns),
            "updateTime": unit.of(order.updated_ns),
            "isWorking": not order.waits_for_trigger,
        }
        head = {k: v for k, v in self.acknowledged(order, pair, unit).items() if k != "transactTime"}
        return head | self._state(order, unit) | times | _trailing(order, unit)

    def amended(self, order: Order, old_name: str, pair: Pair, unit: TimeUnit) -> Payload:
        """An order that was made smaller."""
        told = self.acknowledged(order, pair, unit) | {"origClientOrderId": old_name} | self._state(order, unit)
        renamed = {"origQty": "qty", "origQuoteOrderQty": "quoteOrderQty", "cummulativeQuoteQty": "cumulativeQuoteQty"}
        amended = {renamed.get(name, name): value for name, value in told.items() if name != "transactTime"}
        return {
            "transactTime": unit.of(order.updated_ns),
            "executionId": self._ledger.heard,
            "amendedOrder": amended | {"preventedQty": _ZERO},
        }

    def _list_of(self, order: Order) -> int:
        if order.group is None:
            return _NO_LIST
        group = self._exchange.group_of(order)
        return _NO_LIST if group is None else group.number

    def fill(self, fill: Fill, pair: Pair, unit: TimeUnit) -> Payload:
        """A row of `myTrades`."""
        order, execution = fill.event.order, fill.event.execution
        assert execution is not None
        return {
            "symbol": pair.name,
            "id": fill.number,
            "orderId": order.sequence,
            "orderListId": self._list_of(order),
            "price": decimal(execution.price_nanos),
            "qty": decimal(execution.quantity_nanos),
            "quoteQty": decimal_of_value(execution.price_nanos * execution.quantity_nanos),
            "commission": decimal(execution.fee_nanos),
            "commissionAsset": _fee_asset(execution, pair),
            "time": unit.of(fill.event.time_ns),
            "isBuyer": order.side.value == "BUY",
            "isMaker": fill.is_maker,
            "isBestMatch": True,
        }

    def report(self, event: OrderEvent, now_ns: int, unit: TimeUnit) -> Payload | None:
        """The executionReport of an event; None for what this protocol does not tell."""
        order, pair = event.order, self._listing.of_symbol(event.order.symbol)
        if pair is None or event.kind not in _EXECUTION_TYPES:
            return None
        gone = event.kind in (EventKind.CANCELED, EventKind.REPLACED) and not _has_expired(order)
        canceled_as = self._ledger.cancellation_of(order.order_id) or name_of(order)
        return {
            "e": "executionReport",
            "E": unit.of(now_ns),
            "s": pair.name,
            "c": canceled_as if gone else name_of(order),
            "S": order.side.value,
            "o": _type(order),
            "f": _time_in_force(order),
            "q": decimal(order.quantity_nanos),
            "p": decimal(order.limit_nanos or 0),
            "P": decimal(order.request.stop_nanos or 0),
            "F": _ZERO,
            "g": self._list_of(order),
            "C": name_of(order) if gone else "",
            "x": "EXPIRED" if _has_expired(order) else _EXECUTION_TYPES[event.kind],
            "X": status_of(order),
            "r": "NONE",
            "i": order.sequence,
            "z": decimal(order.filled_nanos),
            "T": unit.of(event.time_ns),
            "w": order.status.is_open and not order.waits_for_trigger,
            "O": unit.of(order.created_ns),
            "Z": decimal_of_value(order.filled_value),
            "Q": decimal(order.request.notional_nanos or 0),
            "W": unit.of(order.created_ns),
            "V": "NONE",
            **({"d": told["trailingDelta"], "D": told["trailingTime"]} if (told := _trailing(order, unit)) else {}),
            **({"eR": "OCO_TRIGGER"} if event.kind is EventKind.EXPIRED and order.group else {}),
            **self._last_fill(event, pair),
        }

    def _last_fill(self, event: OrderEvent, pair: Pair) -> Payload:
        execution, heard = event.execution, self._ledger.heard
        if execution is None:
            none = {"l": _ZERO, "L": _ZERO, "n": _ZERO, "N": None, "t": -1, "m": False, "M": False, "Y": _ZERO}
            return {"I": heard, **none}
        fill = self._ledger.newest_fill()
        return {
            "l": decimal(execution.quantity_nanos),
            "L": decimal(execution.price_nanos),
            "n": decimal(execution.fee_nanos),
            "N": _fee_asset(execution, pair),
            "t": fill.number,
            "I": heard,
            "m": fill.is_maker,
            "M": True,
            "Y": decimal_of_value(execution.price_nanos * execution.quantity_nanos),
        }

    def _state(self, order: Order, unit: TimeUnit) -> Payload:
        return {
            "price": decimal(order.limit_nanos or 0),
            "origQty": decimal(order.quantity_nanos),
            "executedQty": decimal(order.filled_nanos),
            "origQuoteOrderQty": decimal(order.request.notional_nanos or 0),
            "cummulativeQuoteQty": decimal_of_value(order.filled_value),
            "status": status_of(order),
            "timeInForce": _time_in_force(order),
            "type": _type(order),
            "side": order.side.value,
            "workingTime": unit.of(order.created_ns),
            "selfTradePreventionMode": "NONE",
        }


def balances(account: Account, pairs: Sequence[Pair]) -> list[tuple[str, int, int]]:
    """(asset, free, locked) of the money and of every coin that trades here; nanos."""
    free = account.buying_power_nanos(pairs[0].instrument) if pairs else max(0, account.cash_nanos)
    found = [(QUOTE_ASSET, free, max(0, account.cash_nanos - free))]
    for pair in pairs:
        held = max(0, account.position(pair.symbol).quantity_nanos)
        available = min(held, account.available_nanos(pair.symbol))
        found.append((pair.base_asset, available, held - available))
    return found


def status_of(order: Order) -> str:
    """Binance's word for where an order stands."""
    return "EXPIRED" if _has_expired(order) else _STATUS.get(order.status, order.status.value)


def _type(order: Order) -> str:
    request = order.request
    if request.post_only:
        return "LIMIT_MAKER"
    name = _TYPES[request.order_type]
    return name.replace("STOP_LOSS", "TAKE_PROFIT") if request.take_profit else name


def _trailing(order: Order, unit: TimeUnit) -> Payload:
    """What is told of a trailing stop alone: its distance in basis points, and since when it follows the market."""
    trail = order.request.trail
    if trail is None:
        return {}
    began = _NOT_YET if order.trailing_ns is None else unit.of(order.trailing_ns)
    return {"trailingDelta": trail.share_nanos // BASIS_POINT, "trailingTime": began}


def _fee_asset(execution: Execution, pair: Pair) -> str:
    return pair.base_asset if execution.fee_in_units else QUOTE_ASSET


def _has_expired(order: Order) -> bool:
    """What may not rest and was not filled has expired; the exchange calls that cancelled."""
    ran_out = order.time_in_force in _NOT_RESTING and not order.waits_for_trigger
    return order.status is Status.CANCELED and ran_out


def _time_in_force(order: Order) -> str:
    """What goes to market says GTC, whatever it is; this protocol knows no DAY."""
    rests = order.limit_nanos is None or order.time_in_force not in _NOT_RESTING
    return "GTC" if rests else order.time_in_force.value
