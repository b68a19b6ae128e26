"""Every call that this protocol answers: its handler, its weight, who may make it, and its two names."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from services.paper_venue.binance.account_api import AccountApi
from services.paper_venue.binance.data_api import DataApi
from services.paper_venue.binance.order_lists import OrderListApi
from services.paper_venue.binance.params import Params
from services.paper_venue.binance.trading_api import TradingApi

Handler = Callable[[Params], object]


class Access(Enum):
    """What a caller must show."""

    ANYBODY = "anybody"
    SIGNED = "signed"


@dataclass(frozen=True, slots=True)
class Call:
    """One call; `path` is below `/api/v3/`, `name` the method of the WebSocket API ("" where there is none)."""

    handler: Handler
    verb: str
    path: str
    name: str
    weight: int | Callable[[Params], int] = 1
    access: Access = Access.ANYBODY
    is_order: bool = False

    def cost(self, params: Params) -> int:
        """What this call weighs with these parameters."""
        return self.weight if isinstance(self.weight, int) else self.weight(params)


def depth_weight(params: Params) -> int:
    """A deeper snapshot weighs more."""
    limit = params.limit(100, 5_000)
    return next((weight for most, weight in ((100, 5), (500, 25), (1_000, 50)) if limit <= most), 250)


def open_orders_weight(params: Params) -> int:
    """All pairs weigh more than one."""
    return 80 if params.get("symbol") is None else 6


def public_calls(data: DataApi) -> list[Call]:
    """What anybody may ask."""
    return [
        Call(data.ping, "GET", "ping", "ping"),
        Call(data.time, "GET", "time", "time"),
        Call(data.exchange_info, "GET", "exchangeInfo", "exchangeInfo", 20),
        Call(data.depth, "GET", "depth", "depth", depth_weight),
        Call(data.trades, "GET", "trades", "trades.recent", 25),
        Call(data.historical_trades, "GET", "historicalTrades", "trades.historical", 25),
        Call(data.aggregate_trades, "GET", "aggTrades", "trades.aggregate", 4),
        Call(data.klines, "GET", "klines", "klines", 2),
        Call(data.klines, "GET", "uiKlines", "uiKlines", 2),
        Call(data.average_price, "GET", "avgPrice", "avgPrice", 2),
        Call(data.ticker_day, "GET", "ticker/24hr", "ticker.24hr", 2),
        Call(data.ticker_price, "GET", "ticker/price", "ticker.price", 2),
        Call(data.ticker_book, "GET", "ticker/bookTicker", "ticker.book", 2),
    ]


def signed_calls(trading: TradingApi, lists: OrderListApi, account: AccountApi) -> list[Call]:
    """What only the customer may do."""
    signed = Access.SIGNED
    return [
        Call(trading.place, "POST", "order", "order.place", 1, signed, is_order=True),
        Call(trading.test, "POST", "order/test", "order.test", 1, signed),
        Call(trading.status, "GET", "order", "order.status", 4, signed),
        Call(trading.cancel, "DELETE", "order", "order.cancel", 1, signed),
        Call(trading.cancel_replace, "POST", "order/cancelReplace", "order.cancelReplace", 1, signed, is_order=True),
        Call(trading.amend, "PUT", "order/amend/keepPriority", "order.amend.keepPriority", 4, signed),
        Call(lists.place_oco, "POST", "orderList/oco", "orderList.place.oco", 1, signed, is_order=True),
        Call(lists.place_oto, "POST", "orderList/oto", "orderList.place.oto", 1, signed, is_order=True),
        Call(lists.place_otoco, "POST", "orderList/otoco", "orderList.place.otoco", 1, signed, is_order=True),
        Call(lists.cancel, "DELETE", "orderList", "orderList.cancel", 1, signed),
        Call(lists.status, "GET", "orderList", "orderList.status", 4, signed),
        Call(lists.all_lists, "GET", "allOrderList", "allOrderLists", 20, signed),
        Call(lists.open_lists, "GET", "openOrderList", "openOrderLists.status", 6, signed),
        Call(trading.open_orders, "GET", "openOrders", "openOrders.status", open_orders_weight, signed),
        Call(trading.cancel_all, "DELETE", "openOrders", "openOrders.cancelAll", 1, signed),
        Call(trading.all_orders, "GET", "allOrders", "allOrders", 20, signed),
        Call(trading.fills, "GET", "myTrades", "myTrades", 20, signed),
        Call(account.account, "GET", "account", "account.status", 20, signed),
        Call(account.commission, "GET", "account/commission", "account.commission", 20, signed),
        Call(account.order_limits, "GET", "rateLimit/order", "account.rateLimits.orders", 40, signed),
    ]
