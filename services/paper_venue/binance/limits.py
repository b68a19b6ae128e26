"""How much a customer may ask: request weight per minute, and orders per ten seconds and day."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from services.paper_venue.binance.errors import TOO_MANY_ORDERS, TOO_MANY_REQUESTS, ApiError

_MINUTE_S, _TEN_SECONDS, _DAY_S = 60, 10, 86_400


@dataclass(frozen=True, slots=True)
class LimitRules:
    """The most weight per minute, and the most orders per ten seconds and per day."""

    weight: int = 6_000
    orders: int = 100
    orders_a_day: int = 200_000


@dataclass(slots=True)
class _Window:
    """A count that begins again at every whole multiple of `seconds`."""

    seconds: int
    limit: int
    number: int = 0
    used: int = 0

    def add(self, amount: int, now_s: int) -> bool:
        """Count; says whether it is still within the limit."""
        number = now_s // self.seconds
        if number != self.number:
            self.number, self.used = number, 0
        self.used += amount
        return self.used <= self.limit

    def left_s(self, now_s: int) -> int:
        return (self.number + 1) * self.seconds - now_s


class Limits:
    """The counters of the one customer, told on every answer."""

    def __init__(self, rules: LimitRules, now_s: Callable[[], float] = time.time) -> None:
        self._now_s = now_s
        self._weight = _Window(_MINUTE_S, rules.weight)
        self._orders = _Window(_TEN_SECONDS, rules.orders)
        self._orders_a_day = _Window(_DAY_S, rules.orders_a_day)

    def take_weight(self, weight: int) -> None:
        """Count a request; raises ApiError 429 with the seconds until the next minute."""
        now_s = int(self._now_s())
        if not self._weight.add(weight, now_s):
            limit = self._weight.limit
            message = f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE."
            raise ApiError(TOO_MANY_REQUESTS, message, 429, self._weight.left_s(now_s))

    def take_order(self) -> None:
        """Count a new order; raises ApiError 429 beyond either limit."""
        now_s = int(self._now_s())
        within_a_day = self._orders_a_day.add(1, now_s)
        if not self._orders.add(1, now_s):
            raise self._too_many(self._orders, "10 SECOND", now_s)
        if not within_a_day:
            raise self._too_many(self._orders_a_day, "1 DAY", now_s)

    def headers(self) -> dict[str, str]:
        """What has been used, as response headers."""
        self._refresh()
        used = str(self._weight.used)
        return {"X-MBX-USED-WEIGHT": used, "X-MBX-USED-WEIGHT-1M": used}

    def order_headers(self) -> dict[str, str]:
        """How many orders have been sent, as response headers of an order."""
        self._refresh()
        return {
            "X-MBX-ORDER-COUNT-10S": str(self._orders.used),
            "X-MBX-ORDER-COUNT-1D": str(self._orders_a_day.used),
        }

    def weight_status(self) -> list[dict[str, object]]:
        """The rateLimits of an answer of the WebSocket API."""
        self._refresh()
        return [_status("REQUEST_WEIGHT", "MINUTE", 1, self._weight)]

    def order_status(self) -> list[dict[str, object]]:
        """The order counts of an answer."""
        self._refresh()
        return [_status("ORDERS", "SECOND", 10, self._orders), _status("ORDERS", "DAY", 1, self._orders_a_day)]

    def stated(self) -> list[dict[str, object]]:
        """The limits themselves, as exchangeInfo states them."""
        told = [*self.weight_status(), *self.order_status()]
        return [{name: value for name, value in limit.items() if name != "count"} for limit in told]

    def _refresh(self) -> None:
        now_s = int(self._now_s())
        for window in (self._weight, self._orders, self._orders_a_day):
            window.add(0, now_s)

    @staticmethod
    def _too_many(window: _Window, span: str, now_s: int) -> ApiError:
        message = f"Too many new orders; current limit is {window.limit} orders per {span}."
        return ApiError(TOO_MANY_ORDERS, message, 429, window.left_s(now_s))


def _status(kind: str, interval: str, count: int, window: _Window) -> dict[str, object]:
    return {
        "rateLimitType": kind,
        "interval": interval,
        "intervalNum": count,
        "limit": window.limit,
        "count": window.used,
    }
