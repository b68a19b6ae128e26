"""The execution service as a process on a venue that fills at once, and a desk that sends it orders by one stream."""

import asyncio
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx

from neuraltrader.execution.v1 import execution_pb2 as pb
from neuraltrader.execution.v1 import execution_service_pb2 as rpc
from neuraltrader.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
from neuraltrader.market_data.v1 import market_data_pb2 as md
from neuraltrader.market_data.v1 import market_data_service_pb2 as md_rpc
from neuraltrader.market_data.v1 import market_data_service_pb2_grpc as md_grpc
from tests import servers
from trading.instruments import CATALOGUE
from trading.money import ONE

PATIENCE_S = 60.0
SYMBOL = "AAPL"

# The generated bases allow more kinds of context than a server gives.
# mypy: disable-error-code="override"


class OneQuote(md_grpc.MarketDataServiceServicer):
    """market_data as far as execution asks for it: the instruments, and a fresh quote of each."""

    async def ListInstruments(self, request: md_rpc.ListInstrumentsRequest, context: Any) -> Any:
        """The catalogue."""
        return md_rpc.ListInstrumentsResponse(
            instruments=[
                md.Instrument(
                    symbol=each.symbol,
                    asset_class=each.asset_class.value,
                    currency=each.currency,
                    tick_nanos=each.tick_nanos,
                    lot_nanos=each.lot_nanos,
                    min_quantity_nanos=each.min_quantity_nanos,
                    max_quantity_nanos=each.max_quantity_nanos,
                    tradable=True,
                    shortable=True,
                )
                for each in CATALOGUE
            ]
        )

    async def GetQuote(self, request: md_rpc.GetQuoteRequest, context: Any) -> Any:
        """The price of the venue, now."""
        now_ns = time.time_ns()
        return md_rpc.GetQuoteResponse(
            quote=md.Quote(
                symbol=request.symbol,
                bid_nanos=100 * ONE,
                bid_size_nanos=100 * ONE,
                ask_nanos=101 * ONE,
                ask_size_nanos=100 * ONE,
                event_time_ns=now_ns,
                receive_time_ns=now_ns,
                venue="bench",
            )
        )


@dataclass
class Desk:
    """One order stream of a running execution service."""

    stub: ExecutionServiceStub
    stream: Any
    pids: dict[str, int]
    folder: Path
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    async def one_by_one(self, orders: int) -> list[float]:
        """Send orders, each after the answer to the one before; µs from each submit to its answer."""
        samples = []
        for _ in range(orders):
            request = self._request()
            began_ns = time.perf_counter_ns()
            await self.stream.write(request)
            answer = await self.stream.read()
            samples.append((time.perf_counter_ns() - began_ns) / 1e3)
            assert answer.WhichOneof("result") == "submitted", answer
        return samples

    async def flood(self, orders: int, in_flight: int) -> float:
        """Send orders with so many under way at once; seconds until all are answered.

        As many as there is room for go in one frame, and answers come as many as are ready.
        """
        began = time.perf_counter()
        sent = answered = 0
        while answered < orders:
            free = min(in_flight - (sent - answered), orders - sent)
            if free:
                await self.stream.write(rpc.StreamOrdersRequest(commands=[self._request() for _ in range(free)]))
                sent += free
            frame = await self.stream.read()
            for answer in frame.answers or (frame,):
                assert answer.WhichOneof("result") == "submitted", answer
                answered += 1
        return time.perf_counter() - began

    async def settled(self, orders: int) -> float:
        """Wait until every order is filled and every event is told; seconds that took."""
        began = time.perf_counter()
        async with asyncio.timeout(PATIENCE_S):
            while True:
                stats = await self.stub.GetStats(rpc.GetStatsRequest())
                if stats.orders_by_status.get("FILLED", 0) >= orders and stats.outbox_depth == 0:
                    return time.perf_counter() - began
                await asyncio.sleep(0.01)

    def cpu_s(self) -> dict[str, float]:
        """Processor time that each process has used."""
        return {name: _cpu_s(pid) for name, pid in self.pids.items()}

    def _request(self) -> rpc.StreamOrdersRequest:
        number = next(self._numbers)
        submit = rpc.SubmitOrderRequest(
            symbol=SYMBOL,
            side=pb.SIDE_BUY if number % 2 else pb.SIDE_SELL,
            order_type=pb.ORDER_TYPE_MARKET,
            quantity_nanos=ONE,
            client_order_id=f"bench-{number}",
            wait=pb.WAIT_ACCEPTED,
        )
        return rpc.StreamOrdersRequest(request_id=number, submit=submit)


@asynccontextmanager
async def desk(database_url: str = "", **settings: str) -> AsyncIterator[Desk]:
    """Everything an order needs, and a stream to send it by."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=".")))
        nats = stack.enter_context(servers.nats_server(folder))
        venue, addresses = stack.enter_context(_venue())
        market_data = await stack.enter_async_context(_market_data())
        grpc_port, probe_port = servers.free_port(), servers.free_port()
        env = {
            "NATS_URL": nats,
            "DATABASE_URL": database_url,
            "NT_DATA_DIR": str(folder),
            "NT_GRPC_PORT": str(grpc_port),
            "NT_METRICS_PORT": str(probe_port),
            "NT_MARKET_DATA_ADDRESS": market_data,
            "NT_DEFAULT_MAX_QUOTE_AGE_SECONDS": "3600",
            "ALPACA_KEY_ID": "key",
            "ALPACA_SECRET_KEY": "secret",
            "ALPACA_TRADING_URL": addresses["rest"],
            "ALPACA_TRADING_STREAM_URL": addresses["stream"],
            **settings,
        }
        log = folder / "execution.log"
        command = [sys.executable, "-m", "services.execution", "--log-level", "WARNING"]
        child = stack.enter_context(servers.process(command, env=env, log=log))
        await _ready(probe_port, child, log)
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{grpc_port}"))
        stub = ExecutionServiceStub(channel)
        stream = stub.StreamOrders()
        stack.callback(stream.cancel)
        yield Desk(stub, stream, {"execution": child.pid, "venue": venue, "bench": os.getpid()}, folder)


@asynccontextmanager
async def _market_data() -> AsyncIterator[str]:
    server = grpc.aio.server()
    md_grpc.add_MarketDataServiceServicer_to_server(OneQuote(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@contextmanager
def _venue() -> Iterator[tuple[int, dict[str, str]]]:
    command = [sys.executable, "-m", "tests.bench.execution_venue"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as venue:
        try:
            assert venue.stdout is not None
            yield venue.pid, json.loads(venue.stdout.readline())
        finally:
            venue.terminate()


async def _ready(port: int, child: subprocess.Popen[bytes], log: Path) -> None:
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(PATIENCE_S):
        while child.poll() is None:
            try:
                if (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code == httpx.codes.OK:
                    return
            except httpx.HTTPError:
                pass  # it does not listen yet
            await asyncio.sleep(0.05)
    raise RuntimeError(await asyncio.to_thread(log.read_text))


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
