"""The story of a submit."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from builders.execution import PATIENCE_S, QUICK, RHYTHM, Desk, a_desk, assemble, at_work, until
from builders.orders import MAIN, a_quote
from fakes.order_stores import FakeOrderStore

from services.execution.domain.submission import Wait
from services.execution.ports.market import SeenQuote
from services.execution.ports.venue import VenueRefused
from trading.errors import (
    IdempotencyConflict,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
    UnknownSymbol,
)
from trading.ids import ClientOrderId, OrderId
from trading.money import ONE
from trading.order import OrderEventKind, OrderStatus, OrderType, Side, TradingState

MINE = ClientOrderId("mine")


async def test_nothing_is_taken_before_the_first_reconciliation() -> None:
    """What the venue has must be known first."""
    with pytest.raises(Unavailable):
        await assemble().buy()


async def test_the_intent_is_durable_before_the_venue_hears_of_it() -> None:
    """Creation and SUBMITTED, in one transaction, while the venue holds the submit back."""
    async with a_desk() as desk:
        desk.broker.gate.clear()
        outcome = await desk.buy()
        assert outcome.order.status is OrderStatus.SUBMITTED
        assert [entry.event.kind for entry in desk.store.entries] == ["INITIALIZED", "SUBMITTED"]
        assert desk.broker.submitted == []
        desk.broker.gate.set()


async def test_a_submit_waits_for_the_venues_first_answer() -> None:
    """And carries the venue's id."""
    async with a_desk() as desk:
        outcome = await desk.buy(Wait.ACCEPTED)
        assert outcome.order.status is OrderStatus.ACCEPTED
        assert outcome.order.venue_order_id
        assert not outcome.duplicate


@pytest.mark.parametrize(
    ("order", "status"),
    [
        ({}, OrderStatus.FILLED),
        ({"order_type": OrderType.LIMIT, "price_nanos": 100 * ONE}, OrderStatus.ACCEPTED),
        ({"order_type": OrderType.STOP, "stop_price_nanos": 102 * ONE}, OrderStatus.ACCEPTED),
    ],
)
async def test_by_default_a_market_order_waits_for_its_end_and_others_for_the_venue(
    order: dict[str, Any], status: OrderStatus
) -> None:
    """As the contract says."""
    async with a_desk() as desk:
        submit = asyncio.create_task(desk.buy(None, **order))
        order_id = await _sent_order(desk)
        if status is OrderStatus.FILLED:
            desk.broker.fill(order_id, 10)
        assert (await submit).order.status is status


async def test_at_the_end_of_its_wait_an_order_is_answered_as_it_is() -> None:
    """Working."""
    async with a_desk() as desk:
        outcome = await desk.buy(Wait.TERMINAL, timeout_s=0.05)
        assert outcome.order.status is OrderStatus.ACCEPTED


async def test_latencies_of_a_sent_order_add_up() -> None:
    """Total covers validation and venue; all are positive."""
    async with a_desk() as desk:
        timings = (await desk.sent()).timings
        assert min(timings.validation_ns, timings.execution_ns) > 0
        assert timings.total_ns >= timings.validation_ns + timings.execution_ns


async def test_latencies_of_an_order_nobody_waited_for_come_later() -> None:
    """The total then ends with the venue's answer."""
    async with a_desk() as desk:
        desk.broker.gate.clear()
        outcome = await desk.buy()
        assert outcome.timings.execution_ns == 0
        desk.broker.gate.set()
        live = desk.blotter.get(outcome.order.order_id)
        assert live is not None
        await live.until(lambda order: order.is_answered, PATIENCE_S)
        assert live.timings.total_ns >= live.timings.validation_ns + live.timings.execution_ns > 0


async def test_timings_reach_the_store() -> None:
    """Along with a later commit."""
    async with a_desk() as desk:
        outcome = await desk.sent()
        await desk.journal.finish()
        assert desk.store.timings[outcome.order.order_id] == outcome.timings


async def test_the_same_id_and_body_is_the_same_order() -> None:
    """Sent to the venue once."""
    async with a_desk() as desk:
        first = await desk.sent(client_order_id="mine")
        second = await desk.sent(client_order_id="mine")
        assert (second.duplicate, second.order) == (True, first.order)
        assert len(desk.broker.submitted) == 1


async def test_two_submits_of_one_id_at_once_are_one_order() -> None:
    """However they interleave."""
    async with a_desk() as desk:
        outcomes = await asyncio.gather(*[desk.sent(client_order_id="mine") for _ in range(8)])
        assert len({outcome.order.order_id for outcome in outcomes}) == 1
        assert sorted(outcome.duplicate for outcome in outcomes) == [False] + [True] * 7
        assert len(desk.broker.submitted) == 1


async def test_the_same_id_is_remembered_when_memory_has_forgotten_the_order() -> None:
    """The log has not."""
    async with a_desk(closed_in_memory=0) as desk:
        first = await desk.sent(client_order_id="mine")
        desk.broker.fill(first.order.order_id, 10)
        await _until_forgotten(desk, first.order.order_id)
        second = await desk.sent(client_order_id="mine")
        assert (second.duplicate, second.order.order_id) == (True, first.order.order_id)
        assert second.order.status is OrderStatus.FILLED


async def test_the_same_id_with_another_body_is_a_conflict() -> None:
    """It names the order that came before."""
    async with a_desk() as desk:
        first = await desk.sent(client_order_id="mine")
        with pytest.raises(IdempotencyConflict) as refusal:
            await desk.sent(client_order_id="mine", quantity_nanos=ONE)
        assert refusal.value.metadata["order_id"] == first.order.order_id


async def test_without_an_id_every_submit_is_a_new_order() -> None:
    """Its own id is its key."""
    async with a_desk() as desk:
        first, second = await desk.sent(), await desk.sent()
        assert first.order.order_id != second.order.order_id
        assert first.order.terms.client_order_id == first.order.order_id


@pytest.mark.parametrize(
    ("order", "error"),
    [
        ({"quantity_nanos": 0}, InvalidArgument),
        ({"symbol": "NOPE"}, UnknownSymbol),
        ({"account": "nobody"}, NotFound),
    ],
)
async def test_what_can_never_be_right_stores_nothing(order: dict[str, Any], error: type[Exception]) -> None:
    """A wrong value, an unknown symbol, an unknown account."""
    async with a_desk() as desk:
        with pytest.raises(error):
            await desk.buy(**order)
        assert desk.store.entries == []


async def test_a_denial_is_an_order_with_its_reason() -> None:
    """Durable, told to the fleet, and never sent."""
    async with a_desk() as desk:
        desk.account.limits = replace(desk.account.limits, max_order_notional_nanos=1)
        outcome = await desk.buy(Wait.ACCEPTED)
        assert outcome.order.status is OrderStatus.DENIED
        assert outcome.order.denial is not None
        assert outcome.order.denial.code == "ORDER_NOTIONAL"
        assert [entry.event.kind for entry in desk.store.entries] == ["INITIALIZED", "DENIED"]
        assert [row.kind for row in desk.store.waiting] == ["DENIED"]
        assert desk.broker.submitted == []
        assert outcome.timings.validation_ns > 0


async def test_what_works_is_held_back_from_the_next_order() -> None:
    """Two submits at once cannot both use the last of the buying power."""
    async with a_desk() as desk:
        desk.account.limits = replace(desk.account.limits, max_position_nanos=15 * ONE)
        outcomes = await asyncio.gather(desk.buy(), desk.buy())
        assert [outcome.order.status is OrderStatus.DENIED for outcome in outcomes].count(True) == 1


async def test_submits_are_counted_by_the_second() -> None:
    """The third of two is denied."""
    async with a_desk() as desk:
        desk.account.limits = replace(desk.account.limits, max_submits_per_second=2)
        outcomes = [await desk.buy() for _ in range(3)]
        assert [outcome.order.status is OrderStatus.DENIED for outcome in outcomes] == [False, False, True]


async def test_an_old_quote_is_asked_for_again() -> None:
    """market_data has a younger one."""
    async with a_desk() as desk:
        desk.account.limits = replace(desk.account.limits, max_quote_age_ns=5)
        desk.quotes.seen["AAPL"] = SeenQuote(a_quote(), 6)
        desk.quotes.answers["AAPL"] = SeenQuote(a_quote(), 0)
        assert (await desk.buy()).order.denial is None
        assert desk.quotes.asked == ["AAPL"]


async def test_a_young_quote_is_not_asked_for() -> None:
    """market_data is left in peace."""
    async with a_desk() as desk:
        await desk.buy()
        assert desk.quotes.asked == []


@pytest.mark.parametrize(("seen", "code"), [(True, "STALE_QUOTE"), (False, "NO_QUOTE")])
async def test_an_order_nobody_can_judge_is_denied(seen: bool, code: str) -> None:
    """The quote is too old, or there is none."""
    async with a_desk() as desk:
        desk.account.limits = replace(desk.account.limits, max_quote_age_ns=5)
        desk.quotes.seen = {"AAPL": SeenQuote(a_quote(), 6)} if seen else {}
        outcome = await desk.buy()
        assert outcome.order.denial is not None
        assert outcome.order.denial.code == code


async def test_a_days_loss_halts_the_account() -> None:
    """The denial that finds it out turns the switch, audited."""
    async with a_desk() as desk:
        bought = await desk.sent()
        desk.broker.fill(bought.order.order_id, 10, price=200)
        await _closed(desk, bought.order.order_id)
        desk.account.limits = replace(desk.account.limits, max_daily_loss_nanos=ONE)
        denied = await desk.buy()
        assert denied.order.denial is not None
        assert denied.order.denial.code == "DAILY_LOSS"
        assert desk.account.record.trading_state is TradingState.HALTED
        assert desk.controls.trail[-1].actor == "daily-loss"
        again = await desk.buy(side=Side.SELL)
        assert again.order.denial is not None
        assert again.order.denial.code == "TRADING_HALTED"


async def test_a_refusal_of_the_venue_is_a_rejection_in_its_words() -> None:
    """A structured refusal is proof."""
    async with a_desk() as desk:
        desk.broker.answers = [VenueRefused("insufficient buying power")]
        outcome = await desk.sent()
        assert (outcome.order.status, outcome.order.reason) == (OrderStatus.REJECTED, "insufficient buying power")


async def test_a_lost_answer_leaves_the_order_unresolved_and_reserved() -> None:
    """Nothing is sent again; the headroom stays taken."""
    rhythm = replace(RHYTHM, in_flight_every_s=60.0)
    async with a_desk(rhythm=rhythm) as desk:
        desk.broker.answers = [Unavailable("timeout")]
        outcome = await desk.buy(Wait.ACCEPTED, timeout_s=0.05)
        assert outcome.order.status is OrderStatus.UNRESOLVED
        assert desk.blotter.holdings[outcome.order.account].reach("AAPL") == (10 * ONE, 0)
        assert len(desk.broker.submitted) == 1


async def test_a_lost_answer_is_found_out_within_the_wait() -> None:
    """The venue had taken the order."""
    async with a_desk() as desk:
        desk.broker.answers, desk.broker.takes_anyway = [Unavailable("timeout")], True
        outcome = await desk.sent()
        assert outcome.order.status is OrderStatus.ACCEPTED
        await desk.journal.flush()
        kinds = [e.event.kind for e in desk.store.entries]
        assert kinds == ["INITIALIZED", "SUBMITTED", "UNRESOLVED", "ACCEPTED"]


async def test_the_stream_may_tell_of_an_order_before_the_call_comes_back() -> None:
    """The fill counts once, the late acceptance not at all."""
    async with a_desk(rhythm=replace(RHYTHM, in_flight_every_s=60.0)) as desk:
        desk.broker.gate.clear()
        outcome = await desk.buy()
        live = desk.blotter.get(outcome.order.order_id)
        assert live is not None
        desk.broker.take(live.order.terms)
        desk.broker.fill(live.order.order_id, 10)
        await live.until(lambda order: order.status.is_closed, PATIENCE_S)
        desk.broker.book[live.order.order_id] = replace(
            desk.broker.book[live.order.order_id], status=OrderStatus.ACCEPTED
        )
        desk.broker.gate.set()
        await desk.background.drain(PATIENCE_S)
        await desk.journal.flush()
        assert [e.event.kind for e in desk.store.entries] == ["INITIALIZED", "SUBMITTED", OrderEventKind.FILL]


async def test_too_many_orders_on_their_way_are_turned_away() -> None:
    """With the time to come back."""
    async with a_desk(capacity=1) as desk:
        desk.broker.gate.clear()
        await desk.buy()
        with pytest.raises(ResourceExhausted) as refusal:
            await desk.buy()
        assert refusal.value.metadata["retry_after_s"] > 0
        desk.broker.gate.set()


async def test_too_many_waiting_events_turn_orders_away() -> None:
    """The log is slower than the callers."""
    async with a_desk(bounds=replace(QUICK, max_pending=4)) as desk:
        outcomes = await asyncio.gather(*[desk.buy() for _ in range(5)], return_exceptions=True)
        assert [type(outcome).__name__ for outcome in outcomes].count("ResourceExhausted") == 3


async def test_a_caller_who_leaves_does_not_stop_the_order() -> None:
    """It was accepted; it is sent."""
    async with a_desk() as desk:
        desk.broker.gate.clear()
        caller = asyncio.create_task(desk.buy(Wait.TERMINAL))
        await until(lambda: len(desk.store.entries) == 2)
        caller.cancel()
        desk.broker.gate.set()
        await until(lambda: len(desk.broker.submitted) == 1)


async def test_a_store_that_does_not_answer_accepts_nothing() -> None:
    """The submitter is told to come back; the venue never hears of the order; the headroom is free again."""
    store = FakeOrderStore()
    async with a_desk(store=store) as desk:
        store.down = True
        with desk.waiting_in_vain(log=True), pytest.raises(Unavailable) as refusal:
            await desk.buy(client_order_id="mine")
        assert refusal.value.metadata["retry_after_s"] > 0
        with desk.waiting_in_vain(log=True), pytest.raises(Unavailable):
            await desk.buy()
        store.down = False
        await until(lambda: desk.blotter.by_client_id(MAIN, MINE) is None)
        assert desk.blotter.holdings[MAIN].reach("AAPL") == (0, 0)
        assert desk.broker.submitted == []
        await until(lambda: _takes_orders(desk))
        assert (await desk.sent(client_order_id="mine")).duplicate is False


async def test_an_intent_written_after_its_submitter_gave_up_is_ended_unsent() -> None:
    """The commit's outcome was unknown; the log turned out to have it."""
    store = FakeOrderStore()
    async with a_desk(store=store) as desk:
        store.down, store.written_anyway = True, 1
        with desk.waiting_in_vain(log=True), pytest.raises(Unavailable):
            await desk.buy(client_order_id="mine")
        store.down = False
        live = desk.blotter.by_client_id(MAIN, MINE)
        assert live is not None
        assert await live.until(lambda order: order.status is OrderStatus.CANCELED, PATIENCE_S)
        assert live.order.reason == "ABANDONED"
        assert desk.broker.submitted == []


async def test_a_short_outage_of_the_store_is_waited_out() -> None:
    """Within the submitter's patience."""
    store = FakeOrderStore()
    async with a_desk(store=store) as desk:
        store.outages = 1
        assert (await desk.sent()).order.status is OrderStatus.ACCEPTED


async def test_a_halt_during_a_submit_counts() -> None:
    """The switch is read when the order is judged."""
    async with at_work(assemble()) as desk:
        await desk.control.set_trading_state("", TradingState.HALTED, "me", "test", cancel_open=False)
        assert (await desk.buy()).order.status is OrderStatus.DENIED


def _takes_orders(desk: Desk) -> bool:
    try:
        desk.journal.check_room()
    except Unavailable:
        return False
    return True


async def _sent_order(desk: Desk) -> OrderId:
    await until(lambda: bool(desk.broker.book))
    return next(iter(desk.broker.book))


async def _closed(desk: Desk, order_id: OrderId) -> None:
    live = desk.blotter.get(order_id)
    assert live is not None
    assert await live.until(lambda order: order.status.is_closed, PATIENCE_S)


async def _until_forgotten(desk: Desk, order_id: OrderId) -> None:
    await until(lambda: desk.blotter.get(order_id) is None)
    await desk.journal.flush()
