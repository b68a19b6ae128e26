"""The smallest service there can be, run as a process of its own; what it does is told by TINY_* variables."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fakes.servicers import Context, ScriptedPortfolio

from fleet.service import Runtime, Service, main
from fleet.settings import FleetSettings
from neuraltrader.portfolio.v1 import portfolio_service_pb2 as portfolio
from trading.errors import Unavailable

SERVICE = portfolio.DESCRIPTOR.services_by_name["PortfolioService"].full_name


class Settings(FleetSettings):
    """A service of the tests."""


def say(word: str) -> None:
    """Tell the test how far it came, on stdout, which the fleet never uses."""
    print(word, flush=True)


async def slow(_context: Context) -> portfolio.ListAccountsResponse:
    """Answer after TINY_SLOW_S seconds."""
    say("called")
    await asyncio.sleep(float(os.environ.get("TINY_SLOW_S", "0")))
    return portfolio.ListAccountsResponse()


async def work() -> None:
    """A loop that lives for ever, or dies as TINY_DEATH says."""
    say("working")
    try:
        match os.environ.get("TINY_DEATH"):
            case "raises":
                raise ValueError("the loop is broken")
            case "ends":
                return
        await asyncio.Event().wait()
    finally:
        say("work ended")


async def dependency() -> None:
    """A readiness check that fails while the file TINY_AWAY exists."""
    if os.path.exists(os.environ.get("TINY_AWAY", "/nonexistent")):  # noqa: ASYNC240, PTH110  # a file of the test
        raise Unavailable("The dependency is away.")


@asynccontextmanager
async def wire(settings: Settings, runtime: Runtime) -> AsyncIterator[Service]:
    say("wiring")
    await asyncio.sleep(float(os.environ.get("TINY_WIRING_S", "0")))
    runtime.log.info("tiny.wired", symbols=len(settings.symbols))
    try:
        yield Service(
            register=[ScriptedPortfolio(slow).register],
            service_names=[SERVICE],
            loops={"work": work},
            checks={"dependency": dependency},
        )
    finally:
        say("closed")


if __name__ == "__main__":
    main("tiny", Settings, wire, sys.argv[1:])
