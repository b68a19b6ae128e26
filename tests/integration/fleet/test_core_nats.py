"""Ticks over a real nats-server: on the loop that services run on, over TLS, through large messages and bursts."""

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from servers import accepts, free_port, process, wait_until

from fleet.bus import Message, connect
from fleet.metrics import Metrics

LARGE = bytes(range(256)) * 4095


async def _echoed(url: str, payloads: list[bytes]) -> list[bytes]:
    """What a listener hears when these are published, the first again and again until it listens."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def take(message: Message) -> None:
        await heard.put(message.payload)

    async with connect(url, "test", Metrics()) as bus, asyncio.timeout(60):
        listening = asyncio.create_task(bus.listen("tick.>", take))
        await asyncio.sleep(0)  # it has subscribed when it waits for the first message
        for payload in payloads:
            assert await bus.publish("tick.a", payload)
        got = [await heard.get() for _ in payloads]
        listening.cancel()
        return got


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_bursts_and_large_messages_arrive_whole_and_in_order(
    nats_url: str, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    payloads = [LARGE, *(str(number).encode() for number in range(5_000)), b"", LARGE]
    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(_echoed(nats_url, payloads)) == payloads


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_tls_is_spoken_to_a_server_whose_certificate_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    with _encrypted_server(tmp_path) as (url, certificate):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with asyncio.Runner(loop_factory=new_loop) as runner:
            assert runner.run(_echoed(url, [b"tick", LARGE])) == [b"tick", LARGE]


@contextmanager
def _encrypted_server(folder: Path) -> Iterator[tuple[str, Path]]:
    certificate, port = _certificate(folder), free_port()
    command = [str(Path(sys.executable).with_name("nats-server")), "--addr", "127.0.0.1", "--port", str(port)]
    command += ["--tls", "--tlscert", str(certificate), "--tlskey", str(certificate)]
    with process(command, env=dict(os.environ), log=folder / "nats.log"):
        wait_until(lambda: accepts(port), "nats-server")
        yield f"tls://localhost:{port}", certificate


def _certificate(folder: Path) -> Path:
    """A key and a certificate for localhost, signed by itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + signed.public_bytes(Encoding.PEM)
    )
    return path
