"""What every order log must do: SQLite, Postgres, and the fake that the unit tests trust."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from builders.order_log import a_database
from builders.orders import MAIN, an_order, event, execution, life, terms
from fakes.order_stores import FakeOrderStore

from services.execution.adapters.sql_orders import open_order_log
from services.execution.domain.chain import verify
from services.execution.domain.order import INITIALIZED, Denial, Order, OrderEvent, apply, fold
from services.execution.domain.submission import Timings
from services.execution.ports.log import AnotherWriter, Append, Entry, OrderQuery, OrderStore, OutboxRow
from trading.ids import AccountId, ClientOrderId, OrderId, VenueOrderId
from trading.money import ONE
from trading.order import Liquidity, OrderRole, OrderStatus, OrderType, Side, TimeInForce
from trading.order import OrderEventKind as Kind


@pytest.fixture
async def store(kept_in: str | None, tmp_path: Path) -> AsyncIterator[OrderStore]:
    if kept_in is None:
        yield FakeOrderStore()
        return
    async with a_database(kept_in, tmp_path) as database, open_order_log(database) as log:
        yield log


def entries(events: list[OrderEvent], first: int = 1) -> list[Entry]:
    """Events at their places in the log; all but creations are to be told."""
    order: Order | None = None
    found = []
    for place, each in enumerate(events, first):
        order = apply(order, each)
        row = OutboxRow(place, each.event_id, each.kind, order.account, b"payload", each.receive_time_ns, "trace")
        found.append(Entry(place, each, order, None if each.kind == INITIALIZED else row))
    return found


async def written(store: OrderStore, *kinds: Kind, first: int = 1, **changes: object) -> list[Entry]:
    """A life of an order, in the store."""
    found = entries(life(*kinds, **changes), first)
    await store.append(Append(found))
    return found


async def test_an_empty_log_has_nothing(store: OrderStore) -> None:
    """And says so everywhere."""
    assert await store.head() == 0
    assert await store.event_id_at(1) is None
    assert list(await store.get([OrderId("x")])) == []
    assert dict(await store.execution_ids([OrderId("x")])) == {}
    assert await store.get_by_client_id(MAIN, ClientOrderId("x")) is None
    assert list(await store.open_orders()) == []
    assert list(await store.list(OrderQuery(10))) == []
    assert list(await store.outbox(0, 10)) == []
    assert dict(await store.count_by_status()) == {}
    assert [key async for key in store.client_ids()] == []


async def test_events_come_back_as_they_were_written(store: OrderStore) -> None:
    """In their order, with their places, their chain whole, folding to the order."""
    found = await written(store, Kind.SUBMITTED, Kind.ACCEPTED, Kind.FILL)
    order = found[-1].order
    logged = await store.events(order.order_id)
    assert [(each.log_sequence, each.event) for each in logged] == [(e.log_sequence, e.event) for e in found]
    verify([each.event for each in logged])
    assert fold([each.event for each in logged]) == order
    assert await store.head() == 4
    assert await store.event_id_at(3) == found[2].event.event_id


async def test_an_order_is_found_by_both_its_ids(store: OrderStore) -> None:
    """As it stands after its last event."""
    order = (await written(store, Kind.SUBMITTED, client_order_id=ClientOrderId("mine")))[-1].order
    (by_id,) = await store.get([order.order_id, OrderId("x")])
    assert by_id == await store.get_by_client_id(MAIN, ClientOrderId("mine"))
    assert by_id.order == order
    assert await store.get_by_client_id(AccountId("other"), ClientOrderId("mine")) is None
    assert [key async for key in store.client_ids()] == [(MAIN, "mine")]


async def test_a_later_event_moves_the_order(store: OrderStore) -> None:
    """One row for each order, however many transactions."""
    order = (await written(store, Kind.SUBMITTED))[-1].order
    denied = event(order, Kind.REJECTED, reason="no")
    after = apply(order, denied)
    await store.append(Append([Entry(3, denied, after, None)]))
    (found,) = await store.get([order.order_id])
    assert found.order == after
    assert dict(await store.count_by_status()) == {OrderStatus.REJECTED: 1}
    assert list(await store.open_orders()) == []


async def test_a_denial_keeps_its_numbers(store: OrderStore) -> None:
    """Through the store and back."""
    creation = life()
    order = fold(creation)
    denied = event(order, Kind.DENIED, denial=Denial("X", "no", {"limit": "1"}), reason="no")
    await store.append(Append(entries([*creation, denied])))
    (found,) = await store.get([order.order_id])
    assert found.order.denial == Denial("X", "no", {"limit": "1"})


async def test_sums_beyond_64_bits_survive(store: OrderStore) -> None:
    """Σ price × quantity has eighteen decimals."""
    events = life(Kind.SUBMITTED, quantity_nanos=9 * 10**18)
    trade = execution(price_nanos=9 * 10**18, quantity_nanos=9 * 10**18)
    order = fold(events)
    await store.append(Append(entries([*events, event(order, Kind.FILL, execution=trade)])))
    (found,) = await store.get([order.order_id])
    assert found.order.filled_value == 81 * 10**36


async def test_fills_are_read_in_the_order_of_the_log(store: OrderStore) -> None:
    """Page by page, by account, each with its order's symbol and side."""
    first = await written(store, Kind.SUBMITTED, Kind.FILL, Kind.FILL, side=Side.SELL)
    await written(store, Kind.SUBMITTED, Kind.FILL, first=5, account=AccountId("other"))
    assert [fill.log_sequence for fill in await store.fills(0, 10)] == [3, 4, 7]
    assert [fill.log_sequence for fill in await store.fills(3, 1)] == [4]
    assert [fill.log_sequence for fill in await store.fills(0, 10, "other")] == [7]
    fill = (await store.fills(0, 1))[0]
    assert (fill.side, fill.symbol, fill.currency, fill.account) == (Side.SELL, "AAPL", "USD", MAIN)
    assert fill.execution == first[2].event.execution
    order_id = first[0].order.order_id
    traded = {e.event.execution.execution_id for e in first if e.event.execution}
    assert dict(await store.execution_ids([order_id, OrderId("x")])) == {order_id: traded}


async def test_orders_are_listed_newest_first_and_filtered(store: OrderStore) -> None:
    """By account, symbol, state, and from a cursor on."""
    old = (await written(store, Kind.SUBMITTED))[-1].order
    new = (await written(store, Kind.SUBMITTED, Kind.CANCELED, first=3, symbol="TSLA"))[-1].order
    other = (await written(store, Kind.SUBMITTED, first=6, account=AccountId("other")))[-1].order

    async def listed(**query: object) -> list[OrderId]:
        return [stored.order.order_id for stored in await store.list(OrderQuery(10, **query))]  # type: ignore[arg-type]

    assert await listed() == [other.order_id, new.order_id, old.order_id]
    assert await listed(account="main") == [new.order_id, old.order_id]
    assert await listed(symbol="TSLA") == [new.order_id]
    assert await listed(statuses=frozenset({OrderStatus.SUBMITTED})) == [other.order_id, old.order_id]
    assert await listed(before=new.order_id) == [old.order_id]
    assert len(await store.list(OrderQuery(2))) == 2
    assert {stored.order.order_id for stored in await store.open_orders()} == {old.order_id, other.order_id}


async def test_the_outbox_holds_what_is_to_be_told_until_it_was(store: OrderStore) -> None:
    """Creations are not in it."""
    found = await written(store, Kind.SUBMITTED, Kind.ACCEPTED)
    assert list(await store.outbox(0, 10)) == [e.outbox for e in found if e.outbox]
    assert [row.log_sequence for row in await store.outbox(2, 10)] == [3]
    assert await store.outbox_depth() == 2
    await store.append(Append(published_through=2))
    assert [row.log_sequence for row in await store.outbox(0, 10)] == [3]


async def test_what_was_told_leaves_along_with_new_events(store: OrderStore) -> None:
    """In one transaction."""
    await written(store, Kind.SUBMITTED)
    await store.append(Append(entries(life(Kind.SUBMITTED), 3), published_through=2))
    assert [row.log_sequence for row in await store.outbox(0, 10)] == [4]


async def test_timings_come_with_events_or_after_them(store: OrderStore) -> None:
    """And stay when the order moves on."""
    found = entries(life(Kind.SUBMITTED))
    order = found[-1].order
    await store.append(Append(found, timings={order.order_id: Timings(3, 2, 1)}))
    (stored,) = await store.get([order.order_id])
    assert stored.timings == Timings(3, 2, 1)
    await store.append(Append(timings={order.order_id: Timings(30, 2, 10)}))
    accepted = event(order, Kind.ACCEPTED)
    await store.append(Append([Entry(3, accepted, apply(order, accepted), None)]))
    (stored,) = await store.get([order.order_id])
    assert stored.timings == Timings(30, 2, 10)


async def test_the_stops_of_held_orders_are_kept(store: OrderStore) -> None:
    """The newest of each; an order that is held no more has none."""
    found = entries(life(Kind.EMULATED))
    order = found[-1].order
    await store.append(Append(found, stops={order.order_id: 90 * ONE}))
    await store.append(Append(stops={order.order_id: 95 * ONE}))
    assert dict(await store.stops()) == {order.order_id: 95 * ONE}
    released = event(order, Kind.RELEASED)
    await store.append(Append([Entry(3, released, apply(order, released), None)]))
    assert dict(await store.stops()) == {}


async def test_a_second_writer_collides(store: OrderStore) -> None:
    """Two events never share a place in the log, and the loser writes nothing."""
    await written(store, Kind.SUBMITTED)
    rival = entries(life(Kind.SUBMITTED), 2)
    with pytest.raises(AnotherWriter):
        await store.append(Append(rival))
    assert list(await store.get([rival[0].order.order_id])) == []


async def test_an_order_under_change_is_found_as_it_stands(store: OrderStore) -> None:
    """What is wished for, what was replaced, and what has traded on which of them."""
    events = life(Kind.SUBMITTED, Kind.ACCEPTED, Kind.FILL)
    order = fold(events)
    for kind in (Kind.PENDING_UPDATE, Kind.UPDATED, Kind.PENDING_UPDATE):
        wished = replace(order.terms, quantity_nanos=order.terms.quantity_nanos + ONE)
        name = VenueOrderId("v-2") if kind is Kind.UPDATED else None
        events.append(event(order, kind, terms=wished, venue_order_id=name))
        order = apply(order, events[-1])
    await store.append(Append(entries(events)))
    (found,) = await store.get([order.order_id])
    assert found.order == order
    assert (found.order.replacements, found.order.replaced_nanos, found.order.wished is not None) == (1, ONE, True)
    assert fold([logged.event for logged in await store.events(order.order_id)]) == order
    verify([logged.event for logged in await store.events(order.order_id)])


async def test_every_term_of_an_order_survives(store: OrderStore) -> None:
    """A held leg of a bracket with everything that an order can ask for."""
    asked = terms(
        order_type=OrderType.TRAILING_STOP,
        time_in_force=TimeInForce.GTD,
        price_nanos=1,
        stop_price_nanos=2,
        client_timestamp_ns=3,
        expire_time_ns=4,
        trail_nanos=5,
        trail_bps=6,
        reduce_only=True,
        post_only=True,
        take_profit_nanos=7,
        stop_loss_nanos=8,
        parent_order_id=OrderId("parent"),
        role=OrderRole.STOP_LOSS,
        external=True,
        arrival_price_nanos=9,
        venue_symbol="AAPL.X",
    )
    events = life(Kind.EMULATED, Kind.RELEASED, of=asked)
    await store.append(Append(entries(events)))
    (found,) = await store.open_orders()
    assert (found.order, found.order.released) == (fold(events), True)
    assert fold([logged.event for logged in await store.events(asked.order_id)]).terms == asked


@pytest.mark.parametrize("liquidity", [None, *Liquidity])
async def test_a_trade_keeps_its_market_and_its_side(store: OrderStore, liquidity: Liquidity | None) -> None:
    """The middle of the market then, who made the price, and the fee."""
    events = life(Kind.SUBMITTED)
    trade = execution(mid_nanos=101 * ONE, liquidity=liquidity, fee_nanos=-7, cumulative_nanos=ONE)
    await store.append(Append(entries([*events, event(fold(events), Kind.FILL, execution=trade)])))
    (fill,) = await store.fills(0, 10)
    assert fill.execution == trade


def test_builders_make_lives_of_one_order() -> None:
    """What the tests above stand on."""
    asked = terms()
    assert an_order(Kind.SUBMITTED, quantity_nanos=ONE).terms.quantity_nanos == ONE
    assert {each.order_id for each in life(Kind.SUBMITTED, of=asked)} == {asked.order_id}
