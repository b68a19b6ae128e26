"""The story of a bracket: an entry, and two held legs that close what it opened."""

import pytest
from builders.brackets import BRACKET, LOSS, NEVER, PROFIT, a_trade
from builders.execution import PATIENCE_S, a_desk, until
from builders.orders import MAIN

from services.execution.domain.bracket import leg_terms
from services.execution.ports.venue import VenueRefused
from trading.errors import Unavailable
from trading.money import ONE
from trading.order import OrderEventKind, OrderStatus, OrderType, TradingState


async def test_the_legs_are_held_from_the_start() -> None:
    """They are in the log with the entry, expose nothing, and the venue knows of one order."""
    async with a_desk(rhythm=NEVER) as desk:
        trade = await a_trade(desk)
        assert trade.statuses == ("ACCEPTED", "EMULATED", "EMULATED")
        assert desk.broker.submitted == [trade.entry.order.order_id]
        assert desk.blotter.holdings[MAIN].reach("AAPL") == (10 * ONE, 0)
        await desk.journal.flush()
        assert {stored.order.order_id for stored in await desk.store.open_orders()} == {
            live.order.order_id for live in (trade.entry, trade.profit, trade.loss)
        }


@pytest.mark.parametrize("market", [PROFIT, LOSS])
async def test_nothing_is_released_before_the_entry_has_traded(market: tuple[int, int]) -> None:
    """There is nothing to close."""
    async with a_desk(rhythm=NEVER) as desk:
        trade = await a_trade(desk)
        desk.quote(*market)
        await desk.background.drain(PATIENCE_S)
        assert trade.statuses == ("ACCEPTED", "EMULATED", "EMULATED")


async def test_the_profit_rests_at_its_price_while_the_loss_stays_armed() -> None:
    """A limit order for what is open."""
    async with a_desk(rhythm=NEVER) as desk:
        trade = await a_trade(desk, filled=10)
        for _ in range(3):
            desk.quote(*PROFIT)
        await trade.until("FILLED", "ACCEPTED", "EMULATED")
        assert trade.sent(trade.profit) == (OrderType.LIMIT, 10, 110 * ONE)


async def test_the_profits_fill_ends_the_loss() -> None:
    """And the bracket."""
    async with a_desk(rhythm=NEVER) as desk:
        trade = await a_trade(desk, filled=10)
        desk.quote(*PROFIT)
        await trade.until("FILLED", "ACCEPTED", "EMULATED")
        await trade.fill(trade.profit, 10, 110)
        await trade.until("FILLED", "FILLED", "CANCELED")
        assert (trade.held, desk.broker.canceled) == (0, [])


async def test_the_loss_is_sent_to_the_market_and_ends_the_profit() -> None:
    """The profit was only held: the venue is not asked to cancel it."""
    async with a_desk(rhythm=NEVER) as desk:
        trade = await a_trade(desk, filled=10)
        desk.quote(*LOSS)
        await trade.until("FILLED", "CANCELED", "ACCEPTED")
        assert trade.sent(trade.loss) == (OrderType.MARKET, 10, None)
        await trade.fill(trade.loss, 10, 89)
        assert (trade.statuses[2], trade.held, desk.broker.canceled) == ("FILLED", 0, [])


async def test_the_loss_cancels_a_resting_profit_first_and_sends_only_what_is_open() -> None:
    """Four of ten went at the profit; six are left to lose."""
    async with a_desk(rhythm=NEVER) as desk:
        trade = await a_trade(desk, filled=10)
        desk.quote(*PROFIT)
        await trade.until("FILLED", "ACCEPTED", "EMULATED")
        await trade.fill(trade.profit, 4, 110)
        desk.quote(*LOSS)
        await trade.until("FILLED", "CANCELED", "ACCEPTED")
        assert trade.sent(trade.loss) == (OrderType.MARKET, 6, None)
        await desk.journal.flush()
        told = [(e.event.order_id, e.event.kind) for e in desk.store.entries]
        assert told.index((trade.profit.order.order_id, OrderEventKind.CANCELED)) < told.index(
            (trade.loss.order.order_id, OrderEventKind.SUBMITTED)
        )
        await trade.fill(trade.loss, 6, 89)
        assert trade.held == 0


async def test_a_profit_that_fills_while_it_is_canceled_leaves_nothing_to_lose() -> None:
    """The venue refuses the cancel of what it has filled; the loss is never sent."""
    async with a_desk(rhythm=NEVER) as desk:
        trade = await a_trade(desk, filled=10)
        desk.quote(*PROFIT)
        await trade.until("FILLED", "ACCEPTED", "EMULATED")
        told = desk.broker.fill(trade.profit.order.order_id, 10, 110, tell=False)
        desk.quote(*LOSS)
        await desk.background.drain(PATIENCE_S)
        assert trade.statuses == ("FILLED", "ACCEPTED", "EMULATED")
        desk.broker.stream.put_nowait(told)
        await trade.until("FILLED", "FILLED", "CANCELED")
        assert (trade.held, len(desk.broker.submitted)) == (0, 2)


async def test_a_refused_cancel_is_asked_for_once_a_quote() -> None:
    """And not as fast as the venue refuses."""
    async with a_desk(rhythm=NEVER) as desk:
        trade = await a_trade(desk, filled=10)
        desk.quote(*PROFIT)
        await trade.until("FILLED", "ACCEPTED", "EMULATED")
        desk.broker.cancel_answer = VenueRefused("not now")
        for asked in (1, 2, 3):
            desk.quote(*LOSS)
            await desk.background.drain(PATIENCE_S)
            await desk.journal.flush()
            kinds = [e.event.kind for e in desk.store.entries if e.event.order_id == trade.profit.order.order_id]
            assert kinds.count(OrderEventKind.CANCEL_REJECTED) == asked
        desk.broker.cancel_answer = None
        desk.quote(*LOSS)
        await trade.until("FILLED", "CANCELED", "ACCEPTED")


async def test_an_entry_canceled_without_fills_ends_both_legs() -> None:
    """Nothing was opened."""
    async with a_desk(rhythm=NEVER) as desk:
        trade = await a_trade(desk)
        await desk.cancel(trade.entry.order.order_id)
        await trade.until("CANCELED", "CANCELED", "CANCELED")
        assert desk.blotter.holdings[MAIN].open_orders == 0


async def test_an_entry_the_venue_refuses_ends_both_legs() -> None:
    """Nor was anything opened there."""
    async with a_desk(rhythm=NEVER) as desk:
        desk.broker.answers = [VenueRefused("no")]
        trade = await a_trade(desk)
        await trade.until("REJECTED", "CANCELED", "CANCELED")


async def test_a_denied_entry_has_no_legs() -> None:
    """It never began."""
    async with a_desk(rhythm=NEVER) as desk:
        await desk.control.set_trading_state("main", TradingState.HALTED, "me", "", cancel_open=False)
        order = (await desk.sent(**BRACKET)).order
        assert order.status is OrderStatus.DENIED
        assert [desk.blotter.get(leg.order_id) for leg in leg_terms(order.terms)] == [None, None]


@pytest.mark.parametrize(
    ("market", "profit", "loss"), [(PROFIT, "ACCEPTED", "EMULATED"), (LOSS, "CANCELED", "ACCEPTED")]
)
async def test_a_partly_filled_entry_is_canceled_before_a_leg_closes_it(
    market: tuple[int, int], profit: str, loss: str
) -> None:
    """Four of ten: the other six could open what nobody would close."""
    async with a_desk(rhythm=NEVER) as desk:
        trade = await a_trade(desk, filled=4)
        desk.quote(*market)
        await trade.until("CANCELED", profit, loss)
        assert len(desk.broker.canceled) == 1
        leg = trade.profit if market is PROFIT else trade.loss
        assert trade.sent(leg)[1] == 4
        await trade.fill(leg, 4)
        await until(lambda: all(status.is_closed for status in trade.statuses))
        assert trade.held == 0


async def test_an_entry_canceled_after_fills_leaves_the_legs_armed() -> None:
    """Four of ten were opened."""
    async with a_desk(rhythm=NEVER) as desk:
        trade = await a_trade(desk, filled=4)
        await desk.cancel(trade.entry.order.order_id)
        await trade.until("CANCELED", "EMULATED", "EMULATED")
        desk.quote(*LOSS)
        await trade.until("CANCELED", "CANCELED", "ACCEPTED")
        assert trade.sent(trade.loss)[1] == 4


async def test_a_halt_holds_the_legs_back() -> None:
    """After it the next quote sends them; a quote that came during the halt does not."""
    async with a_desk(rhythm=NEVER) as desk:
        trade = await a_trade(desk, filled=10)
        await desk.control.set_trading_state("main", TradingState.HALTED, "me", "", cancel_open=False)
        desk.quote(*LOSS)
        await desk.background.drain(PATIENCE_S)
        await desk.control.set_trading_state("main", TradingState.ACTIVE, "me", "", cancel_open=False)
        desk.quote(99, 101)
        await desk.background.drain(PATIENCE_S)
        assert trade.statuses == ("FILLED", "EMULATED", "EMULATED")
        desk.quote(*LOSS)
        await trade.until("FILLED", "CANCELED", "ACCEPTED")


async def test_a_bracket_may_have_one_leg() -> None:
    """A loss alone."""
    async with a_desk(rhythm=NEVER) as desk:
        order = (await desk.sent(**{**BRACKET, "take_profit_nanos": None})).order
        (leg,) = leg_terms(order.terms)
        desk.broker.fill(order.order_id, 10)
        assert await desk.live(order.order_id).until(lambda order: order.status is OrderStatus.FILLED, PATIENCE_S)
        desk.quote(*LOSS)
        assert await desk.live(leg.order_id).until(lambda order: order.status is OrderStatus.ACCEPTED, PATIENCE_S)


async def test_a_bracket_that_is_over_is_forgotten() -> None:
    """Memory holds what may still move."""
    async with a_desk(rhythm=NEVER) as desk:
        trade = await a_trade(desk, filled=10)
        for leg in (trade.profit, trade.loss):
            await desk.cancel(leg.order.order_id)
        await until(lambda: desk.brackets._brackets == {})


async def test_the_legs_of_an_entry_that_was_never_written_end() -> None:
    """The store was away longer than the submit could wait."""
    async with a_desk(rhythm=NEVER) as desk:
        desk.store.down = True
        with desk.waiting_in_vain(log=True), pytest.raises(Unavailable):
            await desk.sent(**BRACKET)
        desk.store.down = False
        await until(lambda: desk.blotter.open_orders() == [])
        await desk.journal.flush()
        assert list(await desk.store.open_orders()) == []
        assert desk.broker.submitted == []
