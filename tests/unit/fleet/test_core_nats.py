"""What is heard on a wire of NATS, however the network cuts it, and what is said."""

import asyncio
from collections.abc import Callable

import pytest

from fleet.consumption import Message
from fleet.core_nats import CoreNats, Letter, Server, servers
from fleet.nats_wire import LINE_BYTES_MOST, STATUS, Listener, NatsLost, Straight, Subscription, Wire

SAID = b'INFO {"max_payload":9}\r\nMSG a.b 1 4\r\ntick\r\nPING\r\nMSG a.c 1 reply.to 2\r\n\r\n\r\nPONG\r\n'


class Sent(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high == 0, "What is written must leave at once."

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


def subscription(
    messages_most: int = 100, bytes_most: int = 1000, lost: Callable[[], None] = lambda: None
) -> Subscription:
    return Subscription("a.>", messages_most, bytes_most, lost)


def a_wire(heard: Listener | None = None) -> tuple[Wire, Sent, list[str]]:
    complaints: list[str] = []
    wire, transport = Wire({1: heard}.get, complaints.append), Sent()
    wire.connection_made(transport)
    return wire, transport, complaints


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 16, 1000])
async def test_messages_are_read_however_the_bytes_are_cut(piece: int) -> None:
    heard = subscription()
    wire, transport, _ = a_wire(heard)
    pong = wire.ping()
    for at in range(0, len(SAID), piece):
        wire.data_received(SAID[at : at + piece])
    assert await heard.next() == Message("a.b", b"tick", {})
    assert await heard.next() == Message("a.c", b"\r\n", {})
    await asyncio.sleep(0)
    assert (pong.done(), wire.mute_s, wire.payload_most) == (True, 0.0, 9)
    assert b"".join(transport.written) == b"PING\r\nPONG\r\n"


@pytest.mark.parametrize("piece", [1, 5, 1000])
async def test_of_headers_only_the_server_s_own_word_is_read(piece: int) -> None:
    heard: list[Message] = []
    wire, _, _ = a_wire(Straight("a.>", heard.append))
    said = b"HMSG a.b 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\nHMSG a.c 1 me 21 23\r\nNATS/1.0\r\nName: x\r\n\r\nhi\r\n"
    for at in range(0, len(said), piece):
        wire.data_received(said[at : at + piece])
    assert heard == [Message("a.b", b"", {STATUS: "503"}), Message("a.c", b"hi", {})]


async def test_letters_leave_in_one_piece_with_their_headers() -> None:
    core = CoreNats("nats://127.0.0.1", "test", lambda _said: None, retry_s=1, ping_every_s=1, mute_most_s=1)
    with pytest.raises(NatsLost):
        core.framed(Letter("a", "b", b"", b""))
    core._wire, transport, _ = a_wire()
    core._wire.data_received(SAID)
    await asyncio.sleep(0)
    transport.written.clear()
    core.post([core.framed(Letter("a", "me", b"H\r\n\r\n", b"one")), core.framed(Letter("a", "me", b"H", b"two"))])
    assert transport.written == [b"HPUB a me 5 8\r\nH\r\n\r\none\r\nHPUB a me 1 4\r\nHtwo\r\n"]
    with pytest.raises(ValueError, match="9 bytes"):
        core.framed(Letter("a", "me", b"H", bytes(9)))


async def test_the_first_message_of_a_turn_leaves_at_once_and_the_others_together() -> None:
    wire, transport, _ = a_wire()
    for part in (b"one", b"two", b"three"):
        wire.send(part)
    assert (transport.written, wire.unsent_bytes) == ([b"one"], 8)
    await asyncio.sleep(0)
    assert (transport.written, wire.unsent_bytes) == ([b"one", b"twothree"], 0)


async def test_a_full_subscription_keeps_the_newest_and_counts_the_others() -> None:
    lost: list[None] = []
    heard = subscription(messages_most=2, bytes_most=5, lost=lambda: lost.append(None))
    for payload in (b"1", b"2", b"3", b"44444"):
        heard.put(Message("a", payload, {}))
    assert (await heard.next()).payload == b"44444"
    assert len(lost) == 3


@pytest.mark.parametrize("nonsense", [b"HTTP/1.1 400 Bad Request\r\n", b"MSG a 1 x\r\n", b"MSG a\r\n", b"INFO {\r\n"])
async def test_a_server_that_speaks_something_else_is_left(nonsense: bytes) -> None:
    wire, transport, _ = a_wire(subscription())
    wire.data_received(nonsense)
    assert transport.aborted
    wire.connection_lost(None)
    assert "no NATS" in await wire.lost


async def test_a_line_without_an_end_is_not_kept_for_ever() -> None:
    wire, transport, _ = a_wire()
    for _ in range(LINE_BYTES_MOST // 65_536 + 1):
        wire.data_received(b"x" * 65_536)
    assert transport.aborted


async def test_a_complaint_is_passed_on_and_is_the_reason_of_the_end() -> None:
    wire, _, complaints = a_wire()
    pong = wire.ping()
    wire.data_received(b"-ERR 'Authorization Violation'\r\n")
    wire.connection_lost(None)
    assert complaints == ["Authorization Violation"]
    with pytest.raises(NatsLost, match="Authorization Violation"):
        await pong


@pytest.mark.parametrize("subject", ["", "a b", "a..b", "a.*", "a.>", "a\r\nPUB b 0", ".a"])
async def test_what_is_no_subject_is_not_published_to(subject: str) -> None:
    core = CoreNats("nats://127.0.0.1", "test", lambda _said: None, retry_s=1, ping_every_s=1, mute_most_s=1)
    core._wire, _, _ = a_wire()
    core._wire.data_received(SAID)
    with pytest.raises(ValueError, match="no subject"):
        core.publish(subject, b"")


@pytest.mark.parametrize(
    ("urls", "expected"),
    [
        ("nats://one", Server("one", 4222, False, {})),
        ("tls://trader:a%40b@one:5000", Server("one", 5000, True, {"user": "trader", "pass": "a@b"})),
        ("token@one:4223", Server("one", 4223, False, {"auth_token": "token"})),
    ],
)
def test_a_url_says_where_and_who(urls: str, expected: Server) -> None:
    assert servers(f"{urls},nats://two:1") == [expected, Server("two", 1, False, {})]
