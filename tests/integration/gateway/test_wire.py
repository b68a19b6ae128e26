"""What a client may send before anybody looks at who it is: on a real socket, before a bare application."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from servers import free_port
from starlette.responses import PlainTextResponse

from services.gateway.server import HttpServer, WireLimits

HEAD_BYTES_MAX = 1024
PATIENCE_S = 60.0
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
Pipe = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(head_s: float) -> AsyncIterator[Pipe]:
    """A connection to a server that waits for so long."""
    port = free_port()
    limits = WireLimits(message_bytes_max=65_536, head_bytes_max=HEAD_BYTES_MAX, head_s=head_s)
    app = PlainTextResponse("served")
    server = HttpServer(app, host="127.0.0.1", port=port, limits=limits, on_stop=lambda: None)
    await server.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        yield reader, writer
        writer.close()
    finally:
        await server.stop(1)


async def refusal(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The problem document that the server parts with; fails when the connection stays open."""
    async with asyncio.timeout(PATIENCE_S):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    document: dict[str, Any] = json.loads(body)
    assert b"content-type: application/problem+json" in head
    assert head.startswith(f"HTTP/1.1 {document['status']} ".encode())
    assert f"x-request-id: {document['request_id']}".encode() in head
    return document


async def test_a_head_that_never_ends_is_not_waited_for() -> None:
    """One byte and then none: such a connection would be held for ever."""
    async with connected(head_s=0.3) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHo")
        assert (await refusal(reader))["code"] == "REQUEST_TIMEOUT"


async def test_who_says_nothing_is_parted_from() -> None:
    """Without a word."""
    async with connected(head_s=0.1) as (reader, _), asyncio.timeout(PATIENCE_S):
        assert await reader.read() == b""


async def test_the_second_head_of_a_connection_must_come_in_time_too() -> None:
    """A served request buys no more patience."""
    async with connected(head_s=0.3) as (reader, writer):
        writer.write(REQUEST)
        async with asyncio.timeout(PATIENCE_S):
            assert (await reader.readuntil(b"served")).startswith(b"HTTP/1.1 200")
        writer.write(REQUEST[:10])
        assert (await refusal(reader))["code"] == "REQUEST_TIMEOUT"


async def test_a_long_head_is_refused() -> None:
    """Memory for whoever asks is not to be had."""
    async with connected(head_s=PATIENCE_S) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * HEAD_BYTES_MAX)
        assert (await refusal(reader))["code"] == "HEAD_TOO_LARGE"


@pytest.mark.parametrize(
    "sent", [b"FOO / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"\x16\x03"]
)
async def test_what_is_no_http_is_a_problem_too(sent: bytes) -> None:
    """Every refusal has one form."""
    async with connected(head_s=PATIENCE_S) as (reader, writer):
        writer.write(sent)
        assert (await refusal(reader))["code"] == "MALFORMED_REQUEST"


async def test_a_head_in_pieces_is_served() -> None:
    """And the timer is over once it is whole: the connection stays."""
    async with connected(head_s=PATIENCE_S) as (reader, writer), asyncio.timeout(PATIENCE_S):
        for turn in range(2):
            for piece in (REQUEST[:7], REQUEST[7:20], REQUEST[20:]):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            assert (await reader.readuntil(b"served")).startswith(b"HTTP/1.1 200"), turn
