"""What every broker must do: the fake that the unit tests trust, and two protocols at the local exchange."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import replace

import pytest
from builders.broker_desks import Desk, FakeDesk, a_market_order, a_resting_order, alpaca_desk, binance_desk
from builders.live_venue import LiveVenue, live_venue

from services.execution.domain.order import Order, OrderTerms
from services.execution.domain.venue import StreamOpened, VenueOrder, VenueUpdate
from services.execution.ports.venue import Broker, VenueRefused
from trading.errors import Unavailable
from trading.ids import OrderId, VenueOrderId, new_id
from trading.money import ONE
from trading.order import OrderEventKind, OrderStatus, OrderType, Side

HIGH = 900_000 * ONE
"""A price that the market does not reach from below."""


@pytest.fixture(scope="module")
def venue() -> Iterator[LiveVenue]:
    with live_venue("--symbols", "AAPL,BTC-USDT", "--port", "0", "--admin") as running:
        yield running


@pytest.fixture(params=["fake", "alpaca", "binance"])
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    if request.param == "fake":
        yield FakeDesk()
        return
    venue: LiveVenue = request.getfixturevalue("venue")
    async with alpaca_desk(venue) if request.param == "alpaca" else binance_desk(venue) as opened:
        yield opened


@pytest.fixture
def broker(desk: Desk) -> Broker:
    return desk.broker


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
        async with asyncio.timeout(60):
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
    async with asyncio.timeout(60):
        await reading.opened.wait()
    yield reading
    task.cancel()
    await asyncio.wait([task])


def at_venue(asked: OrderTerms, found: VenueOrder) -> Order:
    """Our order as it stands after the venue's answer."""
    return Order(asked, venue_order_id=found.venue_order_id, replacements=found.replacement)


async def test_a_submitted_order_is_accepted_under_our_id(desk: Desk) -> None:
    """And found by it again, by each way of asking."""
    asked = a_resting_order(desk)
    found = await desk.broker.submit(asked)
    assert (found.order_id, found.status, found.filled_nanos) == (asked.order_id, OrderStatus.ACCEPTED, 0)
    again = await desk.broker.find(Order(asked))
    assert again is not None
    assert again.venue_order_id == found.venue_order_id
    assert asked.order_id in {order.order_id for order in await desk.broker.open_orders()}
    since = await desk.broker.orders_since(0, {asked.venue_symbol})
    assert asked.order_id in {order.order_id for order in since}


async def test_an_order_it_never_saw_is_not_there(desk: Desk) -> None:
    """A proof, not an error."""
    assert await desk.broker.find(Order(a_resting_order(desk))) is None


async def test_a_canceled_order_is_told_by_the_stream(desk: Desk, updates: Updates) -> None:
    """And is open no more."""
    asked = a_resting_order(desk)
    found = await desk.broker.submit(asked)
    await desk.broker.cancel(at_venue(asked, found))
    told = await updates.until(asked.order_id, OrderEventKind.CANCELED)
    assert told.order.status is OrderStatus.CANCELED
    assert asked.order_id not in {order.order_id for order in await desk.broker.open_orders()}


async def test_a_cancel_of_what_is_not_open_is_refused(desk: Desk) -> None:
    """In the venue's words."""
    with pytest.raises(VenueRefused):
        await desk.broker.cancel(Order(a_resting_order(desk), venue_order_id=VenueOrderId(new_id())))


async def test_the_account_has_money(broker: Broker) -> None:
    """Cash, buying power and how often it may be used."""
    account = await broker.account()
    assert account.currency == "USD"
    assert account.cash_nanos > 0
    assert account.buying_power_nanos >= account.cash_nanos // 2
    assert account.multiplier >= 1


async def test_a_fill_is_told_with_its_execution(desk: Desk, updates: Updates) -> None:
    """Id, price, quantity, and how much has traded in all."""
    asked = a_market_order(desk)
    await desk.broker.submit(asked)
    desk.fill(asked.order_id)
    told = await updates.until(asked.order_id, OrderEventKind.FILL)
    assert told.execution is not None
    assert told.execution.execution_id
    assert told.execution.price_nanos > 0
    assert told.execution.quantity_nanos == told.execution.cumulative_nanos == desk.quantity_nanos
    found = await desk.broker.find(Order(asked))
    assert found is not None
    assert (found.status, found.filled_nanos) == (OrderStatus.FILLED, desk.quantity_nanos)
    assert found.avg_price_nanos == told.execution.price_nanos


async def test_what_was_bought_is_held(desk: Desk, updates: Updates) -> None:
    """Under the venue's spelling."""
    if not desk.holds:
        pytest.skip("Holds what its test says.")
    symbol = desk.instrument.venue_symbol(desk.broker.protocol)

    async def held() -> int:
        return sum(each.quantity_nanos for each in await desk.broker.positions() if each.symbol == symbol)

    before, asked = await held(), a_market_order(desk)
    await desk.broker.submit(asked)
    await updates.until(asked.order_id, OrderEventKind.FILL)
    assert await held() == before + desk.quantity_nanos


async def test_a_strangers_order_is_among_the_open_ones(desk: Desk) -> None:
    """It may not be ours, but it is in our account."""
    before = {order.venue_order_id for order in await desk.broker.open_orders()}
    symbol = await desk.place_strange()
    new = [order for order in await desk.broker.open_orders() if order.venue_order_id not in before]
    assert [order.status for order in new] == [OrderStatus.ACCEPTED]
    assert all(order.terms is None or order.terms.symbol == symbol for order in new)


async def test_a_changed_order_is_a_replacement_under_our_id(desk: Desk, updates: Updates) -> None:
    """Told by the stream as UPDATED, never as the end of the order; found as what it has become."""
    asked = a_resting_order(desk)
    found = await desk.broker.submit(asked)
    wished = replace(asked, quantity_nanos=2 * desk.quantity_nanos, price_nanos=desk.low_nanos + ONE)
    changed = await desk.broker.modify(at_venue(asked, found), wished)
    assert (changed.order_id, changed.replacement, changed.status) == (asked.order_id, 1, OrderStatus.ACCEPTED)
    told = await updates.until(asked.order_id, OrderEventKind.UPDATED)
    assert (told.order.venue_order_id, told.order.replacement) == (changed.venue_order_id, 1)
    again = await desk.broker.find(at_venue(wished, changed))
    assert again is not None
    assert (again.replacement, again.status, again.filled_nanos) == (1, OrderStatus.ACCEPTED, 0)
    if again.terms is not None:
        assert (again.terms.quantity_nanos, again.terms.price_nanos) == (wished.quantity_nanos, wished.price_nanos)
    await desk.broker.cancel(at_venue(wished, changed))
    await updates.until(asked.order_id, OrderEventKind.CANCELED)
    ends = [update.order.replacement for update in updates.seen if update.kind is OrderEventKind.CANCELED]
    assert ends == [1]


async def test_an_order_made_smaller_is_a_replacement_too(desk: Desk, updates: Updates) -> None:
    """Wherever it stands in the queue."""
    asked = a_resting_order(desk, quantity_nanos=2 * desk.quantity_nanos)
    found = await desk.broker.submit(asked)
    wished = replace(asked, quantity_nanos=desk.quantity_nanos)
    changed = await desk.broker.modify(at_venue(asked, found), wished)
    assert (changed.order_id, changed.replacement) == (asked.order_id, 1)
    assert (await updates.until(asked.order_id, OrderEventKind.UPDATED)).order.replacement == 1
    again = await desk.broker.find(at_venue(wished, changed))
    assert again is not None
    assert (again.replacement, again.venue_order_id) == (1, changed.venue_order_id)
    if again.terms is not None:
        assert again.terms.quantity_nanos == desk.quantity_nanos


async def test_a_change_of_what_is_closed_is_refused(desk: Desk, updates: Updates) -> None:
    """Nothing comes in its place."""
    asked = a_resting_order(desk)
    found = await desk.broker.submit(asked)
    await desk.broker.cancel(at_venue(asked, found))
    await updates.until(asked.order_id, OrderEventKind.CANCELED)
    with pytest.raises(VenueRefused):
        await desk.broker.modify(at_venue(asked, found), replace(asked, price_nanos=desk.low_nanos + ONE))
    again = await desk.broker.find(at_venue(asked, found))
    assert again is not None
    assert (again.status, again.replacement) == (OrderStatus.CANCELED, 0)


async def test_a_replacement_trades_for_the_order(desk: Desk, updates: Updates) -> None:
    """What it trades is found under the order."""
    asked = a_resting_order(desk)
    changed = await desk.broker.modify(
        at_venue(asked, await desk.broker.submit(asked)), wished := replace(asked, price_nanos=HIGH)
    )
    desk.fill(asked.order_id)
    told = await updates.until(asked.order_id, OrderEventKind.FILL)
    assert told.order.replacement == 1
    found = await desk.broker.find(at_venue(wished, changed))
    assert found is not None
    assert (found.status, found.filled_nanos) == (OrderStatus.FILLED, desk.quantity_nanos)


@pytest.mark.parametrize(
    "shape",
    [
        {"order_type": OrderType.STOP, "stop_price_nanos": HIGH},
        {"order_type": OrderType.STOP_LIMIT, "stop_price_nanos": HIGH, "price_nanos": HIGH + ONE},
        {"order_type": OrderType.TRAILING_STOP, "trail_bps": 1500},
        {"order_type": OrderType.TRAILING_STOP, "trail_nanos": 500 * ONE},
    ],
    ids=["stop", "stop-limit", "trail by share", "trail by amount"],
)
async def test_what_it_works_by_itself_waits_there(desk: Desk, updates: Updates, shape: dict[str, object]) -> None:
    """What it says that it works it takes; the rest is ours to watch."""
    tenth = desk.quantity_nanos // 10
    asked = a_resting_order(desk, **{"price_nanos": None, "quantity_nanos": tenth, **shape})
    if not desk.broker.works(asked, desk.instrument):
        assert asked.trail_nanos is not None  # the one kind that a venue here does not know
        return
    found = await desk.broker.submit(asked)
    assert found.status is OrderStatus.ACCEPTED
    assert asked.order_id in {order.order_id for order in await desk.broker.open_orders()}
    await desk.broker.cancel(at_venue(asked, found))
    await updates.until(asked.order_id, OrderEventKind.CANCELED)


async def test_a_post_only_order_that_would_take_is_refused(desk: Desk) -> None:
    """And one that rests is taken."""
    if not desk.keeps_makers:
        pytest.skip("Knows no post-only orders: we look at the market ourselves.")
    resting = a_resting_order(desk, post_only=True)
    assert (await desk.broker.submit(resting)).status is OrderStatus.ACCEPTED
    taking = a_resting_order(desk, post_only=True, price_nanos=HIGH)
    with pytest.raises(VenueRefused):
        await desk.broker.submit(taking)
    assert await desk.broker.find(Order(taking)) is None


async def test_an_order_whose_answer_was_lost_is_found(desk: Desk) -> None:
    """Nobody may say that it was refused."""
    asked = a_resting_order(desk, side=Side.BUY)
    desk.cut_next_answer()
    with pytest.raises(Unavailable):
        await desk.broker.submit(asked)
    found = await desk.broker.find(Order(asked))
    assert found is not None
    assert (found.order_id, found.status) == (asked.order_id, OrderStatus.ACCEPTED)
