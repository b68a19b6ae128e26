"""Those who trade in a simulated world: they submit until they are answered, ask again, cancel and change."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

from builders.orders import request
from simulation.virtual_time import EPOCH_NS
from simulation.weather import STORM_S

from services.execution.domain.change import Change
from services.execution.domain.request import OrderRequest
from services.execution.domain.submission import Origin, Patience, Submitted, Wait
from trading.clock import SECOND_NS
from trading.errors import InvalidArgument, ResourceExhausted, TradingError, Unavailable
from trading.ids import OrderId
from trading.money import ONE
from trading.order import OrderType, Side, TimeInForce

if TYPE_CHECKING:
    from simulation.world import World

    from services.execution.usecases.desk import Desk

_CALLS_S = 20.0
"""Callers begin within this time."""


class NotReached(Exception):
    """The service was down, or died before it answered."""


def requests(seed: int) -> Iterator[tuple[str, OrderRequest, random.Random]]:
    """Who calls in the world of a seed: a name, what it wants, and the chance it plays with."""
    chance = random.Random(f"callers {seed}")
    for number in range(chance.randint(4, 12)):
        name = f"caller-{number}"
        yield name, _request(name, chance), random.Random(f"{name} {seed}")


def _request(name: str, chance: random.Random) -> OrderRequest:
    side = chance.choice((Side.BUY, Side.BUY, Side.SELL))
    wanted = chance.choice((_plain, _plain, _plain, _bracket, _bracket, _stop, _until))(side, chance)
    return request(client_order_id=name, side=side, quantity_nanos=chance.randint(1, 20) * ONE, **wanted)


def _plain(side: Side, chance: random.Random) -> dict[str, Any]:
    order_type = chance.choice((OrderType.MARKET, OrderType.LIMIT))
    return {
        "order_type": order_type,
        "time_in_force": chance.choice((TimeInForce.DAY, TimeInForce.GTC)),
        "price_nanos": 100 * ONE if order_type is OrderType.LIMIT else None,
    }


def _bracket(side: Side, chance: random.Random) -> dict[str, Any]:
    """Its legs are near enough that the market reaches one now and then."""
    profit, loss = (side.sign * chance.randint(2, 6) for _ in range(2))
    legs = {"take_profit_nanos": (100 + profit) * ONE, "stop_loss_nanos": (100 - loss) * ONE}
    kept = chance.choice((list(legs), list(legs), [chance.choice(list(legs))]))
    return {**_plain(side, chance), **{name: legs[name] for name in kept}}


def _stop(side: Side, chance: random.Random) -> dict[str, Any]:
    """Held by us until the market gets there."""
    if chance.random() < 0.5:
        return {"order_type": OrderType.TRAILING_STOP, "trail_nanos": chance.randint(2, 5) * ONE}
    return {"order_type": OrderType.STOP, "stop_price_nanos": (100 + side.sign * chance.randint(1, 6)) * ONE}


def _until(side: Side, chance: random.Random) -> dict[str, Any]:
    """Ends in the storm, or after it."""
    end_ns = EPOCH_NS + round(chance.uniform(_CALLS_S, 2 * STORM_S) * SECOND_NS)
    return {
        "order_type": OrderType.LIMIT,
        "price_nanos": 100 * ONE,
        "time_in_force": TimeInForce.GTD,
        "expire_time_ns": end_ns,
    }


class Caller:
    """Wants one order, under one id, however often it has to ask."""

    def __init__(self, world: "World", name: str, wanted: OrderRequest, chance: random.Random) -> None:
        self._world = world
        self._name = name
        self._wanted = wanted
        self._chance = chance

    async def run(self) -> None:
        """Submit, perhaps from two threads at once; perhaps cancel, change, and submit the same again later."""
        await asyncio.sleep(self._chance.uniform(0, _CALLS_S))
        twice = self._chance.random() < 0.15
        try:
            orders = await asyncio.gather(*(self._submitted() for _ in range(2 if twice else 1)))
        except InvalidArgument:
            if self._wanted.expire_time_ns is None:
                raise
            return  # nobody heard it before its end
        for step in (self._change, self._cancel, self._again):
            if self._chance.random() < 0.4:
                await asyncio.sleep(self._chance.uniform(0, 6.0))
                await step(orders[0].order.order_id)

    async def _submitted(self) -> Submitted:
        """Ask until there is an answer: the id makes that safe."""
        wait = self._chance.choice((Wait.NONE, Wait.ACCEPTED, Wait.TERMINAL, None))
        patience = Patience(wait, self._chance.uniform(0.1, 3.0))

        async def submit(desk: "Desk") -> Submitted:
            return await desk.submit(self._wanted, patience, Origin(self._world.clock.monotonic_ns()))

        submitted: Submitted = await self._insist(submit)
        self._world.acknowledge(self._name, submitted.order.order_id)
        return submitted

    async def _again(self, order_id: OrderId) -> None:
        submitted = await self._submitted()
        if not submitted.duplicate:
            self._world.surprises.append(f"I2 {self._name} was taken as new once more")

    async def _cancel(self, order_id: OrderId) -> None:
        await self._try(lambda desk: desk.cancel(order_id))

    async def _change(self, order_id: OrderId) -> None:
        """Ask for another quantity, and perhaps another price."""
        price = self._chance.randint(95, 105) * ONE if self._wanted.price_nanos else None
        change = Change(quantity_nanos=self._chance.randint(1, 30) * ONE, price_nanos=price)
        await self._try(lambda desk: desk.modify(order_id, change))

    async def _try(self, command: "Callable[[Desk], Awaitable[Any]]") -> None:
        """Ask a few times; a refusal is an answer."""
        for _ in range(3):
            try:
                await self._world.call(command)
            except (NotReached, Unavailable, ResourceExhausted):
                await asyncio.sleep(self._chance.uniform(0.2, 2.0))
            except TradingError:
                return
            else:
                return

    async def _insist(self, command: "Callable[[Desk], Awaitable[Any]]") -> Any:
        while True:
            try:
                return await self._world.call(command)
            except (NotReached, Unavailable, ResourceExhausted):
                await asyncio.sleep(self._chance.uniform(0.2, 2.0))
