"""Orders of other programs in our account, and what the account held before we were."""

import asyncio
from dataclasses import replace

import pytest
from builders.execution import RHYTHM, Desk, a_desk, after_crash, assemble, at_work, until
from builders.orders import AAPL, MAIN, fill_update, venue_order
from fakes.orders import FakeBroker

from services.execution.domain.adoption import adopted_id, adopted_terms, position_terms
from services.execution.domain.change import Change
from services.execution.domain.venue import VenuePosition, VenueTerms
from trading.ids import OrderId, VenueOrderId
from trading.instruments import crypto
from trading.money import ONE
from trading.order import OrderEventKind, OrderStatus, OrderType, Side, TimeInForce

NEVER = replace(RHYTHM, in_flight_every_s=3600.0)
CASH = 1_000_000


def held(desk: Desk, symbol: str = "AAPL") -> int:
    """The position in whole units."""
    return desk.blotter.holdings[MAIN].position(symbol).quantity_nanos // ONE


async def adopted(desk: Desk, order_id: OrderId) -> list[str]:
    """What the log tells of a stranger's order."""
    await desk.journal.flush()
    return [str(logged.event.kind) for logged in await desk.store.events(order_id)]


def test_a_stranger_is_adopted_under_the_same_id_whenever_it_is_found() -> None:
    """A function of the venue's id; our own forgotten order keeps its own."""
    mine, theirs = venue_order(OrderId("ours")), venue_order(None)
    assert adopted_id(theirs) == adopted_id(replace(theirs, filled_nanos=ONE))
    assert adopted_id(theirs) != adopted_id(replace(theirs, venue_order_id=VenueOrderId("v-2")))
    asked = VenueTerms("AAPL", Side.SELL, OrderType.STOP_LIMIT, TimeInForce.GTC, 3 * ONE, 5, 6)
    terms = adopted_terms(theirs, asked, AAPL, MAIN, "paper")
    assert (terms.order_id, terms.external, terms.symbol, terms.currency) == (adopted_id(theirs), True, "AAPL", "USD")
    assert (terms.side, terms.order_type, terms.time_in_force) == (Side.SELL, OrderType.STOP_LIMIT, TimeInForce.GTC)
    assert (terms.quantity_nanos, terms.price_nanos, terms.stop_price_nanos) == (3 * ONE, 5, 6)
    assert adopted_terms(mine, asked, AAPL, MAIN, "paper").order_id == "ours"


def test_a_coin_is_adopted_under_its_own_name() -> None:
    """The venue's spelling is kept beside it."""
    asked = VenueTerms("BTC/USD", Side.BUY, OrderType.MARKET, TimeInForce.GTC, ONE)
    terms = adopted_terms(venue_order(None), asked, crypto("BTC"), MAIN, "paper")
    assert (terms.symbol, terms.venue_symbol) == ("BTC-USDT", "BTC/USD")


@pytest.mark.parametrize(("quantity", "side"), [(3, Side.BUY), (-3, Side.SELL)])
def test_a_position_is_taken_in_as_one_order(quantity: int, side: Side) -> None:
    """That has traded; the same account and symbol give the same id."""
    found = VenuePosition("AAPL", quantity * ONE, 7)
    terms = position_terms(found, quantity * ONE, AAPL, MAIN, "paper")
    assert (terms.side, terms.quantity_nanos, terms.external) == (side, 3 * ONE, True)
    assert terms.order_id == position_terms(found, ONE, AAPL, MAIN, "paper").order_id


async def test_a_stranger_that_the_stream_tells_of_is_adopted_once() -> None:
    """However often it is told; a comparison finds nothing new."""
    async with a_desk(rhythm=NEVER) as desk:
        order_id = desk.broker.strange(tell=True)
        desk.broker.strange(tell=True)
        await until(lambda: desk.blotter.get(order_id) is not None)
        assert await desk.reconcile.everything() == 0
        live = desk.live(order_id)
        assert (live.order.status, live.order.terms.external, live.order.reason) == ("ACCEPTED", True, "EXTERNAL")
        assert await adopted(desk, order_id) == ["INITIALIZED", "ACCEPTED"]
        assert desk.blotter.holdings[MAIN].reach("AAPL") == (10 * ONE, 0)


async def test_a_stranger_that_a_comparison_finds_is_adopted_once() -> None:
    """With what it has traded; the stream's late word of it is nothing new."""
    async with a_desk(rhythm=NEVER) as desk:
        order_id = desk.broker.strange()
        late = desk.broker.fill(order_id, 4, tell=False)
        assert await desk.reconcile.open_orders() == 2
        assert await desk.reconcile.open_orders() == 0
        await desk.record(late)
        assert await adopted(desk, order_id) == ["INITIALIZED", "ACCEPTED", "FILL"]
        assert held(desk) == 4


async def test_a_stream_and_a_comparison_at_once_adopt_a_stranger_once() -> None:
    """Whoever comes first."""
    async with a_desk(rhythm=NEVER) as desk:
        order_id = desk.broker.strange(filled=4)
        found = desk.broker.book[order_id]
        await asyncio.gather(*(desk.record.adopt(found) for _ in range(3)))
        assert await adopted(desk, order_id) == ["INITIALIZED", "ACCEPTED", "FILL"]
        assert held(desk) == 4


async def test_a_strangers_fills_are_in_the_book() -> None:
    """From the stream on: each once, to its end."""
    async with a_desk(rhythm=NEVER) as desk:
        order_id = desk.broker.strange(tell=True)
        for quantity in (4, 6):
            await desk.record(desk.broker.fill(order_id, quantity))
        await until(desk.broker.stream.empty)
        assert desk.live(order_id).order.status is OrderStatus.FILLED
        assert (held(desk), desk.blotter.holdings[MAIN].reach("AAPL")) == (10, (10 * ONE, 10 * ONE))


async def test_a_stranger_whose_first_word_is_a_fill_counts_it_once() -> None:
    """The order tells the sum that the execution is a part of."""
    async with a_desk(rhythm=NEVER) as desk:
        order_id = desk.broker.strange()
        told = desk.broker.fill(order_id, 4, tell=False)
        for _ in range(2):
            await desk.record(told)
        assert held(desk) == 4


async def test_a_stranger_that_traded_and_closed_before_we_looked_is_adopted() -> None:
    """What it traded is in the account; one that came to nothing is not worth a word."""
    async with a_desk(rhythm=NEVER) as desk:
        traded, nothing = desk.broker.strange("traded", filled=4), desk.broker.strange("nothing")
        for order_id in (traded, nothing):
            desk.broker.end(order_id, OrderEventKind.CANCELED, tell=False)
        await desk.reconcile.everything()
        assert (desk.live(traded).order.status, held(desk)) == (OrderStatus.CANCELED, 4)
        assert desk.blotter.get(nothing) is None
        assert await desk.reconcile.everything() == 0


async def test_a_stranger_in_words_that_are_none_of_ours_is_left() -> None:
    """An order by notional, or of an instrument that nobody knows."""
    async with a_desk(rhythm=NEVER) as desk:
        odd = desk.broker.strange("odd")
        desk.broker.book[odd] = replace(desk.broker.book[odd], terms=None)
        desk.broker.strange("unknown", symbol="NOPE")
        assert await desk.reconcile.everything() == 0
        assert desk.blotter.open_orders() == []


async def test_an_adopted_order_survives_a_crash() -> None:
    """And its end is found, though the stream did not tell it."""
    async with a_desk(rhythm=NEVER) as desk:
        order_id = desk.broker.strange(filled=4)
        await desk.reconcile.everything()
        await desk.journal.flush()
        reborn = after_crash(desk, NEVER)
        reborn.broker.fill(order_id, 6, tell=False)
        async with at_work(reborn):
            found = await reborn.orders.need(order_id)
            assert (found.order.status, held(reborn)) == (OrderStatus.FILLED, 10)


async def test_an_adopted_order_is_ours_to_cancel_and_to_change() -> None:
    """By the venue's id."""
    async with a_desk(rhythm=NEVER) as desk:
        first, second = desk.broker.strange("first"), desk.broker.strange("second")
        await desk.reconcile.everything()
        assert (await desk.cancel(first)).order.status is OrderStatus.CANCELED
        assert (await desk.modify(second, Change(quantity_nanos=12 * ONE))).order.terms.quantity_nanos == 12 * ONE


def a_broker_that_holds(*positions: VenuePosition) -> FakeBroker:
    """A venue account that was used before."""
    return FakeBroker(held=list(positions))


async def test_what_the_account_held_is_taken_in_at_its_cost() -> None:
    """A long and a short; the cash is the venue's, which has paid for them."""
    broker = a_broker_that_holds(
        VenuePosition("AAPL", 10 * ONE, 90 * ONE), VenuePosition("BTC/USD", -2 * ONE, 50 * ONE)
    )
    async with a_desk(broker=broker, rhythm=NEVER) as desk:
        assert (held(desk), held(desk, "BTC-USDT")) == (10, -2)
        assert desk.blotter.holdings[MAIN].position("AAPL").entry_price_nanos == 90 * ONE
        record = desk.account.record
        assert record.opening_cash_nanos == (CASH + 900 - 100) * ONE
        assert record.opening_cash_nanos + desk.blotter.holdings[MAIN].cash_flow_value // ONE == CASH * ONE
        assert await desk.reconcile.positions() == 0


async def test_opening_positions_are_taken_in_once() -> None:
    """Not again by the next process, whatever the account holds by then."""
    broker = a_broker_that_holds(VenuePosition("AAPL", 10 * ONE, 90 * ONE))
    async with a_desk(broker=broker, rhythm=NEVER) as desk:
        await desk.journal.flush()
        reborn = after_crash(desk, NEVER)
        reborn.broker.held = [VenuePosition("AAPL", 15 * ONE, 90 * ONE)]
        async with at_work(reborn):
            assert held(reborn) == 10
            assert await reborn.reconcile.positions() == 1
            assert await reborn.reconcile.opening_positions() == 0


async def test_what_adopted_orders_explain_is_not_taken_in_twice() -> None:
    """Four of the ten came from an order of this hour."""
    broker = a_broker_that_holds(VenuePosition("AAPL", 10 * ONE, 90 * ONE))
    broker.strange(filled=4)
    async with a_desk(broker=broker, rhythm=NEVER) as desk:
        assert held(desk) == 10
        assert desk.account.record.opening_cash_nanos == (CASH + 6 * 90 + 4 * 100) * ONE


async def test_a_position_that_nobody_knows_is_left_to_people() -> None:
    """It is logged, and orders are taken all the same."""
    broker = a_broker_that_holds(VenuePosition("NOPE", ONE, ONE), VenuePosition("AAPL", ONE, ONE))
    async with a_desk(broker=broker, rhythm=NEVER) as desk:
        assert held(desk) == 1
        assert await desk.reconcile.positions() == 1
        assert (await desk.sent()).order.status is OrderStatus.ACCEPTED


async def test_opening_positions_are_durable_before_the_account_opens() -> None:
    """An open account says that they were taken in: a crash in between must not lose them."""
    desk = assemble(broker=a_broker_that_holds(VenuePosition("AAPL", 10 * ONE, 90 * ONE)), rhythm=NEVER)
    desk.store.delay_s = 0.05
    async with at_work(desk):
        assert MAIN in desk.controls.known
        assert [e.event.kind for e in desk.store.entries] == ["INITIALIZED", "ACCEPTED", "FILL"]


async def test_a_position_that_moved_a_moment_ago_is_no_difference() -> None:
    """What its order trades may be on its way; a difference that stays is told."""
    async with a_desk(rhythm=replace(NEVER, in_flight_age_s=60.0)) as desk:
        live = desk.live((await desk.sent()).order.order_id)
        desk.broker.held = [VenuePosition("AAPL", 4 * ONE, ONE)]
        assert await desk.reconcile.positions() == 0
        live.moved_ns -= 61_000_000_000
        assert await desk.reconcile.positions() == 1
        await desk.record(fill_update(live.order.order_id, 4, 4))
        assert await desk.reconcile.positions() == 0
        assert held(desk) == 4
