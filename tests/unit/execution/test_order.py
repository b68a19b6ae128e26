"""An order as the fold of its events."""

from dataclasses import fields, replace

import pytest
from builders.orders import an_order, event, execution, life, terms
from hypothesis import given
from hypothesis import strategies as st

from services.execution.domain.order import INITIALIZED, Denial, Order, apply, fold
from trading.errors import InvalidStateTransition
from trading.ids import VenueOrderId
from trading.money import ONE, divide_half_even
from trading.order import OrderEventKind as Kind
from trading.order import OrderStatus, Side


def test_an_order_begins_with_its_creation() -> None:
    """INITIALIZED carries the terms."""
    asked = terms()
    order = apply(None, event(None, INITIALIZED, terms=asked))
    assert (order.terms, order.status, order.version) == (asked, OrderStatus.INITIALIZED, 1)


@pytest.mark.parametrize("kind", list(Kind))
def test_nothing_but_a_creation_can_begin_an_order(kind: Kind) -> None:
    """An event without an order before it is no life."""
    with pytest.raises(InvalidStateTransition):
        apply(None, event(None, kind, terms=terms()))


def test_an_order_is_created_only_once() -> None:
    """A second creation is refused."""
    order = an_order()
    with pytest.raises(InvalidStateTransition):
        apply(order, event(order, INITIALIZED, terms=order.terms))


def test_a_fold_of_nothing_is_no_order() -> None:
    """There is always a creation."""
    with pytest.raises(InvalidStateTransition):
        fold([])


def test_an_event_out_of_turn_is_refused() -> None:
    """Versions have no gaps."""
    order = an_order(Kind.SUBMITTED)
    with pytest.raises(InvalidStateTransition):
        apply(order, replace(event(order, Kind.ACCEPTED), version=order.version + 2))


def test_what_an_event_says_nothing_of_stays_as_it_was() -> None:
    """Whatever field an order has, and will have: each is something else than its default here."""
    started = an_order(Kind.SUBMITTED)
    kept = {
        "wished": terms(order_id=started.order_id, quantity_nanos=11 * ONE),
        "status_before": OrderStatus.ACCEPTED,
        "venue_order_id": VenueOrderId("v"),
        "filled_nanos": 1,
        "filled_value": 2,
        "reconciled_nanos": 3,
        "replacements": 4,
        "replaced_nanos": 5,
        "released": True,
        "fee_nanos": 6,
        "denial": Denial("CODE", "words"),
        "reason": "why",
        "created_time_ns": 7,
    }
    moved = {"terms", "status", "version", "updated_time_ns", "hash"}
    assert kept.keys() | moved == {field.name for field in fields(Order)}
    order = replace(started, **kept)  # type: ignore[arg-type]
    after = apply(order, event(order, Kind.UNRESOLVED))
    assert {name: getattr(after, name) for name in kept} == kept
    assert (after.terms, after.version) == (order.terms, order.version + 1)


def test_a_partial_fill_leaves_the_rest() -> None:
    """Three of ten traded."""
    order = _filled(an_order(Kind.SUBMITTED, Kind.ACCEPTED), 3, 100)
    assert order.status is OrderStatus.PARTIALLY_FILLED
    assert (order.filled_nanos, order.remaining_nanos, order.avg_price_nanos) == (3 * ONE, 7 * ONE, 100 * ONE)


def test_the_last_fill_closes_the_order() -> None:
    """Ten of ten traded, at two prices."""
    order = _filled(_filled(an_order(Kind.SUBMITTED), 4, 100), 6, 101)
    assert order.status is OrderStatus.FILLED
    assert order.avg_price_nanos == 100_600_000_000
    assert order.remaining_nanos == 0


def test_a_fill_beyond_the_quantity_is_refused() -> None:
    """Fills never exceed what was asked for."""
    order = _filled(an_order(Kind.SUBMITTED), 9, 100)
    with pytest.raises(InvalidStateTransition) as refusal:
        _filled(order, 2, 100)
    assert refusal.value.reason == "OVERFILL"


def test_a_late_partial_fill_leaves_a_canceled_order_canceled() -> None:
    """The quantity counts, the state stands."""
    order = _filled(an_order(Kind.SUBMITTED, Kind.CANCELED), 3, 100)
    assert (order.status, order.filled_nanos) == (OrderStatus.CANCELED, 3 * ONE)


def test_a_late_fill_of_everything_makes_an_expired_order_filled() -> None:
    """All of it had traded before it expired."""
    order = _filled(an_order(Kind.SUBMITTED, Kind.EXPIRED), 10, 100)
    assert order.status is OrderStatus.FILLED


def test_a_refused_cancel_restores_what_it_interrupted() -> None:
    """Even through two cancels."""
    order = an_order(Kind.SUBMITTED, Kind.ACCEPTED, Kind.PENDING_CANCEL, Kind.PENDING_CANCEL, Kind.CANCEL_REJECTED)
    assert order.status is OrderStatus.ACCEPTED


def test_a_refused_change_restores_a_partly_filled_order() -> None:
    """The fill before it is not forgotten."""
    order = an_order(Kind.SUBMITTED, Kind.FILL, Kind.PENDING_UPDATE, Kind.MODIFY_REJECTED)
    assert order.status is OrderStatus.PARTIALLY_FILLED


def test_the_venues_id_stays_once_it_is_known() -> None:
    """Later events need not repeat it."""
    order = an_order(Kind.SUBMITTED)
    order = apply(order, event(order, Kind.ACCEPTED, venue_order_id=VenueOrderId("v")))
    order = apply(order, event(order, Kind.CANCELED))
    assert order.venue_order_id == "v"


@pytest.mark.parametrize(
    ("kinds", "answered"),
    [((Kind.SUBMITTED,), False), ((Kind.SUBMITTED, Kind.UNRESOLVED), False), ((Kind.SUBMITTED, Kind.ACCEPTED), True)],
)
def test_an_order_is_answered_when_the_venue_has_spoken(kinds: tuple[Kind, ...], answered: bool) -> None:
    """An unknown outcome is no answer."""
    assert an_order(*kinds).is_answered is answered


def test_reconciliation_vouches_for_what_it_found() -> None:
    """The stream's news of those fills will be nothing new."""
    order = an_order(Kind.SUBMITTED)
    found = execution(4, 100, cumulative_nanos=4 * ONE)
    order = apply(order, event(order, Kind.FILL, execution=found, reconciliation=True))
    assert order.reconciled_nanos == 4 * ONE


def test_a_stream_fill_vouches_for_nothing() -> None:
    """Another fill with a smaller cumulative quantity may still be on its way."""
    order = an_order(Kind.SUBMITTED)
    order = apply(order, event(order, Kind.FILL, execution=execution(4, 100, cumulative_nanos=4 * ONE)))
    assert order.reconciled_nanos == 0


def changing(quantity: int, *before: Kind, status: Kind = Kind.PENDING_UPDATE) -> Order:
    """An order of ten, a change of which to another quantity is under way."""
    order = an_order(Kind.SUBMITTED, Kind.ACCEPTED, *before)
    return apply(order, event(order, status, terms=replace(order.terms, quantity_nanos=quantity * ONE)))


@pytest.mark.parametrize(("quantity", "left"), [(12, 12), (8, 10)])
def test_the_larger_quantity_may_trade_while_a_change_is_under_way(quantity: int, left: int) -> None:
    """Whichever of the two stands at the venue."""
    order = changing(quantity)
    assert (order.terms.quantity_nanos, order.remaining_nanos, order.working_nanos) == (
        10 * ONE,
        left * ONE,
        left * ONE,
    )


@pytest.mark.parametrize(("end", "quantity"), [(Kind.UPDATED, 8), (Kind.MODIFY_REJECTED, 10)])
def test_a_change_ends_one_way_or_the_other(end: Kind, quantity: int) -> None:
    """With the terms that were wished for, or as before; what waits for the next change is nothing."""
    order = changing(8)
    order = apply(order, event(order, end, terms=order.wished if end is Kind.UPDATED else None))
    assert (order.status, order.wished) == (OrderStatus.ACCEPTED, None)
    assert (order.terms.quantity_nanos, order.remaining_nanos) == (quantity * ONE, quantity * ONE)


def test_a_fill_during_a_change_leaves_the_wish_standing() -> None:
    """So that the change can go on."""
    order = _filled(changing(12), 3, 100)
    assert (order.status, order.wished is not None) == (OrderStatus.PARTIALLY_FILLED, True)
    assert order.remaining_nanos == 9 * ONE


def test_new_terms_leave_the_fills_standing() -> None:
    """Three have traded: three may be all there is, two may not; and they are terms of this very order."""
    order = _filled(changing(12), 3, 100)
    order = apply(order, event(order, Kind.PENDING_UPDATE, terms=order.wished))
    for wished in (replace(order.terms, quantity_nanos=2 * ONE), terms(quantity_nanos=12 * ONE)):
        with pytest.raises(InvalidStateTransition):
            apply(order, event(order, Kind.UPDATED, terms=wished))
    least = apply(order, event(order, Kind.UPDATED, terms=replace(order.terms, quantity_nanos=3 * ONE)))
    assert least.remaining_nanos == 0


def test_a_held_order_works_nothing_until_it_is_released() -> None:
    """What it asks for stands; as a leg it may be released for less."""
    held = an_order(Kind.EMULATED)
    assert (held.remaining_nanos, held.working_nanos, held.released) == (10 * ONE, 0, False)
    freed = apply(held, event(held, Kind.RELEASED, terms=replace(held.terms, quantity_nanos=4 * ONE)))
    assert (freed.working_nanos, freed.terms.quantity_nanos, freed.released) == (4 * ONE, 4 * ONE, True)


@pytest.mark.parametrize(("side", "arrival", "slippage"), [(Side.BUY, 99, 1), (Side.SELL, 99, -1), (Side.BUY, 0, None)])
def test_slippage_is_what_an_order_traded_worse_than_its_arrival(
    side: Side, arrival: int, slippage: int | None
) -> None:
    """At 100; unknown where the arrival is, and before it trades."""
    order = an_order(Kind.SUBMITTED, side=side, arrival_price_nanos=arrival * ONE)
    assert order.slippage_nanos is None
    assert _filled(order, 1, 100).slippage_nanos == (None if slippage is None else slippage * ONE)


fills = st.lists(st.tuples(st.integers(1, 10**12), st.integers(1, 10**14)), min_size=1, max_size=8)


@given(fills)
def test_the_average_price_is_exact(trades: list[tuple[int, int]]) -> None:
    """Σ notional ÷ Σ quantity, rounded half-even once, whatever the prices."""
    total = sum(quantity for quantity, _ in trades)
    order = an_order(Kind.SUBMITTED, quantity_nanos=total)
    for quantity, price in trades:
        trade = execution(price_nanos=price, quantity_nanos=quantity)
        order = apply(order, event(order, Kind.FILL, execution=trade))
    value = sum(quantity * price for quantity, price in trades)
    assert order.avg_price_nanos == divide_half_even(value, total)
    assert order.status is OrderStatus.FILLED


@given(st.data())
def test_folding_a_life_is_applying_its_events_one_by_one(data: st.DataObject) -> None:
    """Whatever legal walk an order takes, its events rebuild it."""
    order: Order = an_order()
    events = life(of=order.terms)
    order = fold(events)
    for _ in range(data.draw(st.integers(0, 12))):
        step = event(order, data.draw(st.sampled_from([kind for kind in Kind if kind is not Kind.FILL])))
        try:
            order = apply(order, step)
        except InvalidStateTransition:
            continue
        events.append(step)
    assert fold(events) == order


def _filled(order: Order, quantity: int, price: int) -> Order:
    return apply(order, event(order, Kind.FILL, execution=execution(quantity, price)))


@pytest.mark.parametrize(("becomes", "left_behind"), [("v-1", 0), ("v-2", ONE)])
def test_only_an_order_that_is_gone_leaves_behind_what_it_traded(becomes: str, left_behind: int) -> None:
    """One that was amended where it stood keeps its venue id and its fills."""
    order = an_order(Kind.SUBMITTED)
    order = apply(order, event(order, Kind.ACCEPTED, venue_order_id=VenueOrderId("v-1")))
    order = apply(order, event(order, Kind.FILL, execution=execution()))
    order = apply(order, event(order, Kind.PENDING_UPDATE, terms=order.terms))
    order = apply(order, event(order, Kind.UPDATED, terms=order.terms, venue_order_id=VenueOrderId(becomes)))
    assert (order.replaced_nanos, order.filled_nanos, order.venue_order_id) == (left_behind, ONE, becomes)
