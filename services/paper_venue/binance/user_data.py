"""User data: order reports and balances, told to the subscriptions of WebSocket API connections."""

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from services.paper_venue.binance.errors import ALREADY_SUBSCRIBED, ApiError
from services.paper_venue.binance.list_payloads import ListPayloads
from services.paper_venue.binance.listing import QUOTE_ASSET, Listing
from services.paper_venue.binance.order_payloads import OrderPayloads, balances
from services.paper_venue.binance.texts import TimeUnit, decimal
from services.paper_venue.domain.account import Account
from services.paper_venue.domain.orders import OrderEvent
from trading.clock import Clock

_MOST_ON_A_CONNECTION = 65_535


@dataclass(slots=True, eq=False)
class Subscriber:
    """One connection, with at most one subscription: `number` is None while there is none."""

    send: Callable[[str], None]
    unit: TimeUnit
    number: int | None = None
    _next: int = 0

    def subscribe(self) -> int:
        """Begin; raises ApiError when it has begun already, or too often."""
        if self.number is not None or self._next >= _MOST_ON_A_CONNECTION:
            raise ApiError(ALREADY_SUBSCRIBED, "Subscription already active on this connection for the account.")
        self.number = self._next
        self._next += 1
        return self.number

    def say(self, event: str) -> None:
        """Send an event, already JSON, under the subscription's number."""
        self.send(f'{{"subscriptionId":{self.number},"event":{event}}}')


@dataclass(slots=True)
class UserData:
    """Everybody who listens to the account; `tell` is the exchange's listener."""

    payloads: OrderPayloads
    lists: ListPayloads
    account: Account
    listing: Listing
    clock: Clock
    subscribers: list[Subscriber] = field(default_factory=list)

    def tell(self, event: OrderEvent) -> None:
        """Report an order event and the balances after it."""
        for unit in {subscriber.unit for subscriber in self.subscribers if subscriber.number is not None}:
            texts = self._texts(event, unit)
            for subscriber in self.subscribers:
                if subscriber.number is not None and subscriber.unit is unit:
                    for text in texts:
                        subscriber.say(text)

    def _texts(self, event: OrderEvent, unit: TimeUnit) -> list[str]:
        report = self.payloads.report(event, self.clock.now_ns(), unit)
        if report is None:
            return []
        of_list = self.lists.event(event, self.clock.now_ns(), unit) if event.order.group else None
        told = [report, self._position(event, unit), *([] if of_list is None else [of_list])]
        return [_text(each) for each in told]

    def end(self, subscriber: Subscriber) -> None:
        """The subscription ends while the connection stays."""
        event = {"e": "eventStreamTerminated", "E": subscriber.unit.of(self.clock.now_ns())}
        subscriber.say(_text(event))
        subscriber.number = None

    def _position(self, event: OrderEvent, unit: TimeUnit) -> dict[str, object]:
        """outboundAccountPosition: what the order can have changed."""
        pair = self.listing.of_symbol(event.order.symbol)
        touched = (QUOTE_ASSET, pair.base_asset if pair else "")
        return {
            "e": "outboundAccountPosition",
            "E": unit.of(self.clock.now_ns()),
            "u": unit.of(event.time_ns),
            "B": [
                {"a": asset, "f": decimal(free), "l": decimal(locked)}
                for asset, free, locked in balances(self.account, self.listing.pairs)
                if asset in touched
            ],
        }


def _text(payload: object) -> str:
    return msgspec.json.encode(payload).decode()
