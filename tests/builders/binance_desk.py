"""One customer of the Binance protocol inside the process: its calls, and the user data that it hears."""

import json
from typing import Any

import pytest
from builders.paper_venue import BTC, INSTRUMENTS, ExchangeDriver

from services.paper_venue.binance.account_api import AccountApi
from services.paper_venue.binance.errors import ApiError
from services.paper_venue.binance.ledger import Ledger
from services.paper_venue.binance.limits import LimitRules, Limits
from services.paper_venue.binance.listing import Listing
from services.paper_venue.binance.order_lists import OrderListApi
from services.paper_venue.binance.params import Params
from services.paper_venue.binance.texts import TimeUnit
from services.paper_venue.binance.trading_api import TradingApi
from services.paper_venue.binance.user_data import Subscriber, UserData
from services.paper_venue.domain.account import AccountRules
from trading.clock import ManualClock

SYMBOL = BTC.symbol


class Desk:
    """One customer's calls, and the user data that it hears."""

    def __init__(self, rules: AccountRules | None = None) -> None:
        self.driver = ExchangeDriver(rules)
        self.clock = ManualClock(10**18)
        exchange, listing = self.driver.exchange, Listing(INSTRUMENTS)
        ledger = Ledger(exchange, 1_000)
        limits = Limits(LimitRules())
        self.api = TradingApi(exchange, listing, ledger, limits, self.clock)
        self.lists = OrderListApi(self.api, limits)
        self.account = AccountApi(exchange.account, listing, limits, self.clock)
        self.user_data = UserData(self.api.payloads, self.api.lists, exchange.account, listing, self.clock)
        self.heard: list[dict[str, Any]] = []
        subscriber = Subscriber(lambda text: self.heard.append(json.loads(text)["event"]), TimeUnit.MILLISECOND)
        subscriber.subscribe()
        self.user_data.subscribers.append(subscriber)
        exchange.listen(ledger.take)
        exchange.listen(self.user_data.tell)
        self.driver.quote(100, 5, 101, 5, SYMBOL)

    def call(self, handler: Any, **values: object) -> Any:
        self.clock.advance(10**6)
        return handler(Params({name: str(value) for name, value in ({"symbol": "BTCUSDT"} | values).items()}))

    def place(self, side: str = "BUY", kind: str = "LIMIT", **values: object) -> Any:
        usual: dict[str, object] = {"quantity": 1}
        if kind == "LIMIT":
            usual |= {"timeInForce": "GTC", "price": 90}
        return self.call(self.api.place, side=side, type=kind, **(usual | values))

    @property
    def reports(self) -> list[dict[str, Any]]:
        return [event for event in self.heard if event["e"] == "executionReport"]


def refused(desk: Desk, handler: Any, **values: object) -> tuple[int, str]:
    with pytest.raises(ApiError) as error:
        desk.call(handler, **values)
    return error.value.code, str(error.value)
