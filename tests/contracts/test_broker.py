"""What every broker must do: the fake that the unit tests trust, and Alpaca's protocol at the local exchange."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import pytest
import structlog
from builders.live_venue import LiveVenue, live_venue
from builders.orders import terms
from fakes.orders import FakeBroker

from fleet.metrics import Metrics
from services.execution.adapters.alpaca_broker import AlpacaBroker
from services.execution.adapters.alpaca_trade_updates import AlpacaTradeUpdates
from services.execution.adapters.venue_http import VenueHttp
from services.execution.domain.order import Order, OrderTerms
from services.execution.domain.venue import StreamOpened, VenueUpdate
from services.execution.ports import Broker, VenueRefused
from trading.ids import OrderId, VenueOrderId, new_id
from trading.money import ONE
from trading.order import OrderEventKind, OrderStatus, OrderType, Side, TimeInForce


@pytest.fixture(scope="module")
def venue() -> Iterator[LiveVenue]:
    with live_venue("--symbols", "AAPL", "--port", "0") as running:
        yield running


def alpaca(venue: LiveVenue, client: VenueHttp) -> AlpacaBroker:
    """A broker for the local exchange."""
    key = venue.key
    stream = AlpacaTradeUpdates(
        venue.addresses["trading_stream"], key.key_id, key.secret, structlog.get_logger(), Metrics()
    )
    return AlpacaBroker(client, stream)


def http(venue: LiveVenue) -> VenueHttp:
    """A connection pool with the venue's key."""
    return VenueHttp(venue.addresses["rest"], headers=venue.key.headers(), timeout_s=10)


@pytest.fixture(params=["fake", "alpaca"])
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[Broker]:
    if request.param == "fake":
        fake = FakeBroker()
        fake.stream.put_nowait(StreamOpened())
        yield fake
        return
    venue: LiveVenue = request.getfixturevalue("venue")
    async with http(venue) as client:
        yield alpaca(venue, client)


def resting(**changes: Any) -> OrderTerms:
    """An order that no market reaches."""
    far = {"order_type": OrderType.LIMIT, "price_nanos": ONE, "time_in_force": TimeInForce.GTC}
    return terms(quantity_nanos=ONE, **{**far, **changes})


class Updates:
    """The broker's stream, read in the background."""

    def __init__(self, broker: Broker) -> None:
        self.opened = asyncio.Event()
        self.seen: list[VenueUpdate] = []
        self._broker = broker
        self._more = asyncio.Event()

    async def read(self) -> None:
        async with aclosing(self._broker.updates()) as updates:  # type: ignore[type-var]
            async for update in updates:
                if isinstance(update, StreamOpened):
                    self.opened.set()
                else:
                    self.seen.append(update)
                    self._more.set()

    async def until(self, order_id: OrderId, kind: OrderEventKind) -> VenueUpdate:
        async with asyncio.timeout(20):
            while True:
                for update in self.seen:
                    if update.order.order_id == order_id and update.kind is kind:
                        return update
                self._more.clear()
                await self._more.wait()


@pytest.fixture
async def updates(broker: Broker) -> AsyncIterator[Updates]:
    reading = Updates(broker)
    task = asyncio.create_task(reading.read())
    async with asyncio.timeout(20):
        await reading.opened.wait()
    yield reading
    task.cancel()
    await asyncio.wait([task])


async def test_a_submitted_order_is_accepted_under_our_id(broker: Broker) -> None:
    """And found by it again."""
    asked = resting()
    found = await broker.submit(asked)
    assert (found.order_id, found.status, found.filled_nanos) == (asked.order_id, OrderStatus.ACCEPTED, 0)
    again = await broker.find(Order(asked))
    assert again is not None
    assert again.venue_order_id == found.venue_order_id
    assert asked.order_id in {order.order_id for order in await broker.open_orders()}
    assert asked.order_id in {order.order_id for order in await broker.orders_since(0, ())}


async def test_an_order_it_never_saw_is_not_there(broker: Broker) -> None:
    """A proof, not an error."""
    assert await broker.find(Order(resting())) is None


async def test_a_canceled_order_is_told_by_the_stream(broker: Broker, updates: Updates) -> None:
    """And is open no more."""
    asked = resting()
    found = await broker.submit(asked)
    await broker.cancel(Order(asked, venue_order_id=found.venue_order_id))
    told = await updates.until(asked.order_id, OrderEventKind.CANCELED)
    assert told.order.status is OrderStatus.CANCELED
    assert asked.order_id not in {order.order_id for order in await broker.open_orders()}


async def test_a_cancel_of_what_is_not_open_is_refused(broker: Broker) -> None:
    """In the venue's words."""
    with pytest.raises(VenueRefused):
        await broker.cancel(Order(resting(), venue_order_id=VenueOrderId(new_id())))


async def test_the_account_has_money(broker: Broker) -> None:
    """Cash, buying power and how often it may be used."""
    account = await broker.account()
    assert account.currency == "USD"
    assert account.cash_nanos > 0
    assert account.buying_power_nanos >= account.cash_nanos // 2
    assert account.multiplier >= 1


async def test_a_fill_is_told_with_its_execution(broker: Broker, updates: Updates) -> None:
    """Id, price, quantity, and how much has traded in all."""
    asked = terms(quantity_nanos=ONE, side=Side.BUY)
    await broker.submit(asked)
    if isinstance(broker, FakeBroker):
        broker.fill(asked.order_id, 1)
    told = await updates.until(asked.order_id, OrderEventKind.FILL)
    assert told.execution is not None
    assert told.execution.execution_id
    assert told.execution.price_nanos > 0
    assert told.execution.quantity_nanos == told.execution.cumulative_nanos == ONE
    found = await broker.find(Order(asked))
    assert found is not None
    assert (found.status, found.filled_nanos) == (OrderStatus.FILLED, ONE)
    assert found.avg_price_nanos == told.execution.price_nanos
