"""Trading signals, and what an operator may set."""

from dataclasses import replace
from typing import Any

import pytest
from builders.execution import PATIENCE_S, Desk, a_desk, after_crash, at_work, until
from builders.orders import MAIN

from services.execution.domain.limits import RiskLimits, SignalTrading
from services.execution.domain.signals import Signal, SignalSide
from services.execution.usecases.blotter import LiveOrder
from trading.clock import SECOND_NS, SystemClock
from trading.errors import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted
from trading.ids import AccountId, ClientOrderId
from trading.money import ONE
from trading.order import OrderStatus, Side, TradingState


def a_signal(**changes: Any) -> Signal:
    """A wish to hold AAPL for a thousand dollars, made of a tick just now."""
    now_ns = SystemClock().now_ns()
    given: dict[str, Any] = {
        "id": "s-1",
        "symbol": "AAPL",
        "side": SignalSide.BUY,
        "strength": 1.0,
        "confidence": 0.9,
        "model": "m",
        "expires_ns": now_ns + 60 * SECOND_NS,
        "tick_receive_time_ns": now_ns,
    }
    return Signal(**{**given, **changes})


def order_of(desk: Desk, signal: Signal) -> LiveOrder | None:
    """The order that a signal led to."""
    return desk.blotter.by_client_id(MAIN, ClientOrderId(signal.id))


async def test_a_signal_is_traded_under_its_own_id() -> None:
    """Ten shares at the mid of 100; its tick-to-order time is measured."""
    async with a_desk() as desk:
        signal = a_signal()
        await desk.signals(signal)
        live = order_of(desk, signal)
        assert live is not None
        assert live.order.terms.quantity_nanos == 10 * ONE
        await live.until(lambda order: order.is_answered, PATIENCE_S)
        assert desk.observer.tally.tick_to_order_reply.summary().count == 1


async def test_the_same_signal_is_traded_once() -> None:
    """Delivered twice."""
    async with a_desk() as desk:
        for _ in range(2):
            await desk.signals(a_signal())
        assert desk.observer.tally.orders == 1


async def test_what_works_already_counts_towards_the_target() -> None:
    """A second signal to the same side orders nothing; a flat one sells what will be held."""
    async with a_desk() as desk:
        await desk.signals(a_signal())
        await desk.signals(a_signal(id="s-2"))
        assert order_of(desk, a_signal(id="s-2")) is None
        await desk.signals(a_signal(id="s-3", side=SignalSide.FLAT))
        flat = order_of(desk, a_signal(id="s-3"))
        assert flat is not None
        assert (flat.order.terms.side, flat.order.terms.quantity_nanos) == (Side.SELL, 10 * ONE)


@pytest.mark.parametrize("changes", [{"confidence": 0.1}, {"stale": True}, {"expires_ns": 1}, {"symbol": "NOPE"}])
async def test_a_signal_that_is_not_wanted_leaves_no_trace(changes: dict[str, Any]) -> None:
    """Unsure, stale, expired, or of a symbol nobody knows."""
    async with a_desk() as desk:
        await desk.signals(a_signal(**changes))
        assert desk.store.entries == []


async def test_a_switched_off_signal_is_not_traded() -> None:
    """From the next one on, and still after a restart."""
    async with a_desk() as desk:
        off = replace(desk.signals.switch, enabled=False)
        await desk.signals.set_switch(off, "me")
        await desk.signals(a_signal())
        assert desk.store.entries == []
        async with at_work(after_crash(desk)) as reborn:
            assert reborn.signals.switch == off


async def test_signals_wait_for_no_one() -> None:
    """Too many under way are refused."""
    async with a_desk(capacity=2) as desk:
        desk.signals.start(a_signal(id="s-1"))
        desk.signals.start(a_signal(id="s-2"))
        with pytest.raises(ResourceExhausted):
            desk.signals.start(a_signal(id="s-3"))
        await until(lambda: desk.background.utilization == 0)


@pytest.mark.parametrize(
    ("switch", "error"),
    [
        ({"notional_nanos": 0}, InvalidArgument),
        ({"min_confidence": 1.5}, InvalidArgument),
        ({"account": AccountId("nobody")}, NotFound),
    ],
)
async def test_a_switch_that_makes_no_sense_is_refused(switch: dict[str, Any], error: type[Exception]) -> None:
    """And the old one stands."""
    async with a_desk() as desk:
        before: SignalTrading = desk.signals.switch
        with pytest.raises(error):
            await desk.signals.set_switch(replace(before, **switch), "me")
        assert desk.signals.switch == before


async def test_limits_hold_at_once_and_after_a_restart() -> None:
    """With who set them."""
    async with a_desk() as desk:
        stored = await desk.control.set_limits(RiskLimits(AccountId(""), max_order_notional_nanos=1), "me")
        assert stored.account == MAIN
        assert stored.updated_time_ns > 0
        assert desk.controls.trail[-1].actor == "me"
        assert (await desk.buy()).order.status is OrderStatus.DENIED
        async with at_work(after_crash(desk)) as reborn:
            assert reborn.control.limits("main") == stored


async def test_limits_that_somebody_changed_meanwhile_are_not_replaced() -> None:
    """Of two who read the same limits, the second one has to read again."""
    async with a_desk() as desk:
        read = desk.control.limits("main")
        first, second = (replace(read, max_open_orders=count) for count in (1, 2))
        stored = await desk.control.set_limits(first, "the first")
        with pytest.raises(FailedPrecondition) as refusal:
            await desk.control.set_limits(second, "the second")
        assert (refusal.value.reason, desk.control.limits("main")) == ("LIMITS_CHANGED", stored)
        again = await desk.control.set_limits(replace(stored, max_open_orders=2), "the second")
        assert (again.max_open_orders, again.updated_time_ns > stored.updated_time_ns) == (2, True)


@pytest.mark.parametrize(
    "limits",
    [
        {"max_open_orders": -1},
        {"max_daily_loss_nanos": -1},
        {"price_collar": 1.5},
        {"price_collar": float("nan")},
    ],
)
async def test_a_limit_that_can_be_none_is_refused(limits: dict[str, Any]) -> None:
    """By its field, as callers spell it."""
    async with a_desk() as desk:
        with pytest.raises(InvalidArgument) as refusal:
            await desk.control.set_limits(RiskLimits(MAIN, **limits), "me")
        assert refusal.value.metadata["field"] in {name.removesuffix("_nanos") for name in limits}


async def test_the_kill_switch_survives_a_restart() -> None:
    """And says who wanted it."""
    async with a_desk() as desk:
        await desk.control.set_trading_state("", TradingState.REDUCING, "me", "nervous", cancel_open=False)
        assert (desk.controls.trail[-1].actor, desk.controls.trail[-1].reason) == ("me", "nervous")
        async with at_work(after_crash(desk)) as reborn:
            assert reborn.account.record.trading_state is TradingState.REDUCING


async def test_a_reason_has_a_length() -> None:
    """A thousand characters are enough."""
    async with a_desk() as desk:
        with pytest.raises(InvalidArgument):
            await desk.control.set_trading_state("", TradingState.HALTED, "me", "x" * 1_001, cancel_open=False)
        assert desk.account.record.trading_state is TradingState.ACTIVE


async def test_accounts_carry_the_venues_newest_word() -> None:
    """Opening cash stays what it was at first sight."""
    async with a_desk() as desk:
        opening = desk.account.record.opening_cash_nanos
        desk.broker.cash = replace(desk.broker.cash, cash_nanos=1, buying_power_nanos=7)
        await desk.accounts.refresh(desk.broker)
        (account,) = await desk.control.accounts()
        assert (account.record.opening_cash_nanos, account.buying_power_nanos) == (opening, 7)


async def test_a_silent_venue_leaves_its_older_word_standing() -> None:
    """The list still answers."""
    async with a_desk() as desk:
        before = desk.account.buying_power_nanos
        desk.broker.down = True
        await desk.accounts.refresh_if_older(desk.broker, -1)
        (account,) = await desk.control.accounts()
        assert account.buying_power_nanos == before
