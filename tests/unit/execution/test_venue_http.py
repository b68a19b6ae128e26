"""The HTTP of orders, against a server that answers byte by byte as the test says."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvloop
from builders.execution import until
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from servers import free_port

from services.execution.adapters.http_connection import RECEIVED_BYTES_MOST
from services.execution.adapters.venue_http import VenueHttp
from trading.errors import InvalidArgument, Unavailable

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Server:
    """Sends the given pieces for each request; `None` hangs up, `b""` says nothing."""

    def __init__(self, answers: Sequence[Sequence[bytes | None]]) -> None:
        self.requests: list[bytes] = []
        self.sent: list[bytes] = []
        self.connections = 0
        self.closed = 0
        self._answers = list(answers)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
                self.requests.append(head + await reader.readexactly(length))
                for piece in self._answers.pop(0):
                    if piece is None:
                        return
                    writer.write(piece)
                    await writer.drain()
                    self.sent.append(piece)
                    await asyncio.sleep(0.001)
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            self.closed += 1


@asynccontextmanager
async def a_server(
    *answers: Sequence[bytes | None], timeout_s: float = 2.0, connections: int = 32
) -> AsyncIterator[tuple[Server, VenueHttp]]:
    server = Server(answers)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}/base/"
    async with VenueHttp(url, headers={"X-Key": "k"}, timeout_s=timeout_s, connections=connections) as client:
        yield server, client
    listening.close()


async def test_a_request_carries_path_query_headers_and_body() -> None:
    """Under the base URL's own path."""
    async with a_server([OK]) as (server, client):
        answer = await client.request("POST", "/v2/orders", query={"a": "b c"}, body=b"{}")
        assert (answer.status, answer.body, answer.is_success) == (200, b"ok", True)
        head = server.requests[0].decode()
        assert head.startswith("POST /base/v2/orders?a=b+c HTTP/1.1\r\n")
        assert "x-key: k" in head.lower()
        assert head.endswith("{}")


async def test_a_connection_is_used_again() -> None:
    """Until the venue closes it."""
    closing = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"
    async with a_server([OK], [closing], [OK]) as (server, client):
        for _ in range(3):
            assert (await client.request("GET", "/")).body == b"ok"
        assert server.connections == 2


async def test_requests_at_once_use_connections_of_their_own() -> None:
    """None waits for another's answer."""
    async with a_server(*[[OK]] * 5) as (server, client):
        answers = await asyncio.gather(*[client.request("GET", "/") for _ in range(5)])
        assert [answer.status for answer in answers] == [200] * 5
        assert server.connections == 5


@pytest.mark.parametrize(
    ("pieces", "body"),
    [
        ([b"HTTP/1.1 200 OK\r\ncontent-le", b"ngth: 4\r\n\r\nab", b"cd"], b"abcd"),
        ([b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n", b"1\r\nc\r\n0\r\n\r\n"], b"abc"),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], b""),
        ([b"HTTP/1.1 200 OK\r\n\r\nto the end", None], b"to the end"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", OK], b"ok"),
    ],
)
async def test_an_answer_may_come_in_any_shape(pieces: Sequence[bytes | None], body: bytes) -> None:
    """Cut anywhere, chunked, empty, ended by hanging up, or after an interim answer."""
    async with a_server(pieces) as (_, client):
        assert (await client.request("GET", "/")).body == body


async def test_a_refusal_is_an_answer() -> None:
    """Its status and its words."""
    async with a_server([b"HTTP/1.1 422 Unprocessable\r\ncontent-length: 2\r\n\r\nno"]) as (_, client):
        answer = await client.request("POST", "/")
        assert (answer.status, answer.body, answer.is_success) == (422, b"no", False)


@pytest.mark.parametrize(
    "pieces",
    [
        [None],
        [b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", None],
        [b"no HTTP at all\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnot a length\r\n"],
        [b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n", b"x" * (RECEIVED_BYTES_MOST + 1)],
    ],
)
async def test_a_broken_answer_is_no_answer_and_is_never_asked_for_again(pieces: Sequence[bytes | None]) -> None:
    """Whether the request was heard is for the caller to find out."""
    async with a_server(pieces, [OK]) as (server, client):
        with pytest.raises(Unavailable):
            await client.request("POST", "/")
        assert len(server.requests) == 1
        assert (await client.request("GET", "/")).body == b"ok"


async def test_silence_is_no_answer() -> None:
    """After the timeout."""
    async with a_server([b""], timeout_s=0.05) as (_, client):
        with pytest.raises(Unavailable):
            await client.request("GET", "/")


async def test_a_venue_that_is_not_there_is_unavailable() -> None:
    """Nobody listens."""
    async with VenueHttp(f"http://127.0.0.1:{free_port()}", headers={}, timeout_s=2) as client:
        with pytest.raises(Unavailable):
            await client.request("GET", "/")


async def test_a_connection_the_venue_closed_while_idle_is_not_used() -> None:
    """A new one is made."""
    async with a_server([OK, None], [OK]) as (server, client):
        await client.request("GET", "/")
        await until(lambda: server.closed == 1)
        assert (await client.request("GET", "/")).body == b"ok"
        assert server.connections == 2


async def test_words_that_nobody_asked_for_end_the_connection() -> None:
    """An answer without a question is not the next question's answer."""
    async with a_server([OK, b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nstale"], [OK]) as (server, client):
        await client.request("GET", "/")
        await until(lambda: len(server.sent) == 2)
        assert (await client.request("GET", "/")).body == b"ok"
        assert server.connections == 2


async def test_more_requests_than_connections_wait_for_their_turn() -> None:
    """Within the timeout."""
    async with a_server(*[[OK]] * 6, connections=2) as (server, client):
        await asyncio.gather(*[client.request("GET", "/") for _ in range(6)])
        assert server.connections == 2


async def test_an_abandoned_request_takes_its_connection_along() -> None:
    """Its late answer must not become another's."""
    async with a_server([b""], [OK]) as (server, client):
        abandoned = asyncio.create_task(client.request("GET", "/"))
        await until(lambda: len(server.requests) == 1)
        abandoned.cancel()
        with pytest.raises(asyncio.CancelledError):
            await abandoned
        assert (await client.request("GET", "/")).body == b"ok"
        assert server.connections == 2


@pytest.mark.parametrize(
    "story",
    [
        test_a_request_carries_path_query_headers_and_body,
        test_a_connection_is_used_again,
        test_a_connection_the_venue_closed_while_idle_is_not_used,
        test_silence_is_no_answer,
    ],
)
def test_uvloop_s_transports_do_as_well(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """The service runs on uvloop, these tests on asyncio's own loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story())


@pytest.mark.parametrize("url", ["ftp://venue", "no address", "http://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """At the start, by name."""
    with pytest.raises(InvalidArgument, match="no HTTP address"):
        VenueHttp(url, headers={}, timeout_s=1)


def test_a_header_cannot_smuggle_another_in() -> None:
    """A key with a line break in it is refused."""
    with pytest.raises(InvalidArgument, match="X-Key"):
        VenueHttp("http://venue", headers={"X-Key": "k\r\nX-Other: v"}, timeout_s=1)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a certificate for localhost, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "localhost.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + signed.public_bytes(Encoding.PEM))
    return file


async def _over_tls(certificate: Path, host: str) -> int:
    """Ask twice by TLS; how many connections that took."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = Server([[OK], [OK]])
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    port = listening.sockets[0].getsockname()[1]
    async with listening, VenueHttp(f"https://{host}:{port}", headers={}, timeout_s=5) as client:
        for _ in range(2):
            assert (await client.request("GET", "/")).body == b"ok"
    return server.connections


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_tls_is_spoken_to_whom_the_host_s_authorities_know(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Over one connection."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(_over_tls(certificate, "localhost")) == 1


@pytest.mark.parametrize(("authority", "host"), [("", "localhost"), ("localhost.pem", "127.0.0.1")])
async def test_a_stranger_s_certificate_or_one_for_another_host_is_unavailable(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, authority: str, host: str
) -> None:
    """No order goes to it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_name(authority)) if authority else "")
    with pytest.raises(Unavailable, match="certificate"):
        await _over_tls(certificate, host)
