"""What is new in the venue's word."""

from dataclasses import replace

import pytest
from builders.orders import NOW_NS, an_order, event, execution, fill_update, update, venue_order
from hypothesis import given
from hypothesis import strategies as st

from services.execution.domain.chain import seal
from services.execution.domain.news import differences, news_of, not_at_venue, unheeded
from services.execution.domain.order import Fact, Order, OrderEvent, apply
from services.execution.domain.venue import VenueOrder
from trading.money import ONE
from trading.order import OrderEventKind as Kind
from trading.order import OrderStatus as S


def record(order: Order, fact: Fact) -> Order:
    """The order after a fact, as the journal would have it."""
    step = OrderEvent(
        event_id=fact.event_id or "fresh",  # type: ignore[arg-type]
        order_id=order.order_id,
        kind=fact.kind,
        version=order.version + 1,
        event_time_ns=fact.event_time_ns,
        receive_time_ns=NOW_NS,
        reconciliation=fact.reconciliation,
        reason=fact.reason,
        venue_order_id=fact.venue_order_id,
        execution=fact.execution,
    )
    return apply(order, seal(step, order.hash))


def test_the_venues_first_word_is_news() -> None:
    """With its id for the order."""
    order = an_order(Kind.SUBMITTED)
    fact = news_of(order, update(order.order_id, Kind.ACCEPTED), ())
    assert fact is not None
    assert (fact.kind, fact.venue_order_id) == (Kind.ACCEPTED, "v-1")


@pytest.mark.parametrize("kinds", [(Kind.SUBMITTED, Kind.ACCEPTED), (Kind.SUBMITTED, Kind.FILL)])
def test_a_late_acceptance_is_no_news(kinds: tuple[Kind, ...]) -> None:
    """A fill may overtake it."""
    order = an_order(*kinds)
    assert news_of(order, update(order.order_id, Kind.ACCEPTED), ()) is None


def test_an_acceptance_resolves_the_unresolved() -> None:
    """The stream knew before we asked."""
    order = an_order(Kind.SUBMITTED, Kind.UNRESOLVED)
    assert news_of(order, update(order.order_id, Kind.ACCEPTED), ()) is not None


@pytest.mark.parametrize("kind", [Kind.CANCELED, Kind.EXPIRED, Kind.REJECTED])
def test_an_end_is_news_once(kind: Kind) -> None:
    """The second telling is not."""
    order = an_order(Kind.SUBMITTED, Kind.ACCEPTED)
    fact = news_of(order, update(order.order_id, kind), ())
    assert fact is not None
    assert news_of(record(order, fact), update(order.order_id, kind), ()) is None


def test_a_refused_cancel_is_news_only_while_a_cancel_is_pending() -> None:
    """A late refusal changes nothing."""
    pending = an_order(Kind.SUBMITTED, Kind.ACCEPTED, Kind.PENDING_CANCEL)
    assert news_of(pending, update(pending.order_id, Kind.CANCEL_REJECTED), ()) is not None
    working = an_order(Kind.SUBMITTED, Kind.ACCEPTED)
    assert news_of(working, update(working.order_id, Kind.CANCEL_REJECTED), ()) is None


def test_a_fill_is_news_once() -> None:
    """By the venue's id of the execution."""
    order = an_order(Kind.SUBMITTED)
    told = fill_update(order.order_id, 3, 3, execution_id="e-1")
    assert news_of(order, told, ()) is not None
    assert news_of(order, told, {"e-1"}) is None


def test_a_fill_has_the_same_event_id_whenever_it_is_told() -> None:
    """So that nobody downstream counts it twice."""
    order = an_order(Kind.SUBMITTED)
    told = fill_update(order.order_id, 3, 3, execution_id="e-1")
    first, second = news_of(order, told, ()), news_of(order, told, ())
    assert first is not None
    assert second is not None
    assert first.event_id == second.event_id


def test_a_fill_that_reconciliation_vouched_for_is_no_news() -> None:
    """The stream tells of it late; a later one still counts."""
    order = an_order(Kind.SUBMITTED)
    for fact in differences(order, venue_order(order.order_id, S.PARTIALLY_FILLED, filled_nanos=5 * ONE)):
        order = record(order, fact)
    assert news_of(order, fill_update(order.order_id, 5, 2), ()) is None
    assert news_of(order, fill_update(order.order_id, 6, 1), ()) is not None


def test_fills_out_of_order_all_count() -> None:
    """The second is told before the first."""
    order = an_order(Kind.SUBMITTED)
    for told in (fill_update(order.order_id, 10, 7), fill_update(order.order_id, 3, 3)):
        fact = news_of(order, told, ())
        assert fact is not None
        order = record(order, fact)
    assert order.status is S.FILLED


def test_nothing_differs_when_both_agree() -> None:
    """A pass over a healthy order is silent."""
    order = an_order(Kind.SUBMITTED, Kind.ACCEPTED)
    assert differences(order, venue_order(order.order_id)) == []


def test_an_order_found_at_the_venue_is_accepted() -> None:
    """After a lost answer."""
    order = an_order(Kind.SUBMITTED, Kind.UNRESOLVED)
    (fact,) = differences(order, venue_order(order.order_id))
    assert (fact.kind, fact.reconciliation, fact.venue_order_id) == (Kind.ACCEPTED, True, "v-1")


def test_an_order_refused_by_the_venue_is_rejected_without_being_accepted() -> None:
    """In the venue's words."""
    order = an_order(Kind.SUBMITTED)
    (fact,) = differences(order, venue_order(order.order_id, S.REJECTED, reason="no"))
    assert (fact.kind, fact.reason) == (Kind.REJECTED, "no")


def test_missed_fills_are_inferred_at_the_price_that_explains_the_average() -> None:
    """Three at 100 are known; the venue has ten at 107: the other seven went at 110."""
    order = an_order(Kind.SUBMITTED)
    order = apply(order, event(order, Kind.FILL, execution=execution(3, 100)))
    found = venue_order(order.order_id, S.FILLED, filled_nanos=10 * ONE, avg_price_nanos=107 * ONE)
    (fact,) = differences(order, found)
    assert fact.execution is not None
    assert (fact.execution.quantity_nanos, fact.execution.price_nanos) == (7 * ONE, 110 * ONE)
    assert record(order, fact).avg_price_nanos == 107 * ONE


def test_a_closed_order_may_still_have_missed_a_fill() -> None:
    """It traded before it was canceled."""
    order = an_order(Kind.SUBMITTED, Kind.CANCELED)
    (fact,) = differences(order, venue_order(order.order_id, S.CANCELED, filled_nanos=ONE, avg_price_nanos=ONE))
    assert fact.kind is Kind.FILL


def test_a_pending_cancel_is_settled_when_the_venue_works_on() -> None:
    """The cancel never arrived."""
    pending = an_order(Kind.SUBMITTED, Kind.ACCEPTED, Kind.PENDING_CANCEL)
    refusal = unheeded(pending, venue_order(pending.order_id), NOW_NS)
    assert refusal is not None
    assert refusal.kind is Kind.CANCEL_REJECTED
    assert unheeded(pending, venue_order(pending.order_id, S.PENDING_CANCEL), NOW_NS) is None
    assert unheeded(an_order(Kind.SUBMITTED, Kind.ACCEPTED), venue_order(pending.order_id), NOW_NS) is None


@pytest.mark.parametrize(
    ("kinds", "ending"),
    [
        ((Kind.SUBMITTED, Kind.UNRESOLVED), Kind.REJECTED),
        ((Kind.SUBMITTED, Kind.ACCEPTED), Kind.REJECTED),
        ((Kind.SUBMITTED, Kind.FILL), Kind.CANCELED),
    ],
)
def test_an_order_the_venue_does_not_have_ends(kinds: tuple[Kind, ...], ending: Kind) -> None:
    """What had traded stays traded."""
    order = an_order(*kinds)
    fact = not_at_venue(order, NOW_NS)
    assert (fact.kind, fact.reason) == (ending, "NOT_AT_VENUE")
    assert record(order, fact).status.is_closed


statuses = st.sampled_from([S.ACCEPTED, S.PARTIALLY_FILLED, S.FILLED, S.CANCELED, S.EXPIRED, S.REJECTED])
starts = st.sampled_from([(), (Kind.ACCEPTED,), (Kind.UNRESOLVED,), (Kind.FILL,), (Kind.CANCELED,)])


@given(starts, statuses, st.integers(0, 10))
def test_one_pass_converges_and_the_second_finds_nothing(kinds: tuple[Kind, ...], status: S, filled: int) -> None:
    """Whatever the venue says of an order, its facts are legal and told once."""
    order = an_order(Kind.SUBMITTED, *kinds)
    found = _possible(replace(venue_order(order.order_id, status), avg_price_nanos=100 * ONE), filled)
    for fact in differences(order, found):
        order = record(order, fact)
    assert differences(order, found) == []
    assert order.filled_nanos >= found.filled_nanos


def _possible(found: VenueOrder, filled: int) -> VenueOrder:
    """A venue's order whose quantity fits its state."""
    if found.status is S.FILLED:
        filled = 10
    elif found.status in (S.ACCEPTED, S.REJECTED):
        filled = 0
    return replace(found, filled_nanos=min(filled, 9 if found.status is not S.FILLED else 10) * ONE)
