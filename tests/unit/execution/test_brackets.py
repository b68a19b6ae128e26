"""The story of a bracket: an entry, and two held legs that close what it opened."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from builders.execution import RHYTHM, Desk, a_desk, after_crash, assemble, at_work, until
from builders.orders import LIMIT, MAIN, an_order, life

from services.execution.domain.bracket import MOST_ATTEMPTS, leg_terms
from services.execution.ports.log import Append, Entry
from services.execution.ports.venue import VenueRefused
from services.execution.usecases.blotter import LiveOrder
from trading.errors import Unavailable
from trading.ids import OrderId
from trading.money import ONE
from trading.order import OrderEventKind, OrderStatus, OrderType, TradingState

NEVER = replace(RHYTHM, in_flight_every_s=3600.0)
BRACKET: dict[str, Any] = {**LIMIT, "take_profit_nanos": 110 * ONE, "stop_loss_nanos": 90 * ONE}
PROFIT, LOSS = (111, 112), (89, 90)
"""Markets that reach the one leg and the other."""


class Trade:
    """A bracket by its parts, found again on whichever desk holds it."""

    def __init__(self, desk: Desk, order_id: OrderId) -> None:
        self.desk = desk
        self.entry = desk.live(order_id)
        self.profit, self.loss = (desk.live(terms.order_id) for terms in leg_terms(self.entry.order.terms))

    @property
    def statuses(self) -> tuple[OrderStatus, OrderStatus, OrderStatus]:
        """Where entry, profit and loss stand."""
        return self.entry.order.status, self.profit.order.status, self.loss.order.status

    async def fill(self, live: LiveOrder, quantity: int, price: int = 100) -> None:
        """An order trades, and we hear of it."""
        goal = live.order.filled_nanos + quantity * ONE
        self.desk.broker.fill(live.order.order_id, quantity, price)
        assert await live.until(lambda order: order.filled_nanos == goal, 1)

    async def until(self, entry: str, profit: str, loss: str) -> None:
        """Wait until all three stand so."""
        await until(lambda: self.statuses == (entry, profit, loss))

    def sent(self, live: LiveOrder) -> tuple[OrderType, int, int | None]:
        """What the venue was asked for: type, quantity in whole units, price."""
        terms = self.desk.broker.terms[live.order.order_id]
        return terms.order_type, terms.quantity_nanos // ONE, terms.price_nanos

    @property
    def held(self) -> int:
        """The position in whole units."""
        return self.desk.blotter.holdings[MAIN].position("AAPL").quantity_nanos // ONE


async def a_trade(desk: Desk, *, filled: int = 0, **order: Any) -> Trade:
    """A bracket around an entry of ten at the venue."""
    trade = Trade(desk, (await desk.sent(**{**BRACKET, **order})).order.order_id)
    if filled:
        await trade.fill(trade.entry, filled)
    return trade


async def reborn(trade: Trade) -> Desk:
    """The next process, after a kill -9 with everything in the log."""
    await trade.desk.journal.flush()
    desk = after_crash(trade.desk, NEVER)
    desk.broker.submitted = list(trade.desk.broker.submitted)
    return desk


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
        await desk.background.drain(1)
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
        await desk.background.drain(1)
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
            await desk.background.drain(1)
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


def attempt(trade: Trade, number: int) -> LiveOrder:
    """The stop loss of an attempt."""
    return trade.desk.live(leg_terms(trade.entry.order.terms, number)[1].order_id)


def attempt_is_held(trade: Trade, number: int) -> bool:
    """Both legs of an attempt are held."""
    legs = [trade.desk.blotter.get(terms.order_id) for terms in leg_terms(trade.entry.order.terms, number)]
    return all(leg is not None and leg.order.status is OrderStatus.EMULATED for leg in legs)


def at_a_loss(desk: Desk, leg: LiveOrder, status: OrderStatus) -> Callable[[], bool]:
    """Keep quoting a market that reaches the loss, until a leg stands so."""

    def quoted() -> bool:
        desk.quote(*LOSS)
        return leg.order.status is status

    return quoted


async def test_a_leg_the_venue_refuses_is_held_again_and_sent_again_later() -> None:
    """The position keeps its protection."""
    async with a_desk(rhythm=NEVER) as desk:
        trade = await a_trade(desk, filled=10)
        desk.broker.answers = [VenueRefused("not now")]
        desk.quote(*LOSS)
        await trade.until("FILLED", "CANCELED", "REJECTED")
        again = attempt(trade, 2)
        desk.quote(*LOSS)
        assert again.order.status is OrderStatus.EMULATED
        await until(at_a_loss(desk, again, OrderStatus.ACCEPTED))
        await trade.fill(again, 10, 89)
        assert trade.held == 0


async def test_a_leg_held_again_survives_a_crash() -> None:
    """It is in the log before it is needed."""
    async with a_desk(rhythm=NEVER) as desk:
        old = await a_trade(desk, filled=10)
        desk.broker.answers = [VenueRefused("not now")]
        desk.quote(*LOSS)
        await old.until("FILLED", "CANCELED", "REJECTED")
        async with at_work(await reborn(old)) as again:
            leg = attempt(Trade(again, old.entry.order.order_id), 2)
            await until(at_a_loss(again, leg, OrderStatus.ACCEPTED))


async def test_a_leg_refused_every_time_is_told_once() -> None:
    """Nothing is left to try: a person has to look."""
    async with a_desk(rhythm=NEVER) as desk:
        trade = await a_trade(desk, filled=10)
        desk.broker.answers = [VenueRefused("never") for _ in range(MOST_ATTEMPTS)]
        for number in range(1, MOST_ATTEMPTS + 1):
            await until(at_a_loss(desk, attempt(trade, number), OrderStatus.REJECTED))
        desk.quote(*LOSS)
        await desk.background.drain(1)
        counted = desk.metrics.registry.get_sample_value("nt_unprotected_positions_total")
        assert (counted, trade.held) == (1, 10)


async def test_a_leg_that_expires_at_the_venue_is_held_again() -> None:
    """What it has closed by then stays closed."""
    async with a_desk(rhythm=NEVER) as desk:
        trade = await a_trade(desk, filled=10)
        desk.quote(*PROFIT)
        await trade.until("FILLED", "ACCEPTED", "EMULATED")
        await trade.fill(trade.profit, 3, 110)
        desk.broker.end(trade.profit.order.order_id, OrderEventKind.EXPIRED)
        await trade.until("FILLED", "EXPIRED", "EMULATED")
        again = desk.live(leg_terms(trade.entry.order.terms, 2)[0].order_id)
        desk.quote(*PROFIT)
        await until(lambda: again.order.status is OrderStatus.ACCEPTED)
        assert trade.sent(again)[1] == 7


async def test_a_fill_that_is_told_after_the_end_arms_the_legs_again() -> None:
    """They were over with an entry of which nothing was known to have traded."""
    async with a_desk(rhythm=NEVER) as desk:
        trade = await a_trade(desk)
        await desk.cancel(trade.entry.order.order_id)
        await trade.until("CANCELED", "CANCELED", "CANCELED")
        await trade.fill(trade.entry, 4)
        await until(lambda: attempt_is_held(trade, 2))
        desk.quote(*LOSS)
        leg = attempt(trade, 2)
        await until(lambda: leg.order.status is OrderStatus.ACCEPTED)
        assert trade.sent(leg)[1] == 4


async def test_a_position_left_bare_by_a_crash_gets_its_legs_at_the_start() -> None:
    """The late fill was written, and the legs that follow from it were not."""
    async with a_desk(rhythm=NEVER) as desk:
        old = await a_trade(desk)
        await desk.cancel(old.entry.order.order_id)
        await old.until("CANCELED", "CANCELED", "CANCELED")
        desk.orders.blotter.on_move = lambda _live: None
        await old.fill(old.entry, 4)
        async with at_work(await reborn(old)) as again:
            trade = Trade(again, old.entry.order.order_id)
            await until(lambda: attempt_is_held(trade, 2))


async def test_legs_that_a_person_canceled_stay_canceled_after_a_crash() -> None:
    """And are never made twice: their ids are taken."""
    async with a_desk(rhythm=NEVER) as desk:
        old = await a_trade(desk, filled=4)
        for leg in (old.profit, old.loss):
            await desk.cancel(leg.order.order_id)
        await old.until("PARTIALLY_FILLED", "CANCELED", "CANCELED")
        async with at_work(await reborn(old)) as again:
            trade = Trade(again, old.entry.order.order_id)
            await again.background.drain(1)
            assert trade.statuses == ("PARTIALLY_FILLED", "CANCELED", "CANCELED")
            assert len([entry for entry in again.store.entries if entry.event.version == 1]) == 3


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
        await desk.background.drain(1)
        await desk.control.set_trading_state("main", TradingState.ACTIVE, "me", "", cancel_open=False)
        desk.quote(99, 101)
        await desk.background.drain(1)
        assert trade.statuses == ("FILLED", "EMULATED", "EMULATED")
        desk.quote(*LOSS)
        await trade.until("FILLED", "CANCELED", "ACCEPTED")


async def test_a_bracket_may_have_one_leg() -> None:
    """A loss alone."""
    async with a_desk(rhythm=NEVER) as desk:
        order = (await desk.sent(**{**BRACKET, "take_profit_nanos": None})).order
        (leg,) = leg_terms(order.terms)
        desk.broker.fill(order.order_id, 10)
        assert await desk.live(order.order_id).until(lambda order: order.status is OrderStatus.FILLED, 1)
        desk.quote(*LOSS)
        assert await desk.live(leg.order_id).until(lambda order: order.status is OrderStatus.ACCEPTED, 1)


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
        with pytest.raises(Unavailable):
            await desk.sent(**BRACKET)
        desk.store.down = False
        await until(lambda: desk.blotter.open_orders() == [])
        await desk.journal.flush()
        assert list(await desk.store.open_orders()) == []
        assert desk.broker.submitted == []


async def test_a_crash_before_the_entry_traded_changes_nothing() -> None:
    """The legs are held again, once, and close what it opens."""
    async with a_desk(rhythm=NEVER) as desk:
        old = await a_trade(desk)
        async with at_work(await reborn(old)) as again:
            trade = Trade(again, old.entry.order.order_id)
            assert trade.statuses == ("ACCEPTED", "EMULATED", "EMULATED")
            assert len(again.blotter.open_orders()) == 3
            await trade.fill(trade.entry, 10)
            again.quote(*LOSS)
            await trade.until("FILLED", "CANCELED", "ACCEPTED")


async def test_legs_that_a_crash_cut_off_are_held_by_the_next_process() -> None:
    """The entry's intent is all that the log has; it filled while we were down."""
    async with a_desk(rhythm=NEVER) as desk:
        old = await a_trade(desk)
        again = await reborn(old)
        entry_id = old.entry.order.order_id
        again.store.entries[:] = [e for e in again.store.entries if e.event.order_id == entry_id]
        again.broker.fill(entry_id, 10, tell=False)
        async with at_work(again):
            trade = Trade(again, entry_id)
            assert trade.statuses == ("FILLED", "EMULATED", "EMULATED")
            again.quote(*LOSS)
            await trade.until("FILLED", "CANCELED", "ACCEPTED")


async def test_a_crash_while_the_profit_rests_leaves_the_loss_armed() -> None:
    """And the profit's fill, which nobody told, ends it."""
    async with a_desk(rhythm=NEVER) as desk:
        old = await a_trade(desk, filled=10)
        desk.quote(*PROFIT)
        await old.until("FILLED", "ACCEPTED", "EMULATED")
        again = await reborn(old)
        again.broker.fill(old.profit.order.order_id, 4, 110, tell=False)
        async with at_work(again):
            trade = Trade(again, old.entry.order.order_id)
            assert (trade.statuses, trade.held) == (("FILLED", "PARTIALLY_FILLED", "EMULATED"), 6)
            again.quote(*LOSS)
            await trade.until("FILLED", "CANCELED", "ACCEPTED")
            assert trade.sent(trade.loss)[1] == 6


async def test_a_crash_while_the_profit_is_canceled_for_the_loss_is_settled() -> None:
    """The cancel's answer was lost with the process; the next quote at the loss sends it."""
    async with a_desk(rhythm=NEVER) as desk:
        old = await a_trade(desk, filled=10)
        desk.quote(*PROFIT)
        await old.until("FILLED", "ACCEPTED", "EMULATED")
        desk.broker.cancel_answer = Unavailable("timeout")
        desk.quote(*LOSS)
        await old.until("FILLED", "PENDING_CANCEL", "EMULATED")
        again = await reborn(old)
        again.broker.end(old.profit.order.order_id, OrderEventKind.CANCELED, tell=False)
        async with at_work(again):
            trade = Trade(again, old.entry.order.order_id)
            assert trade.statuses == ("FILLED", "CANCELED", "EMULATED")
            again.quote(*LOSS)
            await trade.until("FILLED", "CANCELED", "ACCEPTED")
            assert trade.sent(trade.loss)[1] == 10


async def test_a_crash_after_the_loss_was_sent_sends_it_no_second_time() -> None:
    """Its fill closes the bracket in the next process."""
    async with a_desk(rhythm=NEVER) as desk:
        old = await a_trade(desk, filled=10)
        desk.quote(*LOSS)
        await old.until("FILLED", "CANCELED", "ACCEPTED")
        async with at_work(await reborn(old)) as again:
            loss = again.live(old.loss.order.order_id)
            again.quote(*LOSS)
            again.broker.fill(loss.order.order_id, 10, 89)
            assert await loss.until(lambda order: order.status is OrderStatus.FILLED, 1)
            assert again.blotter.holdings[MAIN].position("AAPL").quantity_nanos == 0
            assert again.blotter.open_orders() == []


async def test_a_crash_between_the_entrys_end_and_the_legs_ends_them() -> None:
    """The entry's cancel is in the log, the legs' is not."""
    async with a_desk(rhythm=NEVER) as desk:
        old = await a_trade(desk)
        again = await reborn(old)
        again.broker.end(old.entry.order.order_id, OrderEventKind.CANCELED, tell=False)
        async with at_work(again):
            await until(lambda: again.blotter.open_orders() == [])


async def test_legs_without_an_entry_end_at_the_start() -> None:
    """A crash kept them in the log and not their entry."""
    desk = assemble(rhythm=NEVER)
    (terms, _) = leg_terms(an_order(OrderEventKind.SUBMITTED, **BRACKET).terms)
    created = an_order(of=terms)
    held = an_order(OrderEventKind.EMULATED, of=terms)
    events = life(OrderEventKind.EMULATED, of=terms)
    entries = [
        Entry(place, event, order, None)
        for place, (event, order) in enumerate(zip(events, (created, held), strict=True), 1)
    ]
    await desk.store.append(Append(entries))
    async with at_work(desk):
        assert desk.blotter.open_orders() == []
