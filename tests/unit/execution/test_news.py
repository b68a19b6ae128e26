"""What is new in the venue's word."""

from dataclasses import replace

import pytest
from builders.orders import NOW_NS, an_order, event, execution, fill_update, update, venue_order
from hypothesis import given
from hypothesis import strategies as st

from services.execution.domain.chain import seal
from services.execution.domain.news import changes_behind, differences, fills_behind, news_of, not_at_venue, unheeded
from services.execution.domain.order import Fact, Order, OrderEvent, apply
from services.execution.domain.venue import VenueOrder, VenueUpdate, whole_view
from trading.ids import VenueOrderId
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
        terms=fact.terms,
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


def changing(*before: Kind, quantity: int = 12) -> Order:
    """An order of ten, a change of which to another quantity is under way."""
    order = an_order(Kind.SUBMITTED, Kind.ACCEPTED, *before)
    wished = replace(order.terms, quantity_nanos=quantity * ONE)
    return apply(order, event(order, Kind.PENDING_UPDATE, terms=wished))


def the_change(order: Order, number: int = 1, kind: Kind = Kind.UPDATED) -> VenueUpdate:
    """The stream's word of the order that took the place of ours."""
    new = venue_order(order.order_id, venue_order_id=VenueOrderId(f"v-{number + 1}"), replacement=number)
    return VenueUpdate(new, kind, NOW_NS)


def after(order: Order, update: VenueUpdate) -> Order:
    """The order after an update that is news."""
    fact = news_of(order, update, ())
    assert fact is not None
    return record(order, fact)


def test_a_change_that_took_place_is_news_once() -> None:
    """With the terms that were wished for and the venue's new name."""
    order = changing()
    changed = after(order, the_change(order))
    assert (changed.status, changed.terms.quantity_nanos, changed.venue_order_id) == (S.ACCEPTED, 12 * ONE, "v-2")
    assert (changed.wished, changed.replacements) == (None, 1)
    assert news_of(changed, the_change(order), ()) is None


def test_the_word_of_an_older_change_is_not_the_word_of_the_one_under_way() -> None:
    """The first change was answered by the call; the stream tells of it while the second is under way."""
    order = changing()
    first = after(order, the_change(order))
    second = apply(first, event(first, Kind.PENDING_UPDATE, terms=replace(first.terms, quantity_nanos=14 * ONE)))
    assert news_of(second, the_change(order), ()) is None
    assert after(second, the_change(order, 2)).terms.quantity_nanos == 14 * ONE


@pytest.mark.parametrize(("traded", "status"), [(4, S.PARTIALLY_FILLED), (5, S.FILLED), (7, S.FILLED)])
@pytest.mark.parametrize("is_found", [False, True])
def test_a_smaller_quantity_than_has_traded_meanwhile_is_what_has_traded(
    traded: int, status: S, is_found: bool
) -> None:
    """Five were wished for; what traded before the venue made the change stands, and nothing is left."""
    order = changing(quantity=5)
    order = after(order, fill_update(order.order_id, traded, traded))
    order = apply(order, event(order, Kind.PENDING_UPDATE, terms=order.wished))
    told = the_change(order)
    if is_found:
        found = replace(told.order, status=status, filled_nanos=traded * ONE, avg_price_nanos=order.avg_price_nanos)
        for fact in differences(order, found):
            order = record(order, fact)
        assert differences(order, found) == []
    else:
        order = after(order, told)
    assert (order.status, order.terms.quantity_nanos) == (status, max(5, traded) * ONE)
    assert (order.wished, order.remaining_nanos) == (None, max(5 - traded, 0) * ONE)


def test_an_end_tells_of_the_fills_that_nobody_told() -> None:
    """They are counted before it, once: told afterwards, they are known."""
    order = an_order(Kind.SUBMITTED, Kind.ACCEPTED)
    ended = venue_order(order.order_id, S.CANCELED, filled_nanos=4 * ONE, avg_price_nanos=101 * ONE)
    told = VenueUpdate(ended, Kind.CANCELED, NOW_NS)
    (missed,) = fills_behind(order, told)
    order = record(order, missed)
    assert (order.filled_nanos, order.avg_price_nanos, fills_behind(order, told)) == (4 * ONE, 101 * ONE, [])
    order = after(order, told)
    assert order.status is S.CANCELED
    assert news_of(order, fill_update(order.order_id, 4, 4), ()) is None
    assert fills_behind(changing(), the_change(changing(), 1, Kind.CANCELED)) == []


def test_a_refused_change_is_news_only_while_one_is_under_way() -> None:
    """The order stands as it was."""
    order = changing()
    refused = after(order, update(order.order_id, Kind.MODIFY_REJECTED))
    assert (refused.status, refused.terms, refused.wished) == (S.ACCEPTED, order.terms, None)
    assert news_of(refused, update(order.order_id, Kind.MODIFY_REJECTED), ()) is None


@pytest.mark.parametrize("kind", [Kind.CANCELED, Kind.EXPIRED])
def test_the_end_of_an_order_that_was_replaced_is_no_end_of_ours(kind: Kind) -> None:
    """It is told late; the end of the new one counts."""
    order = changing()
    changed = after(order, the_change(order))
    assert news_of(changed, update(order.order_id, kind), ()) is None
    assert after(changed, the_change(order, 1, kind)).status.is_closed


def test_a_late_fill_of_a_replaced_order_counts_once() -> None:
    """Three of the old one are told after the change; the new one then trades on from three."""
    order = changing()
    changed = after(order, the_change(order))
    late = fill_update(order.order_id, 3, 3, execution_id="late")
    changed = after(changed, late)
    assert (changed.filled_nanos, changed.replaced_nanos, changed.venue_order_id) == (3 * ONE, 3 * ONE, "v-2")
    assert news_of(changed, late, {"late"}) is None
    assert changed.remaining_nanos == 9 * ONE


def test_a_late_fill_that_reconciliation_vouched_for_does_not_count_again() -> None:
    """The comparison saw old and new together."""
    order = changing()
    changed = after(order, the_change(order))
    seen = venue_order(order.order_id, S.PARTIALLY_FILLED, filled_nanos=3 * ONE, avg_price_nanos=ONE, replacement=1)
    (fact,) = differences(changed, seen)
    changed = record(changed, fact)
    assert news_of(changed, fill_update(order.order_id, 3, 3), ()) is None


def test_the_new_orders_own_fills_are_counted_from_nothing() -> None:
    """Four of the old one traded; the new one tells of two of its own, and tells it once."""
    order = changing()
    order = after(order, fill_update(order.order_id, 4, 4))
    resumed = apply(order, event(order, Kind.PENDING_UPDATE, terms=order.wished))
    changed = after(resumed, the_change(order))
    assert (changed.status, changed.replaced_nanos) == (S.PARTIALLY_FILLED, 4 * ONE)
    traded = replace(the_change(order), kind=Kind.FILL, execution=execution(2, cumulative_nanos=2 * ONE))
    assert after(changed, traded).filled_nanos == 6 * ONE


def test_a_fill_of_the_new_order_tells_that_the_change_took_place() -> None:
    """Ten of twelve traded are not all of ten: the word of the change is on its way, or lost."""
    order = changing()
    traded = replace(the_change(order), kind=Kind.FILL, execution=execution(10, cumulative_nanos=10 * ONE))
    (behind,) = changes_behind(order, traded)
    changed = after(record(order, behind), traded)
    assert (changed.status, changed.remaining_nanos) == (S.PARTIALLY_FILLED, 2 * ONE)
    assert changes_behind(changed, traded) == []
    assert changes_behind(order, the_change(order)) == []
    assert changes_behind(order, fill_update(order.order_id, 1, 1)) == []
    interrupted = replace(order, status=S.ACCEPTED)
    assert [fact.kind for fact in changes_behind(interrupted, traded)] == ["PENDING_UPDATE", "UPDATED"]


def test_a_lost_answer_to_a_change_is_found_either_way() -> None:
    """The venue works the new order, or still the old one."""
    order = changing()
    (made,) = differences(order, the_change(order).order)
    assert (made.kind, record(order, made).terms.quantity_nanos) == (Kind.UPDATED, 12 * ONE)
    assert differences(order, venue_order(order.order_id)) == []
    refusal = unheeded(order, venue_order(order.order_id), NOW_NS)
    assert refusal is not None
    assert record(order, refusal).terms == order.terms


def test_a_venue_that_is_about_to_change_an_order_has_not_refused() -> None:
    """It says so."""
    assert unheeded(changing(), venue_order(None, S.PENDING_UPDATE), NOW_NS) is None


@pytest.mark.parametrize("number", [0, 1])
def test_a_change_that_a_crash_cut_off_behind_a_fill_goes_on(number: int) -> None:
    """The log ends with the fill that interrupted it: it is under way again, and over where the venue has made it."""
    order = changing()
    order = after(order, fill_update(order.order_id, 1, 1))
    assert (order.status, order.wished is not None) == (S.PARTIALLY_FILLED, True)
    found = replace(the_change(order, number).order, filled_nanos=ONE, avg_price_nanos=100 * ONE)
    for fact in differences(order, found):
        order = record(order, fact)
    assert (order.status, order.replacements) == ((S.PARTIALLY_FILLED, 1) if number else (S.PENDING_UPDATE, 0))
    assert differences(order, found) == []


def test_a_change_behind_a_pending_cancel_is_settled_after_it() -> None:
    """The cancel went to the order that is gone: it is refused, and then the change comes in."""
    order = changing()
    order = apply(order, event(order, Kind.PENDING_CANCEL))
    found = the_change(order).order
    assert differences(order, found) == []
    refusal = unheeded(order, found, NOW_NS)
    assert refusal is not None
    order = record(order, refusal)
    for fact in differences(order, found):
        order = record(order, fact)
    assert (order.status, order.replacements, order.wished) == (S.ACCEPTED, 1, None)


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


@given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(1, 10**12)), min_size=1, max_size=5))
def test_replacements_are_seen_as_one_order(parts: list[tuple[int, int]]) -> None:
    """All their fills at their exact average, where the newest stands."""
    seen = [
        venue_order(None, filled_nanos=filled, avg_price_nanos=price, replacement=number)
        for number, (filled, price) in enumerate(parts)
    ]
    whole = whole_view(seen)
    assert whole is not None
    assert (whole.filled_nanos, whole.replacement) == (sum(filled for filled, _ in parts), len(parts) - 1)
    value = sum(filled * price for filled, price in parts)
    assert abs(whole.avg_price_nanos * whole.filled_nanos - value) <= whole.filled_nanos // 2 + 1


def test_nothing_seen_is_no_order() -> None:
    """Not one of nothing."""
    assert whole_view([]) is None


def _possible(found: VenueOrder, filled: int) -> VenueOrder:
    """A venue's order whose quantity fits its state."""
    if found.status is S.FILLED:
        filled = 10
    elif found.status in (S.ACCEPTED, S.REJECTED):
        filled = 0
    return replace(found, filled_nanos=min(filled, 9 if found.status is not S.FILLED else 10) * ONE)
