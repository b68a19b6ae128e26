"""Brings a planned fleet up in the order of its needs, keeps it up, and drains it in reverse."""

import asyncio
import contextlib
import json
import os
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psutil

from fleet.supervisor import keys, state
from fleet.supervisor.plan import Plan
from fleet.supervisor.processes import Child, Say, Spec
from trading.errors import FailedPrecondition
from trading.instruments import CATALOGUE, Instruments

NOTE_INTERVAL_S = 1.0
ASSETS_TIMEOUT_S = 5.0


class Fleet:
    """A running fleet."""

    def __init__(self, plan: Plan, say: Say) -> None:
        self.plan = plan
        self.venue: dict[str, Any] | None = None
        self.api_key = keys.admin_key(plan.data_dir)
        self.token = keys.internal_token(plan.data_dir)
        self.children: dict[str, Child] = {}
        self._say = say
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def description(self) -> dict[str, Any]:
        """What a client needs to talk to the fleet: complete URLs and the first admin key."""
        return {
            "gateway": self.plan.gateway_url,
            "api_key": self.api_key,
            "grpc": self.plan.grpc_addresses,
            "nats": self.plan.nats_url,
            "venue": self._public_venue(),
            "pid": os.getpid(),
        }

    async def start(self) -> None:
        """Start everything, each layer after the one it needs; raises Unavailable when one does not come up."""
        self._note(ready=False)
        await self._start(self.plan.nats())
        if self.plan.market.is_local:
            self.venue = await self._start_venue()
        symbols = await asyncio.to_thread(self._symbols)
        for layer in self.plan.layers:
            await _all([self._start(self.plan.service(name, self.venue, symbols)) for name in layer])
        self._note(ready=True)

    async def watch(self) -> None:
        """Keep the note current, for ever."""
        while True:
            await asyncio.sleep(NOTE_INTERVAL_S)
            self._note(ready=True)

    async def stop(self) -> dict[str, int | None]:
        """Drain in reverse order of starting; gives every exit code."""
        codes: dict[str, int | None] = {}
        for name, child in reversed(list(self.children.items())):
            codes[name] = await child.stop()
            self._say("fleet", f"{name} drained with exit code {codes[name]}")
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        state.forget(self.plan.data_dir)
        return codes

    async def _start(self, spec: Spec) -> Child:
        child = self.children[spec.name] = Child(spec, self._say)
        await child.start()
        self._keepers.append(asyncio.create_task(child.keep(), name=spec.name))
        self._say("fleet", f"{spec.name} is ready after {child.ready_s} s")
        return child

    async def _start_venue(self) -> dict[str, Any]:
        child = await self._start(self.plan.paper_venue())
        keys.keep_venue(self.plan.data_dir, child.first_line.result())
        addresses: dict[str, Any] = json.loads(child.first_line.result())
        return addresses

    def _symbols(self) -> Sequence[str]:
        """What the market trades, in canonical spelling; empty leaves it to the services' settings."""
        if self.venue is None or not self.plan.market.files:
            return self.plan.market.symbols
        alpaca = self.venue["alpaca"]
        headers = {"APCA-API-KEY-ID": alpaca["key"], "APCA-API-SECRET-KEY": alpaca["secret"]}
        request = urllib.request.Request(f"{alpaca['rest']}/v2/assets", headers=headers)  # noqa: S310  # our venue
        with urllib.request.urlopen(request, timeout=ASSETS_TIMEOUT_S) as answer:  # noqa: S310
            return [_canonical(asset["symbol"]) for asset in json.load(answer)]

    def _public_venue(self) -> dict[str, Any]:
        return self.venue or {"name": self.plan.market.venue}

    def _note(self, ready: bool) -> None:
        children = []
        for name, child in self.children.items():
            with contextlib.suppress(psutil.Error):
                if child.pid:
                    children.append(state.Process.of(name, child.pid, child.restarts, child.ready_s))
        state.State(
            supervisor=state.Process.of("supervisor", os.getpid()),
            gateway=self.plan.gateway_url,
            grpc=self.plan.grpc_addresses,
            nats=self.plan.nats_url,
            venue=_without_secrets(self._public_venue()),
            children=children,
            ready=ready,
        ).write(self.plan.data_dir)


@asynccontextmanager
async def running(plan: Plan, say: Say) -> AsyncIterator[Fleet]:
    """A fleet that is up for the block and gone after it; raises FailedPrecondition when one runs there already."""
    plan.data_dir.mkdir(parents=True, exist_ok=True)
    other = state.read(plan.data_dir)
    if other and other.supervisor.find():
        raise FailedPrecondition(f"A fleet is running in {plan.data_dir} (pid {other.supervisor.pid}): `ntrader down`.")
    if other:
        end_leftovers(other, say)
    fleet = Fleet(plan, say)
    try:
        await fleet.start()
        yield fleet
    finally:
        await asyncio.shield(fleet.stop())


def end_leftovers(other: state.State, say: Say) -> None:
    """End the children that a supervisor left behind when it was killed."""
    left = [process for child in other.children if (process := child.find())]
    for process in left:
        say("fleet", f"ending pid {process.pid}, left by a supervisor that was killed")
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(left, timeout=10)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=5)


async def _all(starts: Sequence[Any]) -> None:
    """Await every start; the first failure is raised as itself, after the others were let go."""
    try:
        async with asyncio.TaskGroup() as group:
            for start in starts:
                group.create_task(start)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


def _canonical(venue_symbol: str) -> str:
    known = Instruments(CATALOGUE)
    if venue_symbol in known:
        return known.get(venue_symbol).symbol
    base, slash, _ = venue_symbol.partition("/")
    return f"{base}-USDT" if slash else venue_symbol


def _without_secrets(venue: Mapping[str, Any]) -> dict[str, Any]:
    hidden = {"key", "secret", "ed25519_key"}
    return {
        name: {key: value for key, value in part.items() if key not in hidden} if isinstance(part, dict) else part
        for name, part in venue.items()
    }
