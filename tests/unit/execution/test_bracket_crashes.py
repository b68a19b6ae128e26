"""A bracket over a kill -9: the next process holds what the last one held, and sends nothing twice."""

from builders.brackets import BRACKET, LOSS, NEVER, PROFIT, Trade, a_trade, reborn
from builders.execution import PATIENCE_S, SOON_S, a_desk, assemble, at_work, until
from builders.orders import MAIN, an_order, life

from services.execution.domain.bracket import leg_terms
from services.execution.ports.log import Append, Entry
from trading.errors import Unavailable
from trading.order import OrderEventKind, OrderStatus


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
    async with a_desk(rhythm=NEVER, cancel_wait_s=SOON_S) as desk:
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
            assert await loss.until(lambda order: order.status is OrderStatus.FILLED, PATIENCE_S)
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
