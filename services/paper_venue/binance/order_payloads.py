"""Orders, fills and balances as Binance writes them, in answers and in user data events."""

from collections.abc import Sequence

from services.paper_venue.binance.ledger import Fill, Ledger, name_of
from services.paper_venue.binance.listing import QUOTE_ASSET, Listing, Pair
from services.paper_venue.binance.texts import TimeUnit, decimal, decimal_of_value
from services.paper_venue.domain.account import Account
from services.paper_venue.domain.orders import EventKind, Order, OrderEvent, Status
from trading.order import OrderType, TimeInForce

Payload = dict[str, object]
_STATUS = {Status.PENDING_NEW: "NEW", Status.REPLACED: "CANCELED"}
_TYPES = {
    OrderType.MARKET: "MARKET",
    OrderType.LIMIT: "LIMIT",
    OrderType.STOP: "STOP_LOSS",
    OrderType.STOP_LIMIT: "STOP_LOSS_LIMIT",
}
_EXECUTION_TYPES = {
    EventKind.NEW: "NEW",
    EventKind.FILL: "TRADE",
    EventKind.CANCELED: "CANCELED",
    EventKind.REPLACED: "CANCELED",
    EventKind.EXPIRED: "EXPIRED",
}
_NOT_RESTING = (TimeInForce.IOC, TimeInForce.FOK)
_ZERO = decimal(0)


class OrderPayloads:
    """Writes orders of the account; the ledger knows their numbers and names."""

    def __init__(self, ledger: Ledger, listing: Listing) -> None:
        self._ledger = ledger
        self._listing = listing

    def acknowledged(self, order: Order, pair: Pair, unit: TimeUnit) -> Payload:
        """A new order at its shortest: ACK."""
        return {
            "symbol": pair.name,
            "orderId": order.sequence,
            "orderListId": -1,
            "clientOrderId": name_of(order),
            "transactTime": unit.of(order.updated_ns),
        }

    def result(self, order: Order, pair: Pair, unit: TimeUnit) -> Payload:
        """A new order as it stands: RESULT."""
        stop = {"stopPrice": decimal(order.request.stop_nanos)} if order.request.stop_nanos else {}
        return self.acknowledged(order, pair, unit) | self._state(order, unit) | stop

    def full(self, order: Order, pair: Pair, unit: TimeUnit) -> Payload:
        """A new order with its fills: FULL."""
        fills = [
            {
                "price": decimal(execution.price_nanos),
                "qty": decimal(execution.quantity_nanos),
                "commission": decimal(execution.fee_nanos),
                "commissionAsset": QUOTE_ASSET,
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
        return head | self._state(order, unit) | times

    def fill(self, fill: Fill, pair: Pair, unit: TimeUnit) -> Payload:
        """A row of `myTrades`."""
        order, execution = fill.event.order, fill.event.execution
        assert execution is not None
        return {
            "symbol": pair.name,
            "id": fill.number,
            "orderId": order.sequence,
            "orderListId": -1,
            "price": decimal(execution.price_nanos),
            "qty": decimal(execution.quantity_nanos),
            "quoteQty": decimal_of_value(execution.price_nanos * execution.quantity_nanos),
            "commission": decimal(execution.fee_nanos),
            "commissionAsset": QUOTE_ASSET,
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
            "o": self._type(order),
            "f": _time_in_force(order),
            "q": decimal(order.quantity_nanos),
            "p": decimal(order.limit_nanos or 0),
            "P": decimal(order.request.stop_nanos or 0),
            "F": _ZERO,
            "g": -1,
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
            **self._last_fill(event),
        }

    def _last_fill(self, event: OrderEvent) -> Payload:
        execution = event.execution
        if execution is None:
            return {"l": _ZERO, "L": _ZERO, "n": _ZERO, "N": None, "t": -1, "I": 0, "m": False, "M": False, "Y": _ZERO}
        fill = self._ledger.newest_fill()
        return {
            "l": decimal(execution.quantity_nanos),
            "L": decimal(execution.price_nanos),
            "n": decimal(execution.fee_nanos),
            "N": QUOTE_ASSET,
            "t": fill.number,
            "I": fill.number,
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
            "type": self._type(order),
            "side": order.side.value,
            "workingTime": unit.of(order.created_ns),
            "selfTradePreventionMode": "NONE",
        }

    def _type(self, order: Order) -> str:
        return "LIMIT_MAKER" if self._ledger.is_limit_maker(order) else _TYPES[order.request.order_type]


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


def _has_expired(order: Order) -> bool:
    """What may not rest and was not filled has expired; the exchange calls that cancelled."""
    return order.status is Status.CANCELED and order.time_in_force in _NOT_RESTING


def _time_in_force(order: Order) -> str:
    """An order to MARKET says GTC, whatever it is; this protocol knows no DAY."""
    rests = order.request.order_type is OrderType.MARKET or order.time_in_force not in _NOT_RESTING
    return "GTC" if rests else order.time_in_force.value
