"""One client's queue, and the hub that fills it."""

import asyncio
import json
from typing import Any

from builders.gateway import until

from fleet.metrics import Metrics
from services.gateway.auth import Principal
from services.gateway.websocket.frames import Channel, CloseCode, Type, frame, note
from services.gateway.websocket.hub import STALLED_NS_MAX, Hub, StreamLimits
from services.gateway.websocket.session import Session
from trading.clock import ManualClock


class Socket:
    """A client's end: keeps what it got, and takes nothing while its gate is shut."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.closed: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def send(self, text: str) -> None:
        await self.gate.wait()
        self.got.append(json.loads(text))

    def close(self, code: int, _reason: str) -> None:
        self.closed.append(code)


def a_session(socket: Socket, queue_max: int = 16, clock: ManualClock | None = None) -> Session:
    """A session of a client that is known."""
    return Session(socket.send, socket.close, clock or ManualClock(), queue_max, Principal("me", frozenset()))


def a_hub(clock: ManualClock | None = None, heartbeat_s: float = 15.0) -> Hub:
    return Hub(StreamLimits(10, 10, 16, 1.0, heartbeat_s), clock or ManualClock(), Metrics())


def quote(symbol: str, bid: int, skipped: int = 0) -> Any:
    return frame(Channel.QUOTES, symbol, {"bid": bid}, 1, symbol=symbol, skipped=skipped)


def trade(number: int) -> Any:
    return frame(Channel.TRADES, "AAPL", {"n": number}, 1, symbol="AAPL")


async def drained(session: Session) -> None:
    """Let the writer send whatever waits."""
    writer = asyncio.create_task(session.write())
    await until(lambda: not session._queue and session.sending_since_ns is None)
    writer.cancel()


async def test_the_newest_quote_wins_and_says_how_many_it_stands_for() -> None:
    socket = Socket()
    session = a_session(socket)
    for bid in (1, 2, 3):
        session.offer(quote("AAPL", bid, skipped=bid))
    session.offer(quote("MSFT", 9))
    await drained(session)
    assert [(got["symbol"], got["seq"], got["data"]["bid"]) for got in socket.got] == [("AAPL", 1, 3), ("MSFT", 2, 9)]
    assert [got.get("skipped") for got in socket.got] == [1 + 2 + 3 + 2, None]
    assert session.conflated == 2


async def test_a_quote_after_one_was_sent_is_new_again() -> None:
    socket = Socket()
    session = a_session(socket)
    for bid in (1, 2):
        session.offer(quote("AAPL", bid))
        await drained(session)
    assert [(got["seq"], got["data"]["bid"]) for got in socket.got] == [(1, 1), (2, 2)]


async def test_a_snapshot_and_a_gap_are_never_conflated_away() -> None:
    socket = Socket()
    session = a_session(socket)
    for kind in (Type.SNAPSHOT, Type.UPDATE, Type.GAP, Type.UPDATE):
        session.offer(frame(Channel.QUOTES, "AAPL", {}, 1, type=kind, symbol="AAPL"))
    await drained(session)
    assert [got["type"] for got in socket.got] == ["snapshot", "update", "gap"]


async def test_trades_come_one_by_one_until_there_is_no_room() -> None:
    session = a_session(Socket(), queue_max=3)
    assert [session.offer(trade(number)) for number in range(4)] == [True, True, True, False]
    assert not session.tell(note("heartbeat"))


async def test_a_full_queue_still_takes_a_newer_quote_in_place_of_an_older() -> None:
    session = a_session(Socket(), queue_max=2)
    session.offer(quote("AAPL", 1))
    session.offer(trade(1))
    assert session.offer(quote("AAPL", 2))
    assert not session.offer(quote("MSFT", 1))


async def test_seq_counts_each_channel_by_itself() -> None:
    socket = Socket()
    session = a_session(socket)
    for item in (trade(1), quote("AAPL", 1), trade(2)):
        session.offer(item)
    session.tell(note("ack"))
    await drained(session)
    assert [(got.get("channel"), got.get("seq")) for got in socket.got] == [
        ("trades", 1),
        ("quotes", 1),
        ("trades", 2),
        (None, None),
    ]


async def test_room_is_waited_for_until_half_of_the_queue_is_free() -> None:
    socket = Socket()
    session = a_session(socket, queue_max=4)
    socket.gate.clear()
    writer = asyncio.create_task(session.write())
    for number in range(4):
        session.offer(trade(number))
    waiting = asyncio.create_task(session.room())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    socket.gate.set()
    await waiting
    writer.cancel()


async def test_the_hub_sends_only_what_is_followed() -> None:
    hub, socket = a_hub(), Socket()
    session = a_session(socket)
    hub.enter(session)
    hub.follow(session, Channel.TRADES, ["AAPL"])
    hub.publish(trade(1))
    hub.publish(quote("AAPL", 1))
    hub.unfollow(session, Channel.TRADES, [])
    hub.publish(trade(2))
    await drained(session)
    assert [got["data"] for got in socket.got] == [{"n": 1}]
    assert not hub.has_audience(Channel.TRADES, "AAPL")


async def test_a_durable_frame_waits_for_the_past_and_comes_once() -> None:
    hub, socket = a_hub(), Socket()
    session = a_session(socket)
    hub.enter(session)
    hub.follow(session, Channel.ORDERS, ["main"])

    def publish(position: int) -> None:
        event = frame(Channel.ORDERS, "main", {}, 1, cursor=position)
        event.position = position
        hub.publish(event)

    publish(1)
    session.positions[Channel.ORDERS, "main"] = 2
    for position in (2, 3, 3, 5):
        publish(position)
    await drained(session)
    assert [got["cursor"] for got in socket.got] == ["3", "5"]


async def test_who_does_not_keep_up_is_sent_away_and_forgotten() -> None:
    hub, socket = a_hub(), Socket()
    session = a_session(socket, queue_max=1)
    hub.enter(session)
    hub.follow(session, Channel.TRADES, ["AAPL"])
    hub.publish(trade(1))
    hub.publish(trade(2))
    assert socket.closed == [CloseCode.TOO_SLOW]
    assert session.is_closed
    assert not hub.has_audience(Channel.TRADES, "AAPL")


async def test_a_client_that_has_stopped_reading_is_found_by_the_heartbeat() -> None:
    clock = ManualClock()
    hub, socket = a_hub(clock, heartbeat_s=0.001), Socket()
    session = a_session(socket, clock=clock)
    hub.enter(session)
    socket.gate.clear()
    writer = asyncio.create_task(session.write())
    session.offer(trade(1))
    await until(lambda: session.sending_since_ns is not None)
    clock.advance(STALLED_NS_MAX + 1)
    beat = asyncio.create_task(hub.beat())
    await until(lambda: bool(socket.closed), pause_s=0.001)
    beat.cancel()
    writer.cancel()
    assert socket.closed == [CloseCode.TOO_SLOW]


async def test_everybody_is_told_when_the_gateway_goes() -> None:
    hub, sockets = a_hub(), [Socket(), Socket()]
    for socket in sockets:
        hub.enter(a_session(socket))
    hub.close_all()
    assert [socket.closed for socket in sockets] == [[CloseCode.GOING_AWAY], [CloseCode.GOING_AWAY]]


def test_a_frame_is_encoded_once_and_written_for_each_client() -> None:
    shared = quote("AAPL", 5)
    first, second = json.loads(shared.text(7, 0)), json.loads(shared.text(9, 3))
    assert (first["seq"], second["seq"], second.pop("skipped")) == (7, 9, 3)
    assert first | {"seq": 9} == second
