"""Charges through the fleet: a venue that charges takers, execution, NATS, portfolio; cash agrees everywhere."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from builders.execution_process import ExecutionProcess, execution_process
from builders.live_venue import LiveVenue, live_venue, market_data
from servers import free_port, process, wait_until
from waiting import until

from fleet import subjects
from fleet.bus import Bus, Message, connect
from fleet.channels import connect as dial
from fleet.metrics import Metrics
from neuraltrader.execution.v1 import execution_pb2 as pb
from neuraltrader.execution.v1 import execution_service_pb2 as rpc
from neuraltrader.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
from neuraltrader.portfolio.v1 import portfolio_service_pb2 as book_rpc
from neuraltrader.portfolio.v1.portfolio_service_pb2_grpc import PortfolioServiceStub
from trading.money import ONE, parse_nanos

COINS = "BTC-USDT"
Books = tuple[int, int]
"""Cash and coins, in nanos."""


@pytest.fixture
def venue() -> Iterator[LiveVenue]:
    with live_venue("--symbols", "AAPL,BTC-USDT", "--port", "0", "--taker-fee-bps", "25") as running:
        yield running


@pytest.fixture
def execution(venue: LiveVenue, own_nats_url: str, database_url: str, tmp_path: Path) -> Iterator[ExecutionProcess]:
    env = {**venue.settings, "NATS_URL": own_nats_url, "NT_SYMBOLS": "AAPL,BTC-USDT"}
    with (
        market_data(tmp_path, env) as market,
        execution_process(tmp_path, venue, own_nats_url, market.grpc, database_url) as service,
    ):
        market.wait_ready()
        service.start(NT_CHARGES_SECONDS="0.2")
        yield service


@asynccontextmanager
async def a_portfolio(
    directory: Path, execution: ExecutionProcess, nats_url: str
) -> AsyncIterator[PortfolioServiceStub]:
    """A portfolio service with an empty book of its own."""
    grpc_port, metrics_port = free_port(), free_port()
    environment = {
        "NATS_URL": nats_url,
        "NT_DATA_DIR": str(directory),
        "NT_GRPC_PORT": str(grpc_port),
        "NT_METRICS_PORT": str(metrics_port),
        "NT_EXECUTION_ADDRESS": execution.address,
        "NT_CATCH_UP_S": "0.2",
    }
    log = directory.parent / f"{directory.name}.log"
    with process([sys.executable, "-m", "services.portfolio"], env=environment, log=log) as child:

        def is_ready() -> bool:
            assert child.poll() is None, log.read_text()
            try:
                return (
                    httpx.get(f"http://127.0.0.1:{metrics_port}/readyz", trust_env=False, timeout=60).status_code == 200
                )
            except httpx.HTTPError:
                return False

        wait_until(is_ready, "portfolio", 90)
        async with dial(f"127.0.0.1:{grpc_port}", token=None, client="test", default_timeout_s=20) as channel:
            yield PortfolioServiceStub(channel)


async def trade(stub: ExecutionServiceStub, side: pb.Side, quantity_nanos: int) -> None:
    """Coins at the market's price."""
    request = rpc.SubmitOrderRequest(
        symbol=COINS, side=side, order_type=pb.ORDER_TYPE_MARKET, quantity_nanos=quantity_nanos, wait=pb.WAIT_TERMINAL
    )
    order = (await stub.SubmitOrder(request)).order
    assert order.status == pb.ORDER_STATUS_FILLED, order


async def at_the_venue(venue: LiveVenue) -> Books:
    """What the venue's account has."""
    async with httpx.AsyncClient(trust_env=False, timeout=60, headers=venue.key.headers()) as client:
        rest = venue.addresses["rest"]
        cash = (await client.get(f"{rest}/v2/account")).json()["cash"]
        held = (await client.get(f"{rest}/v2/positions")).json()
    return parse_nanos(cash), sum(parse_nanos(position["qty"]) for position in held)


async def in_execution(stub: ExecutionServiceStub) -> Books:
    """What its statement of today ends with."""
    statement = (await stub.GetStatement(rpc.GetStatementRequest())).statement
    return statement.closing_cash_nanos, sum(position.quantity_nanos for position in statement.positions)


async def in_portfolio(stub: PortfolioServiceStub) -> Books:
    """What its book has."""
    cash = (await stub.GetAccount(book_rpc.GetAccountRequest())).account.cash
    held = (await stub.ListPositions(book_rpc.ListPositionsRequest())).positions
    return cash.units * ONE + cash.nanos, sum(position.quantity_nanos for position in held)


async def charges_of(stub: ExecutionServiceStub) -> list[pb.Charge]:
    """Every charge that execution has recorded."""
    return list((await stub.ListCharges(rpc.ListChargesRequest())).charges)


async def until_agreed(venue: LiveVenue, stub: ExecutionServiceStub, book: PortfolioServiceStub) -> Books:
    """The venue's cash and coins, once execution and portfolio say the same to the nano."""
    word = await at_the_venue(venue)

    async def agree() -> bool:
        return await in_execution(stub) == await in_portfolio(book) == word

    await until(agree, f"cash and coins of {word} in execution and portfolio", 60)
    return word


async def heard_on(bus: Bus, count: int) -> list[Message]:
    """The charges on the stream, as soon as there are so many."""
    heard: list[Message] = []

    async def keep(messages: list[Message]) -> None:
        heard.extend(messages)

    async with asyncio.TaskGroup() as group:
        reading = group.create_task(bus.consume(subjects.ORDER_STREAM, "test", subjects.CHARGES_ALL, keep))
        await until(lambda: len(heard) >= count, f"{count} charges on the stream", 60)
        reading.cancel()
    return heard


@pytest.mark.timeout(240)
async def test_cash_and_coins_agree_after_charges_and_a_restart_doubles_none(
    venue: LiveVenue, execution: ExecutionProcess, own_nats_url: str, tmp_path: Path
) -> None:
    """Bought coins pay in coins, sold ones in money; both are charges that no fill of Alpaca carries."""
    async with execution.stub() as stub, a_portfolio(tmp_path / "book", execution, own_nats_url) as book:
        await trade(stub, pb.SIDE_BUY, ONE)
        await trade(stub, pb.SIDE_SELL, ONE // 2)
        agreed = await until_agreed(venue, stub, book)
        charges = await charges_of(stub)
        assert {charge.kind for charge in charges} == {pb.CHARGE_KIND_FEE}
        assert sum(charge.quantity_nanos for charge in charges) == ONE * 25 // 10_000
        assert sum(charge.amount_nanos for charge in charges) > 0
        assert all(charge.order_id for charge in charges)
        differences = (await stub.CompareWithVenue(rpc.CompareWithVenueRequest())).differences
        assert [row for row in differences if not row.agrees] == []
        async with connect(own_nats_url, "test", Metrics()) as bus:
            heard = await heard_on(bus, len(charges))
        assert {message.headers["Nats-Msg-Id"] for message in heard} == {charge.charge_id for charge in charges}
        assert {message.subject for message in heard} == {"execution.v1.charge.fee.main"}

        execution.kill()
        execution.start(NT_CHARGES_SECONDS="0.2")
        assert await charges_of(stub) == charges
        await trade(stub, pb.SIDE_SELL, ONE // 4)
        after = await until_agreed(venue, stub, book)
        assert after[1] == agreed[1] - ONE // 4
        async with a_portfolio(tmp_path / "rebuilt", execution, own_nats_url) as rebuilt:
            assert await until_agreed(venue, stub, rebuilt) == after
