"""What Alpaca's answers prove, and what they do not."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import sentinel

import pytest
from builders.orders import terms

from services.execution.adapters.alpaca_broker import AlpacaBroker
from services.execution.adapters.venue_http import VenueHttp
from services.execution.domain.order import Order
from services.execution.ports.venue import VenueRefused
from trading.errors import Unavailable
from trading.ids import OrderId, VenueOrderId
from trading.order import OrderStatus

OURS = OrderId("01a2059b-3789-75da-981c-246d9030a35a")
ORDER: dict[str, Any] = {
    "id": "v-1",
    "client_order_id": OURS.replace("-", ""),
    "status": "new",
    "filled_qty": "0",
    "submitted_at": "2026-02-03T15:04:05Z",
}
REFUSAL = {"code": 40310000, "message": "insufficient buying power"}


@asynccontextmanager
async def alpaca(*answers: tuple[int, Any]) -> AsyncIterator[tuple[AlpacaBroker, list[str]]]:
    """A broker whose venue gives these answers in turn, and the request lines that the venue saw."""
    waiting, seen = list(answers), list[str]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().partition("content-length: ")[2].split("\r\n")[0] or 0)
        await reader.readexactly(length)
        seen.append(head.split(" HTTP")[0])
        status, body = waiting.pop(0)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        writer.write(b"HTTP/1.1 %d X\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % (status, len(data)) + data)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with VenueHttp(f"http://127.0.0.1:{port}", headers={}, timeout_s=2) as client:
        yield AlpacaBroker(client, sentinel.stream), seen
    server.close()


@pytest.mark.parametrize("status", [400, 401, 403, 422, 429])
async def test_a_structured_refusal_is_proof(status: int) -> None:
    """The order was not taken, in the venue's words."""
    async with alpaca((status, REFUSAL)) as (broker, _):
        with pytest.raises(VenueRefused) as refusal:
            await broker.submit(terms())
        assert refusal.value.message == "insufficient buying power"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, REFUSAL),
        (502, b"<html>bad gateway</html>"),
        (503, {}),
        (504, REFUSAL),
        (408, REFUSAL),
        (403, b"<html>some proxy</html>"),
        (422, {"odd": 1}),
        (422, []),
        (301, b""),
        (200, b"not json"),
        (200, {"id": "v-1"}),
        (200, {**ORDER, "status": "unheard_of"}),
    ],
)
async def test_everything_else_proves_nothing(status: int, body: Any) -> None:
    """The outcome is unknown; the order is to be asked for."""
    async with alpaca((status, body)) as (broker, _):
        with pytest.raises(Unavailable):
            await broker.submit(terms())


async def test_an_accepted_order_is_read() -> None:
    """From the answer itself."""
    async with alpaca((200, ORDER)) as (broker, seen):
        found = await broker.submit(terms(order_id=OURS))
        assert (found.order_id, found.status) == (OURS, OrderStatus.ACCEPTED)
        assert seen == ["POST /v2/orders"]


async def test_an_order_is_asked_for_by_our_id() -> None:
    """Not found is a proof; anything else but an answer is silence."""
    async with alpaca((200, ORDER), (404, {"message": "order not found"}), (500, {})) as (broker, seen):
        assert (await broker.find(Order(terms(order_id=OURS)))) is not None
        assert (await broker.find(Order(terms(order_id=OURS)))) is None
        with pytest.raises(Unavailable):
            await broker.find(Order(terms(order_id=OURS)))
        assert seen[0] == "GET /v2/orders:by_client_order_id?client_order_id=01a2059b378975da981c246d9030a35a"


async def test_a_strangers_order_is_asked_for_by_the_venues_id() -> None:
    """It has no id of ours, and not finding one would end it in our book."""
    async with alpaca((200, ORDER), (404, {"message": "order not found"})) as (broker, seen):
        adopted = Order(terms(external=True), venue_order_id=VenueOrderId("v-1"))
        assert (await broker.find(adopted)) is not None
        assert (await broker.find(adopted)) is None
        assert seen == ["GET /v2/orders/v-1"] * 2


async def test_a_cancel_is_a_delete() -> None:
    """204 is a promise, 422 a refusal."""
    async with alpaca((204, b""), (422, {"message": "filled"})) as (broker, seen):
        await broker.cancel(Order(terms(), venue_order_id=VenueOrderId("v-1")))
        with pytest.raises(VenueRefused):
            await broker.cancel(Order(terms(), venue_order_id=VenueOrderId("v-1")))
        assert seen[0] == "DELETE /v2/orders/v-1"


async def test_many_orders_come_page_by_page() -> None:
    """Five hundred and one."""
    page = [{**ORDER, "id": f"v-{number}"} for number in range(500)]
    last = [{**ORDER, "id": "v-last", "submitted_at": "2026-02-03T16:00:00Z"}]
    async with alpaca((200, page), (200, last)) as (broker, seen):
        found = await broker.orders_since(0, ())
        assert len(found) == 501
        assert "status=all" in seen[0]
        assert "after=2026-02-03T15%3A04%3A05Z" in seen[1]


@pytest.mark.parametrize("answer", [(500, {}), (200, b"no json"), (200, {})])
async def test_an_account_that_cannot_be_read_is_silence(answer: tuple[int, Any]) -> None:
    """The older word stands."""
    async with alpaca(answer) as (broker, _):
        with pytest.raises(Unavailable):
            await broker.account()
