"""Looking things up."""

from dataclasses import replace

import pytest
from builders.execution import PATIENCE_S, RHYTHM, a_desk

from trading.errors import InvalidArgument, NotFound, UnknownOrder, UnknownSymbol
from trading.ids import OrderId
from trading.money import ONE
from trading.order import OrderEventKind, OrderStatus

EVERYTHING = {"account": "", "symbol": "", "statuses": frozenset[OrderStatus](), "page_size": 0, "cursor": ""}


async def test_an_order_is_found_by_its_id_and_by_the_callers() -> None:
    """The same one."""
    async with a_desk() as desk:
        order = (await desk.sent(client_order_id="mine")).order
        assert (await desk.look_up.order(order.order_id)).order == order
        assert (await desk.look_up.order_by_client_id("", "mine")).order == order


async def test_what_is_not_there_is_not_found() -> None:
    """An order, an account, a symbol."""
    async with a_desk() as desk:
        with pytest.raises(UnknownOrder):
            await desk.look_up.order(OrderId("x"))
        with pytest.raises(UnknownOrder):
            await desk.look_up.order_by_client_id("", "x")
        with pytest.raises(NotFound):
            await desk.look_up.order_by_client_id("nobody", "x")
        with pytest.raises(UnknownSymbol):
            await desk.look_up.orders(**{**EVERYTHING, "symbol": "NOPE"})  # type: ignore[arg-type]


async def test_pages_follow_one_another() -> None:
    """Newest first, none twice, none left out."""
    async with a_desk() as desk:
        ids = [(await desk.sent()).order.order_id for _ in range(5)]
        seen: list[OrderId] = []
        cursor = ""
        for size in (2, 2, 1):
            page = await desk.look_up.orders(**{**EVERYTHING, "page_size": 2, "cursor": cursor})  # type: ignore[arg-type]
            assert len(page.orders) == size
            seen += [stored.order.order_id for stored in page.orders]
            cursor = page.next_cursor
        assert (seen, cursor) == (ids[::-1], "")


@pytest.mark.parametrize(
    "cursor", ["bad", "0", "01A2059B-3789-75DA-981C-246D9030A35A", "01a2059b378975da981c246d9030a35a"]
)
async def test_a_page_begins_behind_an_order_only(cursor: str) -> None:
    """Any other word would begin anywhere."""
    async with a_desk() as desk:
        with pytest.raises(InvalidArgument) as refusal:
            await desk.look_up.orders(**{**EVERYTHING, "cursor": cursor})  # type: ignore[arg-type]
        assert refusal.value.metadata["field"] == "cursor"


@pytest.mark.parametrize("size", [-1, 1_001])
async def test_a_page_has_a_size(size: int) -> None:
    """Not negative, not endless."""
    async with a_desk() as desk:
        with pytest.raises(InvalidArgument):
            await desk.look_up.orders(**{**EVERYTHING, "page_size": size})  # type: ignore[arg-type]


async def test_the_life_of_an_order_shows_it_after_every_event() -> None:
    """From creation on."""
    async with a_desk() as desk:
        order_id = (await desk.sent()).order.order_id
        desk.broker.fill(order_id, 4)
        live = await desk.orders.need(order_id)
        await live.until(lambda order: order.filled_nanos > 0, PATIENCE_S)
        life = await desk.look_up.life(order_id)
        assert [logged.event.kind for logged, _ in life] == ["INITIALIZED", "SUBMITTED", "ACCEPTED", "FILL"]
        assert [after.status for _, after in life] == ["INITIALIZED", "SUBMITTED", "ACCEPTED", "PARTIALLY_FILLED"]


async def test_fills_page_by_their_place_in_the_log() -> None:
    """And say when there are more."""
    async with a_desk(rhythm=replace(RHYTHM, in_flight_every_s=60.0)) as desk:
        order_id = (await desk.sent()).order.order_id
        live = await desk.orders.need(order_id)
        for _ in range(3):
            desk.broker.fill(order_id, 2)
        await live.until(lambda order: order.filled_nanos == 6 * ONE, PATIENCE_S)
        await desk.journal.flush()
        page = await desk.look_up.fills("", 0, 2)
        assert (len(page.fills), page.has_more) == (2, True)
        rest = await desk.look_up.fills("main", page.fills[-1].log_sequence, 2)
        assert (len(rest.fills), rest.has_more) == (1, False)


async def test_fills_are_asked_for_sensibly() -> None:
    """A place in the log is not negative, an account exists."""
    async with a_desk() as desk:
        with pytest.raises(InvalidArgument):
            await desk.look_up.fills("", -1, 0)
        with pytest.raises(NotFound):
            await desk.look_up.fills("nobody", 0, 0)


async def test_the_counters_count() -> None:
    """Orders by where they stand, fills, and how full the queues are."""
    async with a_desk() as desk:
        first = (await desk.sent()).order.order_id
        await desk.sent()
        desk.broker.end(first, OrderEventKind.CANCELED)
        live = await desk.orders.need(first)
        await live.until(lambda order: order.status.is_closed, PATIENCE_S)
        stats = desk.look_up.stats()
        assert stats.orders_by_status == {OrderStatus.ACCEPTED: 1, OrderStatus.CANCELED: 1}
        assert stats.tally.orders == 2
        assert stats.uptime_s > 0
        assert 0 <= stats.buffer_utilization < 1
        assert stats.tally.submit.summary().count == 2
