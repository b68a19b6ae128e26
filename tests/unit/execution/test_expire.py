"""Orders whose time has run out."""

from dataclasses import replace
from typing import Any

import pytest
from builders.execution import PATIENCE_S, RHYTHM, Desk, a_desk, after_crash, at_work, until
from builders.orders import LIMIT
from fakes.orders import FakeBroker

from services.execution.ports.venue import VenueRefused
from trading.clock import DAY_NS, SECOND_NS
from trading.errors import InvalidArgument, Unavailable
from trading.money import ONE
from trading.order import OrderEventKind, OrderStatus, OrderType, TimeInForce

NEVER = replace(RHYTHM, in_flight_every_s=3600.0)
STOP: dict[str, Any] = {"order_type": OrderType.STOP, "stop_price_nanos": 105 * ONE}
SOON_NS = SECOND_NS // 20


def until_soon(desk: Desk, after_ns: int = SOON_NS) -> dict[str, Any]:
    """Good till a moment from now."""
    return {"time_in_force": TimeInForce.GTD, "expire_time_ns": desk.clock.now_ns() + after_ns}


async def test_an_order_at_the_venue_is_canceled_there_when_its_time_is_over() -> None:
    """And not before."""
    async with a_desk(rhythm=NEVER) as desk:
        live = desk.live((await desk.sent(**LIMIT, **until_soon(desk))).order.order_id)
        end_ns = live.order.terms.expire_time_ns
        assert live.order.status is OrderStatus.ACCEPTED
        assert await live.until(lambda order: order.status is OrderStatus.CANCELED, PATIENCE_S)
        assert end_ns is not None
        assert desk.clock.now_ns() >= end_ns
        assert len(desk.broker.canceled) == 1


async def test_a_held_order_expires_without_the_venue() -> None:
    """It never heard of it."""
    async with a_desk(broker=FakeBroker(unworked=frozenset({OrderType.STOP})), rhythm=NEVER) as desk:
        live = desk.live((await desk.sent(**STOP, **until_soon(desk))).order.order_id)
        assert await live.until(lambda order: order.status is OrderStatus.EXPIRED, PATIENCE_S)
        desk.quote(105, 106)
        await desk.background.drain(PATIENCE_S)
        assert (live.order.status, desk.broker.submitted) == (OrderStatus.EXPIRED, [])


@pytest.mark.parametrize("answer", [VenueRefused("not now"), Unavailable("timeout")])
async def test_an_end_that_the_venue_did_not_take_is_asked_for_again(answer: Exception) -> None:
    """Until it has."""
    async with a_desk() as desk:
        desk.broker.cancel_answer = answer
        live = desk.live((await desk.sent(**LIMIT, **until_soon(desk))).order.order_id)
        await until(lambda: [e.event.kind for e in desk.store.entries].count(OrderEventKind.CANCEL_REJECTED) > 1)
        desk.broker.cancel_answer = None
        assert await live.until(lambda order: order.status is OrderStatus.CANCELED, PATIENCE_S)


async def test_an_order_whose_time_ran_out_while_we_were_down_ends_at_the_start() -> None:
    """At the venue it was good till canceled."""
    async with a_desk(rhythm=NEVER) as desk:
        live = desk.live((await desk.sent(**LIMIT, **until_soon(desk, SECOND_NS))).order.order_id)
        await desk.journal.flush()
        order_id, end_ns = live.order.order_id, live.order.terms.expire_time_ns
    async with at_work(after_crash(desk, NEVER)) as reborn:
        await until(lambda: reborn.live(order_id).order.status is OrderStatus.CANCELED, 3)
        assert end_ns is not None
        assert reborn.clock.now_ns() >= end_ns


async def test_an_order_without_an_end_stays() -> None:
    """DAY in shares is the venue's to end."""
    async with a_desk(rhythm=NEVER) as desk:
        live = desk.live((await desk.sent(**LIMIT)).order.order_id)
        assert live.order.terms.expire_time_ns is None


async def test_a_day_of_what_never_closes_ends_at_midnight() -> None:
    """UTC; good-till-canceled does not end, and what does not wait needs no end."""
    async with a_desk(rhythm=NEVER) as desk:
        desk.quote(99, 101, "BTC-USDT")
        day = (await desk.sent(symbol="BTC-USDT", **LIMIT)).order.terms
        forever = (await desk.sent(symbol="BTC-USDT", **LIMIT, time_in_force=TimeInForce.GTC)).order.terms
        market = (await desk.sent(symbol="BTC-USDT")).order.terms
        assert day.expire_time_ns is not None
        assert day.expire_time_ns % DAY_NS == 0
        assert 0 < day.expire_time_ns - desk.clock.now_ns() <= DAY_NS
        assert (forever.expire_time_ns, market.expire_time_ns) == (None, None)


async def test_an_end_that_is_over_already_is_refused() -> None:
    """Such an order could trade before anybody ends it; the same submit again finds its order all the same."""
    async with a_desk(rhythm=NEVER) as desk:
        with pytest.raises(InvalidArgument) as refusal:
            await desk.sent(**LIMIT, time_in_force=TimeInForce.GTD, expire_time_ns=desk.clock.now_ns() - 1)
        assert refusal.value.metadata["field"] == "expire_time_ns"
        asked = {**LIMIT, **until_soon(desk), "client_order_id": "mine"}
        live = desk.live((await desk.sent(**asked)).order.order_id)
        assert await live.until(lambda order: order.status is OrderStatus.CANCELED, PATIENCE_S)
        assert (await desk.sent(**asked)).duplicate
