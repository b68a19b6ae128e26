"""What is left after a service was killed: read from its log, from the venue's books and from JetStream."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from unittest.mock import sentinel

from builders.execution_process import ExecutionProcess
from builders.live_venue import LiveVenue
from simulation.invariants import Evidence, violations

from fleet import subjects
from fleet.bus import Bus, Message
from fleet.database import open_database
from neuraltrader.execution.v1 import execution_pb2 as pb
from neuraltrader.execution.v1 import execution_service_pb2 as rpc
from services.execution.adapters.alpaca_broker import AlpacaBroker
from services.execution.adapters.sql_orders import SqlOrders
from services.execution.adapters.venue_http import VenueHttp
from services.execution.domain.order import INITIALIZED, OrderEvent
from services.execution.domain.venue import VenueOrder
from services.execution.ports.log import OrderQuery
from trading.clock import SystemClock
from trading.ids import OrderId, new_id

CONVERGED_S = 5.0
"""How long after it takes orders again a service may be apart from the venue."""


class Scene:
    """A service that is killed, and everything that can be known of its orders from outside."""

    def __init__(self, service: ExecutionProcess, venue: LiveVenue, bus: Bus, directory: Path, log_url: str) -> None:
        self.service = service
        self.venue = venue
        self.acknowledged: dict[str, OrderId] = {}
        self.heard: Counter[str] = Counter()
        self._bus = bus
        self._directory = directory
        self._log_url = log_url

    def acknowledge(self, order: pb.Order) -> None:
        """A caller was told that its order was taken."""
        before = self.acknowledged.setdefault(order.client_order_id, OrderId(order.order_id))
        assert before == order.order_id, f"{order.client_order_id} was acknowledged twice"

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Count what JetStream tells of orders meanwhile."""

        async def count(messages: list[Message]) -> None:
            self.heard.update(message.headers["Nats-Msg-Id"] for message in messages)

        durable = f"crash-{new_id()}"
        listener = asyncio.create_task(self._bus.consume(subjects.ORDER_STREAM, durable, subjects.ORDERS_ALL, count))
        try:
            yield
        finally:
            listener.cancel()
            await asyncio.wait([listener])

    async def check(self) -> float:
        """Expect every promise to be kept within CONVERGED_S; returns the seconds that it took."""
        clock = SystemClock()
        started_ns = clock.monotonic_ns()
        while True:
            broken = violations(await self.evidence())
            taken_s = (clock.monotonic_ns() - started_ns) / 1e9
            if not broken:
                return taken_s
            assert taken_s < CONVERGED_S, broken
            await asyncio.sleep(0.05)

    async def last_word(self, order_id: str) -> str | None:
        """The last event of an order that the log has; None when it has none."""
        events, _ = await self._log()
        return next((event.kind for event in reversed(events) if event.order_id == order_id), None)

    async def evidence(self) -> Evidence:
        """Everything as it is now."""
        venue_orders, held_at_venue = await self._books()
        events, outbox = await self._log()
        told = {event.event_id for event in events if event.kind != INITIALIZED}
        twice = [f"I5 {name} was published {count} times" for name, count in self.heard.items() if count > 1]
        return Evidence(
            acknowledged=self.acknowledged,
            events=events,
            venue_orders=venue_orders,
            held=await self._positions(),
            held_at_venue=held_at_venue,
            outbox=outbox,
            published=told & self.heard.keys(),
            surprises=twice,
        )

    async def _books(self) -> tuple[list[VenueOrder], Mapping[str, int]]:
        headers = self.venue.key.headers()
        async with VenueHttp(self.venue.addresses["rest"], headers=headers, timeout_s=10) as client:
            broker = AlpacaBroker(client, sentinel.stream)
            positions = {each.symbol: each.quantity_nanos for each in await broker.positions() if each.quantity_nanos}
            return list(await broker.orders_since(0, ())), positions

    async def _log(self) -> tuple[list[OrderEvent], int]:
        options = {"service": "execution", "data_dir": self._directory, "migrations": "services.execution.migrations"}
        async with open_database(self._log_url, **options) as database:
            store = SqlOrders(database, sentinel.appender)
            orders = await store.list(OrderQuery(10**6))
            lives = [await store.events(stored.order.order_id) for stored in orders]
            logged = sorted((each for life in lives for each in life), key=lambda each: each.log_sequence)
            return [each.event for each in logged], await store.outbox_depth()

    async def _positions(self) -> Mapping[str, int]:
        """What the service says that it has traded, summed."""
        held: Counter[str] = Counter()
        async with self.service.stub() as stub:
            after = 0
            while True:
                page = await stub.ListFills(rpc.ListFillsRequest(after_log_sequence=after, page_size=10_000))
                for fill in page.fills:
                    held[fill.symbol] += fill.quantity_nanos if fill.side == pb.SIDE_BUY else -fill.quantity_nanos
                if not page.has_more:
                    return {symbol: quantity for symbol, quantity in held.items() if quantity}
                after = page.fills[-1].log_sequence
