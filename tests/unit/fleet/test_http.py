"""The fleet's HTTP client asks whom it was told to ask, and nobody of the environment."""

import asyncio

import httpx
import pytest
from faults import say_nothing, tcp_server

from fleet.http import http_client


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer requests of one connection with the key that they showed."""
    while head := await _head(reader):
        key = next(line.partition(": ")[2] for line in head.split("\r\n") if line.lower().startswith("x-key"))
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(key)}\r\n\r\n{key}".encode())
        await writer.drain()


async def _head(reader: asyncio.StreamReader) -> str:
    try:
        return (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return ""


async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_tcp_port}")
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await greet(reader, writer)

    async with (
        tcp_server(serve) as port,
        http_client(f"http://127.0.0.1:{port}", headers={"x-key": "mine"}, timeout_s=5) as client,
    ):
        answers = [(await client.get("/orders")).text for _ in range(3)]
    assert (answers, connections) == (["mine"] * 3, 1)


async def test_a_mute_venue_is_left_in_time() -> None:
    async with (
        tcp_server(say_nothing) as port,
        http_client(f"http://127.0.0.1:{port}", headers={}, timeout_s=0.1) as client,
    ):
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/")
