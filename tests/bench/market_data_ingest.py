"""One market_data process from WebSocket bytes to NATS blocks and on to a consumer's NumPy columns; one tick alone."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import httpx

from fleet import subjects
from fleet.blocks import decode_quotes
from fleet.bus import Message, connect
from fleet.metrics import Metrics
from fleet.service import run_loop
from tests import servers
from tests.bench.fleet import tcp_echo_us
from tests.bench.market_data_flood import Frames, flood_venue, symbols
from tests.bench.peers import NAUTILUS, PeerMissing
from tests.bench.result import Result, beside, of_samples

WARM_UP = 200_000
TICKS = 2_000_000
TICKS_OF_MANY = 500_000
LATENCY_SAMPLES = 1_000
LATENCY_PAUSE_S = 0.004
PATIENCE_S = 120.0
_PEER = Path(__file__).with_name("market_data_ingest_nautilus.py")


class Consumer:
    """Takes blocks from NATS as NumPy columns, and counts."""

    def __init__(self) -> None:
        self.ticks = self.blocks = self.missed = 0
        self.newest_ns = 0
        self._next: dict[str, int] = {}
        self._came = asyncio.Event()

    def take(self, message: Message) -> None:
        """One block."""
        block, first_sequence, _ = decode_quotes(message.payload)
        self.missed += first_sequence - self._next.get(block.symbol, first_sequence)
        self._next[block.symbol] = first_sequence + len(block)
        self.ticks += len(block)
        self.blocks += 1
        self.newest_ns = time.perf_counter_ns()
        self._came.set()

    async def wait_for(self, ticks: int) -> None:
        """Until so many have come in all."""
        async with asyncio.timeout(PATIENCE_S):
            while self.ticks < ticks:
                self._came.clear()
                await self._came.wait()


def ingest() -> Iterator[Result]:
    """10 symbols, beside a peer's engine in one process; and 10,000."""
    result = run_loop(_ingest("market_data.ingest", 10, TICKS))
    try:
        peer = NAUTILUS.measure(_PEER, str(TICKS // 10))
        yield beside(
            result, "nautilus_trader backtest feed, in process", peer["version"], peer["value"], ratio_of="ours/floor"
        )
    except PeerMissing as reason:
        print(f"    without nautilus_trader: {reason}")
        yield result
    yield run_loop(_ingest("market_data.ingest_10000", 10_000, TICKS_OF_MANY))


def latency() -> Iterator[Result]:
    """Ticks that come one at a time, from the venue's send to the consumer's columns, in one process's clock."""
    samples, cpu_us = run_loop(_latency())  # as the services of the fleet run
    extra = {"cpu_us_per_tick_of_market_data": cpu_us}
    result = of_samples("market_data.tick_latency", "µs", samples, extra=extra)
    yield beside(result, "TCP echo, 100 bytes", "asyncio-free floor", tcp_echo_us(), ratio_of="ours/floor")


async def _ingest(name: str, count: int, ticks: int) -> Result:
    async with AsyncExitStack() as stack:
        venue = stack.enter_context(_flood(count))
        address = json.loads(await _line(venue))["address"]
        consumer, pid = await stack.enter_async_context(_fleet(address, count))
        await _send(venue, consumer, WARM_UP)
        cpu_before, blocks_before, began_ns = _cpu_s(pid), consumer.blocks, time.perf_counter_ns()
        sent = await _send(venue, consumer, ticks)
        seconds = (consumer.newest_ns - began_ns) / 1e9
        extra = {
            "symbols": count,
            "missed": consumer.missed,
            "ticks_per_block": round(ticks / (consumer.blocks - blocks_before), 1),
            "cpu_seconds_of_market_data": round(_cpu_s(pid) - cpu_before, 2),
            "venue_sent_in_s": round(sent, 2),
            "rss_mb": _rss_mb(pid),
        }
        return Result(name, "ticks/s", round(ticks / seconds), ticks, extra=extra)


async def _send(venue: subprocess.Popen[str], consumer: Consumer, ticks: int) -> float:
    assert venue.stdin is not None
    wanted = consumer.ticks + ticks
    venue.stdin.write(f"{ticks}\n")
    venue.stdin.flush()
    await consumer.wait_for(wanted)
    return float(json.loads(await _line(venue))["seconds"])


async def _latency() -> tuple[list[float], float]:
    async with AsyncExitStack() as stack:
        venue, address = await stack.enter_async_context(flood_venue(symbols(1)))
        consumer, pid = await stack.enter_async_context(_fleet(address, 1))
        await venue.subscribed.wait()
        frames, samples, cpu_before = Frames(symbols(1), per_frame=1), [], _cpu_s(pid)
        for at in range(LATENCY_SAMPLES + 100):
            frame, wanted = frames.frame(at, time.time_ns()), consumer.ticks + 1
            began_ns = time.perf_counter_ns()
            venue.say_at_once(frame)
            await consumer.wait_for(wanted)
            samples.append((consumer.newest_ns - began_ns) / 1e3)
            await asyncio.sleep(LATENCY_PAUSE_S)
        return samples[100:], round((_cpu_s(pid) - cpu_before) / len(samples) * 1e6, 1)


@asynccontextmanager
async def _fleet(venue: str, count: int) -> AsyncIterator[tuple[Consumer, int]]:
    """NATS, market_data on that venue, and a consumer; gives the consumer and market_data's process id."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        nats = stack.enter_context(servers.nats_server(folder))
        bus = await stack.enter_async_context(connect(nats, "bench", Metrics()))
        consumer = Consumer()
        group = await stack.enter_async_context(asyncio.TaskGroup())
        listening = group.create_task(bus.hear(subjects.QUOTES_ALL, consumer.take))
        stack.callback(listening.cancel)
        port = servers.free_port()
        env = _settings(venue, nats, count, folder) | {"NT_METRICS_PORT": str(port)}
        command = [sys.executable, "-m", "services.market_data", "--log-level", "WARNING"]
        child = stack.enter_context(servers.process(command, env=env, log=folder / "market_data.log"))
        await _ready(port, child, folder / "market_data.log")
        yield consumer, child.pid


def _settings(venue: str, nats: str, count: int, folder: Path) -> dict[str, str]:
    rest = f"http://{venue}"
    return {
        "NATS_URL": nats,
        "NT_VENUE": "alpaca",
        "NT_SYMBOLS": ",".join(symbols(count)),
        "NT_DATA_DIR": str(folder),
        "NT_GRPC_PORT": str(servers.free_port()),
        "ALPACA_KEY_ID": "key",
        "ALPACA_SECRET_KEY": "secret",
        "ALPACA_DATA_URL": rest,
        "ALPACA_TRADING_URL": rest,
        "ALPACA_STREAM_URL": f"ws://{venue}/stream",
    }


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


@contextmanager
def _flood(count: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.bench.market_data_flood", "--symbols", str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as venue:
        try:
            yield venue
        finally:
            venue.terminate()


async def _line(venue: subprocess.Popen[str]) -> str:
    assert venue.stdout is not None
    return await asyncio.to_thread(venue.stdout.readline)


def _cpu_s(pid: int) -> float:
    """Processor time that a process has used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss_mb(pid: int) -> float:
    lines: Mapping[str, str] = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )
    return round(int(lines["VmRSS"].split()[0]) / 1024, 1)
