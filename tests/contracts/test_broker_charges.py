"""What every broker must tell of charges: the fake, and two protocols at an exchange that charges takers."""

from collections.abc import AsyncIterator, Iterator

import pytest
from builders.broker_desks import AlpacaDesk, Desk, FakeDesk, a_market_order, alpaca_desk, binance_desk
from builders.charges import a_venue_charge
from builders.live_venue import LiveVenue, live_venue
from waiting import until

from services.execution.domain.charge import VenueCharge
from services.execution.domain.order import Order, OrderTerms
from services.execution.domain.venue import VenueOrder
from trading.clock import SECOND_NS, SystemClock
from trading.money import notional_nanos
from trading.order import OrderStatus, Side

LONG_AGO_NS = 0


@pytest.fixture(scope="module")
def venue() -> Iterator[LiveVenue]:
    with live_venue("--symbols", "AAPL,BTC-USDT", "--port", "0", "--admin", "--taker-fee-bps", "10") as running:
        yield running


@pytest.fixture(params=["fake", "alpaca", "binance"])
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    if request.param == "fake":
        yield FakeDesk()
        return
    venue: LiveVenue = request.getfixturevalue("venue")
    async with alpaca_desk(venue) if request.param == "alpaca" else binance_desk(venue) as opened:
        yield opened


async def filled(desk: Desk, asked: OrderTerms) -> VenueOrder:
    """The order as it stands once all of it has traded."""
    await desk.broker.submit(asked)
    desk.fill(asked.order_id)

    async def is_filled() -> bool:
        found = await desk.broker.find(Order(asked))
        return found is not None and found.status is OrderStatus.FILLED

    await until(is_filled, "the fill")
    found = await desk.broker.find(Order(asked))
    assert found is not None
    return found


async def after_a_trade(desk: Desk) -> list[VenueCharge]:
    """The charges that a trade brings; the fake's venue is told of one."""
    before = {charge.venue_id for charge in await desk.broker.charges(LONG_AGO_NS)}
    await filled(desk, a_market_order(desk))
    if isinstance(desk, FakeDesk):
        desk.broker.charged.append(a_venue_charge(len(before) + 1, event_time_ns=SystemClock().now_ns()))
    return [charge for charge in await desk.broker.charges(LONG_AGO_NS) if charge.venue_id not in before]


async def test_a_charge_is_told_again_the_same_and_once(desk: Desk) -> None:
    new = await after_a_trade(desk)
    assert len(new) >= 1
    told = await desk.broker.charges(LONG_AGO_NS)
    assert list(await desk.broker.charges(LONG_AGO_NS)) == list(told)
    assert len({charge.venue_id for charge in told}) == len(told)
    assert all(charge.amount_nanos or charge.quantity_nanos for charge in told)


async def test_only_what_comes_after_a_charge_is_told_when_it_is_named(desk: Desk) -> None:
    await after_a_trade(desk)
    await after_a_trade(desk)
    first, *rest = await desk.broker.charges(LONG_AGO_NS)
    assert list(await desk.broker.charges(LONG_AGO_NS, first.venue_id)) == rest
    newest = rest[-1] if rest else first
    assert list(await desk.broker.charges(LONG_AGO_NS, newest.venue_id)) == []


async def test_what_was_charged_before_a_time_is_left_out(desk: Desk) -> None:
    await after_a_trade(desk)
    assert list(await desk.broker.charges(SystemClock().now_ns() + 10 * SECOND_NS)) == []


async def test_coins_are_what_trades_and_charges_leave_of_them(venue: LiveVenue) -> None:
    """Whoever buys coins at Binance gets less than was traded."""
    async with binance_desk(venue) as desk:
        before = {each.symbol: each.quantity_nanos for each in await desk.broker.positions()}.get("BTCUSDT", 0)
        known = {charge.venue_id for charge in await desk.broker.charges(LONG_AGO_NS)}
        found = await filled(desk, a_market_order(desk))
        charges = [each for each in await desk.broker.charges(LONG_AGO_NS) if each.venue_id not in known]
        assert {each.symbol for each in charges} == {"BTCUSDT"}
        after = {each.symbol: each.quantity_nanos for each in await desk.broker.positions()}["BTCUSDT"]
        assert after - before == found.filled_nanos - sum(each.quantity_nanos for each in charges)


async def test_cash_is_what_trades_and_charges_leave_of_it(venue: LiveVenue) -> None:
    """Buying and selling shares, to the nano."""
    async with alpaca_desk(venue) as desk:
        assert isinstance(desk, AlpacaDesk)
        before = (await desk.broker.account()).cash_nanos
        known = {charge.venue_id for charge in await desk.broker.charges(LONG_AGO_NS)}
        paid = 0
        for side in (Side.BUY, Side.SELL):
            found = await filled(desk, a_market_order(desk, side=side))
            paid += side.sign * notional_nanos(found.avg_price_nanos, found.filled_nanos)
        charges = [each for each in await desk.broker.charges(LONG_AGO_NS) if each.venue_id not in known]
        assert len(charges) >= 2
        assert (await desk.broker.account()).cash_nanos == before - paid - sum(each.amount_nanos for each in charges)
