"""The day's loss, watched while nobody trades."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from builders.execution import PATIENCE_S, RHYTHM, Desk, a_desk, after_crash, at_work, until
from builders.orders import LIMIT, MAIN, a_quote
from fakes.orders import FakeBroker

from services.execution.domain.limits import RiskLimits
from services.execution.ports.market import SeenQuote
from trading.money import ONE
from trading.order import OrderStatus, OrderType, TradingState

NEVER = replace(RHYTHM, in_flight_every_s=3600.0)
LIMITS = RiskLimits(MAIN, max_daily_loss_nanos=100 * ONE)


@asynccontextmanager
async def a_long_desk() -> AsyncIterator[Desk]:
    """An account that bought ten at 100 and may lose a hundred a day."""
    async with a_desk(broker=FakeBroker(unworked=frozenset({OrderType.STOP})), rhythm=NEVER) as desk:
        order_id = (await desk.sent()).order.order_id
        desk.broker.fill(order_id, 10)
        assert await desk.live(order_id).until(lambda order: order.status is OrderStatus.FILLED, PATIENCE_S)
        await desk.control.set_limits(LIMITS, "me")
        yield desk


def is_halted(desk: Desk) -> bool:
    """The kill switch has been turned."""
    return bool(desk.account.record.trading_state is TradingState.HALTED)


async def test_a_falling_market_halts_the_account_by_itself() -> None:
    """The middle falls from 100 to 90: a hundred lost on ten, and no order came."""
    async with a_long_desk() as desk:
        desk.quote(89, 91)
        await until(lambda: is_halted(desk))
        assert (await desk.buy()).order.status is OrderStatus.DENIED


async def test_a_smaller_loss_changes_nothing() -> None:
    """Ninety-nine is not a hundred."""
    async with a_long_desk() as desk:
        desk.quote(90, 91)
        await desk.losses.look(desk.account)
        assert not is_halted(desk)


async def test_a_gain_never_halts() -> None:
    """Not even where nothing may be lost."""
    async with a_long_desk() as desk:
        await desk.control.set_limits(replace(LIMITS, max_daily_loss_nanos=0), "me")
        desk.quote(109, 111)
        await desk.losses.look(desk.account)
        assert not is_halted(desk)


async def test_an_account_without_a_limit_is_left_alone() -> None:
    """However much it loses."""
    async with a_long_desk() as desk:
        await desk.control.set_limits(RiskLimits(MAIN), "me")
        desk.quote(1, 2)
        await desk.losses.look(desk.account)
        assert not is_halted(desk)


async def test_what_works_is_canceled_and_what_is_held_too() -> None:
    """A resting order and a held stop."""
    async with a_long_desk() as desk:
        await desk.sent(**{**LIMIT, "price_nanos": 80 * ONE})
        await desk.sent(order_type=OrderType.STOP, stop_price_nanos=120 * ONE)
        desk.quote(89, 91)
        await until(lambda: desk.blotter.open_orders() == [])
        assert is_halted(desk)


async def test_the_trail_says_what_was_lost() -> None:
    """By the watch, with its numbers; it survives a restart."""
    async with a_long_desk() as desk:
        desk.quote(89, 91)
        await until(lambda: desk.controls.trail[-1].subject == "trading_state")
        entry = desk.controls.trail[-1]
        assert (entry.account, entry.value, entry.actor) == ("main", '{"state": "HALTED"}', "daily-loss")
        assert entry.reason == "The day has lost 100, its limit is 100."
        await desk.journal.flush()
        async with at_work(after_crash(desk, NEVER)) as reborn:
            assert is_halted(reborn)


async def test_an_operator_who_resumes_is_halted_again_while_the_loss_stands() -> None:
    """The limit is to be raised first."""
    async with a_long_desk() as desk:
        desk.quote(89, 91)
        await until(lambda: is_halted(desk))
        await desk.control.set_limits(replace(LIMITS, max_daily_loss_nanos=200 * ONE), "me")
        await desk.control.set_trading_state("main", TradingState.ACTIVE, "me", "", cancel_open=False)
        await desk.losses.look(desk.account)
        assert not is_halted(desk)
        await desk.control.set_limits(LIMITS, "me")
        await until(lambda: is_halted(desk))


@pytest.mark.parametrize("state", [TradingState.REDUCING, TradingState.HALTED])
async def test_an_account_that_is_being_closed_is_left_to_it(state: TradingState) -> None:
    """What reduces may go on."""
    async with a_long_desk() as desk:
        await desk.control.set_trading_state("main", state, "me", "", cancel_open=False)
        desk.quote(89, 91)
        await desk.losses.look(desk.account)
        assert desk.account.record.trading_state is state


async def test_a_store_that_is_away_does_not_keep_the_account_trading() -> None:
    """It halts in memory and cancels; the service goes on."""
    async with a_long_desk() as desk:
        live = desk.live((await desk.sent(**{**LIMIT, "price_nanos": 80 * ONE})).order.order_id)
        desk.controls.down = True
        desk.quote(89, 91)
        assert await live.until(lambda order: order.status is OrderStatus.CANCELED, PATIENCE_S)
        assert is_halted(desk)
        desk.controls.down = False
        assert (await desk.buy()).order.status is OrderStatus.DENIED


async def test_an_order_denied_for_the_days_loss_halts_at_once() -> None:
    """Nobody waits for the next look."""
    async with a_long_desk() as desk:
        desk.quotes.seen["AAPL"] = SeenQuote(a_quote(80, 82), 0)
        order = (await desk.buy()).order
        assert order.denial is not None
        assert order.denial.code in ("DAILY_LOSS", "TRADING_HALTED")
        assert is_halted(desk)
