"""What a back office asks for: the day of an account, and a comparison with the venue."""

from dataclasses import replace

import pytest
from builders.execution import PATIENCE_S, RHYTHM, Desk, a_desk
from builders.orders import LIMIT, NOW_NS
from fakes.orders import FakeBroker

from services.execution.domain.comparison import Comparison
from services.execution.domain.statement import day_text
from services.execution.domain.venue import VenueAccount, VenuePosition
from trading.clock import DAY_NS
from trading.errors import InvalidArgument, NotFound, Unavailable
from trading.ids import OrderId
from trading.money import ONE
from trading.order import OrderStatus, OrderType

NEVER = replace(RHYTHM, in_flight_every_s=3600.0)
CASH = 1_000_000


async def bought(desk: Desk, quantity: int, price: int = 100, **order: object) -> OrderId:
    """An order of ten of which so many have traded."""
    order_id = (await desk.sent(**order)).order.order_id
    desk.broker.fill(order_id, quantity, price)
    assert await desk.live(order_id).until(lambda order: order.filled_nanos > 0, PATIENCE_S)
    return order_id


def theirs(desk: Desk, quantity: int, cash: int) -> None:
    """What the venue says that the account holds and has, in whole units."""
    desk.broker.held = [VenuePosition("AAPL", quantity * ONE)]
    desk.broker.cash = VenueAccount("USD", cash * ONE, cash * ONE)


async def test_a_day_is_folded_from_the_log() -> None:
    """What this moment traded is in it. The fills of the fake venue bear the time of their day."""
    async with a_desk(rhythm=NEVER) as desk:
        order_id = await bought(desk, 10)
        found = await desk.state.statement("", day_text(NOW_NS // DAY_NS))
        assert (found.account, found.venue, found.currency) == ("main", "paper", "USD")
        assert [fill.order_id for fill in found.fills] == [order_id]
        assert (found.opening_cash_nanos, found.closing_cash_nanos) == (CASH * ONE, (CASH - 1_000) * ONE)
        assert found.positions["AAPL"].quantity_nanos == 10 * ONE
        today = await desk.state.statement("main", "")
        assert (today.fills, today.opening_cash_nanos) == ([], (CASH - 1_000) * ONE)
        before = await desk.state.statement("main", "2000-01-01")
        assert (before.fills, before.positions, before.closing_cash_nanos) == ([], {}, CASH * ONE)


async def test_a_day_that_is_none_and_an_account_that_is_unknown_are_refused() -> None:
    """By name."""
    async with a_desk(rhythm=NEVER) as desk:
        with pytest.raises(InvalidArgument):
            await desk.state.statement("", "yesterday")
        with pytest.raises(NotFound):
            await desk.state.statement("nobody", "")
        with pytest.raises(NotFound):
            await desk.state.compare("nobody")


async def test_a_statement_waits_for_the_log() -> None:
    """Half a day is no day."""
    async with a_desk(rhythm=NEVER) as desk:
        order_id = (await desk.sent()).order.order_id
        await desk.journal.flush()
        desk.store.down = True
        await desk.record(desk.broker.fill(order_id, 10, tell=False))
        with desk.waiting_in_vain(log=True), pytest.raises(Unavailable):
            await desk.state.statement("", "")
        desk.store.down = False


async def test_what_agrees_is_told_too() -> None:
    """An open order, a position, the cash."""
    async with a_desk(rhythm=NEVER) as desk:
        order_id = await bought(desk, 4)
        theirs(desk, 4, CASH - 400)
        found = await desk.state.compare("")
        assert found == [
            Comparison("order", order_id, "open, filled 4", "open, filled 4"),
            Comparison("position", "AAPL", "4", "4"),
            Comparison("cash", "USD", "999600", "999600"),
        ]
        assert all(each.agrees for each in found)


async def test_what_differs_is_told_in_both_words() -> None:
    """A fill that we missed, shares that were transferred, a dividend."""
    async with a_desk(rhythm=NEVER) as desk:
        order_id = await bought(desk, 4)
        desk.broker.fill(order_id, 1, tell=False)
        theirs(desk, 7, CASH)
        found = await desk.state.compare("main")
        assert found == [
            Comparison("order", order_id, "open, filled 4", "open, filled 5"),
            Comparison("position", "AAPL", "4", "7"),
            Comparison("cash", "USD", "999600", "1000000"),
        ]
        assert not any(each.agrees for each in found)


async def test_an_order_that_only_one_side_knows_is_told() -> None:
    """Ours that the venue has closed, and a stranger's that nobody has adopted yet."""
    async with a_desk(rhythm=NEVER) as desk:
        order_id = (await desk.sent(**LIMIT)).order.order_id
        del desk.broker.book[order_id]
        stranger = desk.broker.strange()
        found = {each.name: (each.ours, each.venue) for each in await desk.state.compare("") if each.subject == "order"}
        assert found == {order_id: ("open, filled 0", ""), stranger: ("", "open, filled 0")}


async def test_an_adopted_order_is_one_order() -> None:
    """Known here under our name for it."""
    async with a_desk(rhythm=NEVER) as desk:
        order_id = desk.broker.strange()
        await desk.reconcile.everything()
        orders = [each for each in await desk.state.compare("") if each.subject == "order"]
        assert orders == [Comparison("order", order_id, "open, filled 0", "open, filled 0")]


async def test_a_held_order_is_no_difference() -> None:
    """The venue has not heard of it."""
    async with a_desk(broker=FakeBroker(unworked=frozenset({OrderType.STOP})), rhythm=NEVER) as desk:
        order = (await desk.sent(order_type=OrderType.STOP, stop_price_nanos=105 * ONE)).order
        assert order.status is OrderStatus.EMULATED
        assert [each.subject for each in await desk.state.compare("")] == ["cash"]


async def test_a_comparison_changes_nothing() -> None:
    """It only reads; a venue that is away is no difference."""
    async with a_desk(rhythm=NEVER) as desk:
        order_id = await bought(desk, 4)
        desk.broker.fill(order_id, 1, tell=False)
        await desk.state.compare("")
        assert desk.live(order_id).order.filled_nanos == 4 * ONE
        desk.broker.down = True
        with pytest.raises(Unavailable):
            await desk.state.compare("")
