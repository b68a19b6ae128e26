"""A Binance that gives the answers of a test in turn, and remembers what it was asked."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import sentinel
from urllib.parse import parse_qsl

import structlog
from pydantic import SecretStr

from services.execution.adapters.binance_broker import BinanceBroker
from services.execution.adapters.binance_key import BinanceKey
from services.execution.adapters.binance_rest import HEADERS, BinanceRest
from services.execution.adapters.binance_symbols import BinanceSymbols
from services.execution.adapters.venue_http import VenueHttp
from trading.clock import Clock, ManualClock

TIME_US = 1_760_000_000_000_000
"""What its clock shows."""


@dataclass(frozen=True)
class Asked:
    """One request as the venue read it."""

    method: str
    path: str
    params: Mapping[str, str]
    payload: str
    headers: Mapping[str, str]


@dataclass
class CannedBinance:
    """The venue, and a broker that believes it is Binance."""

    broker: BinanceBroker
    rest: BinanceRest
    symbols: BinanceSymbols
    clock: Clock
    asked: list[Asked] = field(default_factory=list)
    time_us: int = TIME_US

    @property
    def orders(self) -> list[Asked]:
        """What it was asked but the time."""
        return [each for each in self.asked if each.path != "/api/v3/time"]


Reply = tuple[int, Any] | tuple[int, Any, int]
"""Status, body, and the seconds of Retry-After."""


@asynccontextmanager
async def canned_binance(
    *answers: Reply, secret: str = "s", symbols: tuple[str, ...] = ()
) -> AsyncIterator[CannedBinance]:
    """A venue that always knows the time; everything else is answered by the next of `answers`."""
    waiting = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = _asked((await reader.readuntil(b"\r\n\r\n")).decode())
        venue.asked.append(asked)
        reply: Reply = (200, {"serverTime": venue.time_us}) if asked.path == "/api/v3/time" else waiting.pop(0)
        data = reply[1] if isinstance(reply[1], bytes) else json.dumps(reply[1]).encode()
        pause = b"retry-after: %d\r\n" % reply[2] if len(reply) == 3 else b""
        head = b"HTTP/1.1 %d X\r\nconnection: close\r\n%bcontent-length: %d\r\n\r\n"
        writer.write(head % (reply[0], pause, len(data)) + data)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    clock, log = ManualClock(TIME_US * 1_000), structlog.get_logger()
    key = BinanceKey("k", SecretStr(secret))
    async with server, VenueHttp(url, headers={**HEADERS, "X-MBX-APIKEY": "k"}, timeout_s=2) as client:
        rest = BinanceRest(client, key, clock, window_ms=3_000)
        names = BinanceSymbols(rest, symbols, log)
        venue = CannedBinance(BinanceBroker(rest, names, sentinel.stream, log), rest, names, clock)
        yield venue


def _asked(head: str) -> Asked:
    line, *lines = head.split("\r\n")
    method, target, _ = line.split(" ")
    path, _, query = target.partition("?")
    headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines if each)}
    return Asked(method, path, dict(parse_qsl(query)), query.partition("&signature=")[0], headers)
