"""Closing every position of an account at the kill switch."""

import asyncio
from dataclasses import replace

import pytest
from builders.execution import PATIENCE_S, RHYTHM, Desk, a_desk, until
from builders.orders import LIMIT, MAIN
from fakes.orders import FakeBroker

from services.execution.domain.limits import RiskLimits
from trading.errors import Unavailable
from trading.money import ONE
from trading.order import OrderStatus, OrderType, Side, TradingState

NEVER = replace(RHYTHM, in_flight_every_s=3600.0)


async def holding(desk: Desk, **positions: int) -> None:
    """The account holds so much of each symbol, in whole units; a negative one is short."""
    for symbol, quantity in positions.items():
        desk.quote(99, 101, symbol)
        side = Side.BUY if quantity > 0 else Side.SELL
        order_id = (await desk.sent(symbol=symbol, side=side, quantity_nanos=abs(quantity) * ONE)).order.order_id
        desk.broker.fill(order_id, abs(quantity))
        assert await desk.live(order_id).until(lambda order: order.status is OrderStatus.FILLED, PATIENCE_S)


async def flatten(desk: Desk) -> tuple[int, int]:
    """Halt, and close everything."""
    return await desk.control.set_trading_state(
        "main", TradingState.HALTED, "me", "enough", cancel_open=False, flatten=True
    )


def state(desk: Desk) -> TradingState:
    """The kill switch of the account."""
    return TradingState(desk.account.record.trading_state)


async def test_longs_are_sold_and_shorts_bought_back_and_trading_is_halted() -> None:
    """To market, each for all of it, and only to reduce."""
    async with a_desk(rhythm=NEVER) as desk:
        await holding(desk, **{"AAPL": -10, "BTC-USDT": 3})
        before = len(desk.broker.submitted)
        assert await flatten(desk) == (0, 2)
        short, long = (desk.broker.terms[name] for name in desk.broker.submitted[before:])
        assert (short.symbol, short.side, short.quantity_nanos) == ("AAPL", Side.BUY, 10 * ONE)
        assert (long.symbol, long.side, long.quantity_nanos) == ("BTC-USDT", Side.SELL, 3 * ONE)
        assert {(each.order_type, each.reduce_only) for each in (short, long)} == {(OrderType.MARKET, True)}
        assert state(desk) is TradingState.HALTED
        for order_id in desk.broker.submitted[before:]:
            desk.broker.fill(order_id, desk.broker.terms[order_id].quantity_nanos // ONE)
        positions = desk.blotter.holdings[MAIN].positions
        await until(lambda: not any(held.quantity_nanos for held in positions.values()))


async def test_an_account_that_holds_nothing_is_only_halted() -> None:
    """There is nothing to close."""
    async with a_desk(rhythm=NEVER) as desk:
        assert await flatten(desk) == (0, 0)
        assert (state(desk), desk.broker.submitted) == (TradingState.HALTED, [])


async def test_working_orders_are_canceled_before_positions_are_closed() -> None:
    """They could trade against the closing order, and would count against it."""
    async with a_desk(rhythm=NEVER) as desk:
        await holding(desk, AAPL=10)
        sell = (await desk.sent(**LIMIT, side=Side.SELL)).order.order_id
        assert await flatten(desk) == (1, 1)
        assert desk.live(sell).order.status is OrderStatus.CANCELED
        assert desk.broker.terms[desk.broker.submitted[-1]].quantity_nanos == 10 * ONE


async def test_nothing_else_passes_while_an_account_is_flattened() -> None:
    """Neither while the closing orders are on their way, nor after."""
    async with a_desk(rhythm=NEVER) as desk:
        await holding(desk, AAPL=10)
        desk.broker.gate.clear()
        flattening = asyncio.create_task(flatten(desk))
        await until(lambda: state(desk) is TradingState.REDUCING and len(desk.blotter.open_orders()) == 1)
        during = (await desk.buy(**LIMIT)).order
        desk.broker.gate.set()
        await flattening
        after = (await desk.buy(**LIMIT)).order
        assert during.denial is not None
        assert after.denial is not None
        assert (during.denial.code, after.denial.code) == ("REDUCING_ONLY", "TRADING_HALTED")


async def test_a_dust_that_no_lot_fits_is_left() -> None:
    """What can be traded is closed."""
    async with a_desk(rhythm=NEVER) as desk:
        await holding(desk, AAPL=10)
        instrument = await desk.catalogue.get("AAPL")
        desk.catalogue.__init__(replace(instrument, lot_nanos=3 * ONE))  # type: ignore[misc]
        assert await flatten(desk) == (0, 1)
        assert desk.broker.terms[desk.broker.submitted[-1]].quantity_nanos == 9 * ONE


async def test_what_risk_denies_is_left_and_trading_is_halted_all_the_same() -> None:
    """The instrument cannot be traded any more."""
    async with a_desk(rhythm=NEVER) as desk:
        await holding(desk, AAPL=10)
        instrument = await desk.catalogue.get("AAPL")
        desk.catalogue.__init__(replace(instrument, tradable=False))  # type: ignore[misc]
        assert await flatten(desk) == (0, 0)
        assert state(desk) is TradingState.HALTED


async def test_limits_that_bound_trading_do_not_keep_a_position_open() -> None:
    """Closing it is worth more than an order may be, and one submit a second is all there may be."""
    async with a_desk(rhythm=NEVER) as desk:
        await holding(desk, AAPL=10)
        tight = RiskLimits(MAIN, max_order_notional_nanos=ONE, max_submits_per_second=0)
        await desk.control.set_limits(tight, "me")
        assert await flatten(desk) == (0, 1)


async def test_a_halt_that_cannot_be_written_holds_and_cancels_all_the_same() -> None:
    """The operator is told that it ends with the process."""
    async with a_desk(rhythm=NEVER) as desk:
        resting = (await desk.sent(**LIMIT)).order.order_id
        desk.controls.down = True
        with pytest.raises(Unavailable, match="could not be written"):
            await desk.control.set_trading_state("", TradingState.HALTED, "me", "", cancel_open=True)
        assert state(desk) is TradingState.HALTED
        await until(lambda: desk.live(resting).order.status is OrderStatus.CANCELED)


async def test_a_venue_that_is_away_does_not_keep_trading_open() -> None:
    """Nobody knows what became of the closing order: trading is halted, and it is asked for."""
    async with a_desk(rhythm=NEVER) as desk:
        await holding(desk, AAPL=10)
        desk.broker.down = True
        assert await flatten(desk) == (0, 1)
        assert state(desk) is TradingState.HALTED
        (live,) = desk.blotter.open_orders()
        assert await live.until(lambda order: order.status is OrderStatus.UNRESOLVED, PATIENCE_S)


async def test_an_operator_who_leaves_leaves_no_half_closed_account() -> None:
    """The call was cut off while the closing order was on its way."""
    async with a_desk(rhythm=NEVER) as desk:
        await holding(desk, AAPL=10)
        desk.broker.gate.clear()
        caller = asyncio.create_task(flatten(desk))
        await until(lambda: len(desk.blotter.open_orders()) == 1)
        caller.cancel()
        await asyncio.wait([caller])
        assert state(desk) is TradingState.REDUCING
        desk.broker.gate.set()
        await until(lambda: state(desk) is TradingState.HALTED)


async def test_held_stops_end_with_the_rest() -> None:
    """They would open anew what was closed."""
    async with a_desk(broker=FakeBroker(unworked=frozenset({OrderType.STOP})), rhythm=NEVER) as desk:
        stop = (await desk.sent(order_type=OrderType.STOP, stop_price_nanos=105 * ONE)).order.order_id
        assert await flatten(desk) == (1, 0)
        assert desk.live(stop).order.status is OrderStatus.CANCELED


async def test_every_step_is_in_the_trail() -> None:
    """REDUCING, then HALTED, by whom and why."""
    async with a_desk(rhythm=NEVER) as desk:
        await flatten(desk)
        steps = [
            (each.value, each.actor, each.reason) for each in desk.controls.trail if each.subject == "trading_state"
        ]
        assert steps == [('{"state": "REDUCING"}', "me", "enough"), ('{"state": "HALTED"}', "me", "enough")]
