"""The optimiser over gRPC: a real portfolio process, on SQLite and a nats-server of its own."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import numpy as np

from fleet import channels
from neuraltrader.portfolio.v1 import portfolio_service_pb2 as pb
from neuraltrader.portfolio.v1.portfolio_service_pb2_grpc import PortfolioServiceStub
from tests.bench.portfolio_cases import CAP, RISK_FREE_RATE, SECTORS, Market, a_market, upper_of
from tests.bench.portfolio_floor import METHOD
from tests.bench.result import Result, beside, of_samples
from tests.servers import free_port, nats_server, process

_READY_S = 60.0
_SAMPLES = 25
FLOOR = Path(__file__).with_name("portfolio_floor.py")


def max_sharpe_1000_grpc() -> Iterator[Result]:
    """From the caller's message to its answer, cold; the covariance goes as 8 MB of float64."""
    with tempfile.TemporaryDirectory() as folder, nats_server(Path(folder)) as nats_url:
        port = free_port()
        environment = {
            "NATS_URL": nats_url,
            "NT_DATA_DIR": folder,
            "NT_GRPC_PORT": str(port),
            "NT_METRICS_PORT": str(free_port()),
            "NT_EXECUTION_ADDRESS": "127.0.0.1:1",
            "NT_MARKET_DATA_ADDRESS": "127.0.0.1:1",
        }
        log = Path(folder) / "portfolio.log"
        nothing = free_port()
        floor = process([sys.executable, str(FLOOR), str(nothing)], env={}, log=Path(folder) / "floor.log")
        with process([sys.executable, "-m", "services.portfolio"], env=environment, log=log), floor:
            samples, solving, bare = asyncio.run(_ask(f"127.0.0.1:{port}", f"127.0.0.1:{nothing}"))
    extra = {"service_time_ms_p50": round(float(np.median(solving)), 2)}
    result = of_samples("portfolio.max_sharpe_1000_grpc", "ms", samples, extra=extra)
    least = float(np.median(bare))
    yield beside(result, "bare gRPC call of the same bytes", grpc.__version__, least, ratio_of="ours/floor")


async def _ask(address: str, floor: str) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds of whole calls, what the service says of them, and of the floor, in turns."""
    samples, solving, bare = [], [], []
    async with AsyncExitStack() as stack:
        channel, beneath = [
            await stack.enter_async_context(channels.connect(to, token=None, client="bench", default_timeout_s=60.0))
            for to in (address, floor)
        ]
        stub, take = PortfolioServiceStub(channel), beneath.unary_unary(METHOD)
        for each in (channel, beneath):
            await asyncio.wait_for(each.channel_ready(), _READY_S)
        for seed in range(3 + _SAMPLES):
            request = _request(a_market(1000, 700 + seed))
            message = request.SerializeToString()
            started = time.perf_counter()
            await take(message)
            between = time.perf_counter()
            answer = await stub.Optimize(request)
            if seed >= 3:
                bare.append((between - started) * 1e3)
                samples.append((time.perf_counter() - between) * 1e3)
                solving.append(answer.solver.time_ms)
    return samples, solving, bare


def _request(market: Market) -> pb.OptimizeRequest:
    request = pb.OptimizeRequest(
        symbols=market.names,
        expected_returns=market.mu,
        covariance_f64le=market.sigma.tobytes(),
        objective=pb.OBJECTIVE_MAX_SHARPE,
        risk_free_rate=RISK_FREE_RATE,
    )
    request.constraints.max_position_size = upper_of(len(market.mu))
    for name, sector in zip(market.names, market.sectors, strict=True):
        request.constraints.sectors[name] = f"K{sector}"
    for sector in range(SECTORS):
        request.constraints.sector_caps[f"K{sector}"] = CAP
    return request
