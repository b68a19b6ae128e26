"""Legs of a bracket that the venue ends, or that ended too early: the position keeps its protection."""

from collections.abc import Callable

import pytest
from builders.brackets import LOSS, NEVER, PROFIT, Trade, a_trade, reborn
from builders.execution import PATIENCE_S, Desk, a_desk, at_work, until

from services.execution.domain.bracket import MOST_ATTEMPTS, leg_terms
from services.execution.ports.venue import VenueRefused
from services.execution.usecases.blotter import LiveOrder
from trading.order import OrderEventKind, OrderStatus

TARGET, STOP = 0, 1


async def attempt(trade: Trade, number: int, leg: int = STOP) -> LiveOrder:
    """A leg of an attempt, which the desk makes when the attempt before it has failed."""
    order_id = leg_terms(trade.entry.order.terms, number)[leg].order_id
    await until(lambda: trade.desk.blotter.get(order_id) is not None)
    return trade.desk.live(order_id)


def attempt_is_held(trade: Trade, number: int) -> bool:
    """Both legs of an attempt are held."""
    legs = [trade.desk.blotter.get(terms.order_id) for terms in leg_terms(trade.entry.order.terms, number)]
    return all(leg is not None and leg.order.status is OrderStatus.EMULATED for leg in legs)


def only_until_refused(desk: Desk) -> Callable[[LiveOrder], None]:
    """What follows from a move, but for that of a refusal: the process dies in between."""
    follow = desk.orders.blotter.on_move

    def followed(live: LiveOrder) -> None:
        if live.order.status is not OrderStatus.REJECTED:
            follow(live)

    return followed


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
        again = await attempt(trade, 2)
        await until(at_a_loss(desk, again, OrderStatus.ACCEPTED))
        life = await desk.look_up.life(again.order.order_id)
        assert OrderStatus.EMULATED in [after.status for _, after in life]
        await trade.fill(again, 10, 89)
        assert trade.held == 0


async def test_a_leg_held_again_survives_a_crash() -> None:
    """It is in the log before it is needed."""
    async with a_desk(rhythm=NEVER) as desk:
        old = await a_trade(desk, filled=10)
        desk.broker.answers = [VenueRefused("not now")]
        desk.quote(*LOSS)
        await old.until("FILLED", "CANCELED", "REJECTED")
        await until(lambda: attempt_is_held(old, 2))
        async with at_work(await reborn(old)) as again:
            leg = await attempt(Trade(again, old.entry.order.order_id), 2)
            await until(at_a_loss(again, leg, OrderStatus.ACCEPTED))


async def test_a_crash_before_a_refused_leg_was_held_again_leaves_no_position_bare() -> None:
    """The refusal was written, and what follows from it was not; nothing of the bracket is open any more."""
    async with a_desk(rhythm=NEVER) as desk:
        old = await a_trade(desk, filled=10)
        desk.broker.answers = [VenueRefused("not now")]
        desk.orders.blotter.on_move = only_until_refused(desk)
        desk.quote(*LOSS)
        await old.until("FILLED", "CANCELED", "REJECTED")
        async with at_work(await reborn(old)) as again:
            leg = await attempt(Trade(again, old.entry.order.order_id), 2)
            await until(at_a_loss(again, leg, OrderStatus.ACCEPTED))


async def test_a_leg_refused_every_time_is_told_once() -> None:
    """Nothing is left to try: a person has to look."""
    async with a_desk(rhythm=NEVER) as desk:
        trade = await a_trade(desk, filled=10)
        desk.broker.answers = [VenueRefused("never") for _ in range(MOST_ATTEMPTS)]
        for number in range(1, MOST_ATTEMPTS + 1):
            await until(at_a_loss(desk, await attempt(trade, number), OrderStatus.REJECTED))
        desk.quote(*LOSS)
        await desk.background.drain(PATIENCE_S)
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
        again = await attempt(trade, 2, TARGET)
        desk.quote(*PROFIT)
        await until(lambda: again.order.status is OrderStatus.ACCEPTED)
        assert trade.sent(again)[1] == 7


@pytest.mark.parametrize("quantity", [4, 10], ids=["a part", "all"])
async def test_a_fill_that_is_told_after_the_end_arms_the_legs_again(quantity: int) -> None:
    """They were over with an entry of which nothing was known to have traded."""
    async with a_desk(rhythm=NEVER) as desk:
        trade = await a_trade(desk)
        await desk.cancel(trade.entry.order.order_id)
        await trade.until("CANCELED", "CANCELED", "CANCELED")
        await trade.fill(trade.entry, quantity)
        await until(lambda: attempt_is_held(trade, 2))
        desk.quote(*LOSS)
        leg = await attempt(trade, 2)
        await until(lambda: leg.order.status is OrderStatus.ACCEPTED)
        assert trade.sent(leg)[1] == quantity


@pytest.mark.parametrize("quantity", [4, 10], ids=["a part", "all"])
async def test_a_position_left_bare_by_a_crash_gets_its_legs_at_the_start(quantity: int) -> None:
    """The late fill was written, and the legs that follow from it were not."""
    async with a_desk(rhythm=NEVER) as desk:
        old = await a_trade(desk)
        await desk.cancel(old.entry.order.order_id)
        await old.until("CANCELED", "CANCELED", "CANCELED")
        desk.orders.blotter.on_move = lambda _live: None
        await old.fill(old.entry, quantity)
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
            await again.background.drain(PATIENCE_S)
            assert trade.statuses == ("PARTIALLY_FILLED", "CANCELED", "CANCELED")
            assert len([entry for entry in again.store.entries if entry.event.version == 1]) == 3
