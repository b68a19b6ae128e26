"""Scripted faults: when they are active, what they concern, and what they leave of a stream."""

import asyncio
from typing import Any

import msgspec
import pytest
from builders.paper_venue import INSTRUMENTS, until

from services.paper_venue.faults.fault import (
    Board,
    Channel,
    Fault,
    Kind,
    Message,
    Place,
    Protocol,
    TooManyFaults,
    Transport,
)
from services.paper_venue.faults.messages import Frame, Reader
from services.paper_venue.faults.sockets import FaultySocket
from services.paper_venue.faults.wires import Wires
from trading.clock import SECOND_NS, ManualClock
from trading.instruments import Instruments

READER = Reader(Instruments(INSTRUMENTS))
ORDERS = Place(Protocol.ALPACA, Transport.HTTP, "/v2/orders", "POST")
TRADES = Place(Protocol.ALPACA, Transport.STREAM, "/v2/iex")


def a_board(most: int = 100) -> tuple[Board, ManualClock]:
    clock = ManualClock()
    return Board(clock.monotonic_ns, most), clock


def test_a_count_bounds_how_often_a_fault_strikes() -> None:
    board, _ = a_board()
    armed = board.arm(Fault(Kind.DROP, count=2))

    assert [board.strike(armed) for _ in range(3)] == [True, True, False]
    assert board.covering(TRADES) == []
    assert [(each.hits, active) for each, active in board.listed()] == [(2, False)]


def test_a_duration_bounds_how_long_a_fault_strikes() -> None:
    board, clock = a_board()
    armed = board.arm(Fault(Kind.MUTE, duration_s=2.0))
    assert board.covering(TRADES) == [armed]
    clock.advance(2 * SECOND_NS)

    assert board.covering(TRADES) == []
    assert not board.strike(armed)


def test_a_fault_without_bounds_stays_until_it_is_taken_back() -> None:
    board, clock = a_board()
    armed = board.arm(Fault(Kind.MUTE))
    clock.advance(10**6 * SECOND_NS)
    assert board.strike(armed)

    assert (board.disarm(armed.fault_id), board.disarm(armed.fault_id)) == (True, False)
    assert not board.strike(armed)


def test_spent_faults_make_room_and_active_ones_do_not() -> None:
    board, _ = a_board(most=2)
    spent = board.arm(Fault(Kind.DROP, count=1))
    board.strike(spent)
    board.arm(Fault(Kind.DROP))
    board.arm(Fault(Kind.DROP))

    assert spent.fault_id not in [armed.fault_id for armed, _ in board.listed()]
    with pytest.raises(TooManyFaults):
        board.arm(Fault(Kind.DROP))


@pytest.mark.parametrize(
    ("fault", "place", "covered"),
    [
        (Fault(Kind.DROP), ORDERS, True),
        (Fault(Kind.DROP, protocol=Protocol.BINANCE), ORDERS, False),
        (Fault(Kind.DROP, transport=Transport.STREAM), ORDERS, False),
        (Fault(Kind.DROP, path="/v2/ord"), ORDERS, True),
        (Fault(Kind.DROP, path="/v2/pos"), ORDERS, False),
        (Fault(Kind.DROP, method="post"), ORDERS, True),
        (Fault(Kind.DROP, method="DELETE"), ORDERS, False),
        (Fault(Kind.DROP, channel=Channel.ORDERS), ORDERS, False),
        (Fault(Kind.DROP, event="fill"), ORDERS, False),
        (Fault(Kind.DROP, channel=Channel.ORDERS), TRADES, True),
        (Fault(Kind.DUPLICATE), ORDERS, False),
        (Fault(Kind.DUPLICATE), TRADES, True),
    ],
)
def test_a_fault_covers_its_scope(fault: Fault, place: Place, covered: bool) -> None:
    assert fault.covers(place) is covered


@pytest.mark.parametrize(
    ("fault", "picked"),
    [
        (Fault(Kind.DROP), True),
        (Fault(Kind.DROP, channel=Channel.ORDERS), True),
        (Fault(Kind.DROP, channel=Channel.TRADES), False),
        (Fault(Kind.DROP, event="fill"), True),
        (Fault(Kind.DROP, event="new"), False),
        (Fault(Kind.DROP, symbols=("MSFT", "AAPL")), True),
        (Fault(Kind.DROP, symbols=("MSFT",)), False),
    ],
)
def test_a_fault_picks_messages_and_a_fill_may_be_partial(fault: Fault, picked: bool) -> None:
    assert fault.picks(Message(Channel.ORDERS, frozenset({"AAPL"}), "partial_fill")) is picked


UPDATE = {"stream": "trade_updates", "data": {"event": "new", "order": {"symbol": "BTC/USD"}}}
REPORT = {"e": "executionReport", "s": "BTCUSDT", "x": "TRADE", "X": "PARTIALLY_FILLED"}
BTC, AAPL, NOBODY = frozenset({"BTC-USDT"}), frozenset({"AAPL"}), frozenset[str]()


@pytest.mark.parametrize(
    ("protocol", "values", "message"),
    [
        ("alpaca", {"T": "t", "S": "AAPL"}, Message(Channel.TRADES, AAPL)),
        ("alpaca", {"T": "q", "S": "BTC/USD"}, Message(Channel.QUOTES, BTC)),
        ("alpaca", {"T": "d", "S": "AAPL"}, Message(Channel.BARS, AAPL)),
        ("alpaca", {"T": "success", "msg": "connected"}, Message(Channel.CONTROL)),
        ("alpaca", {"stream": "listening", "data": {}}, Message(Channel.CONTROL)),
        ("alpaca", UPDATE, Message(Channel.ORDERS, BTC, "new")),
        ("polygon", {"ev": "T", "sym": "AAPL"}, Message(Channel.TRADES, AAPL)),
        ("polygon", {"ev": "XQ", "pair": "BTC-USD"}, Message(Channel.QUOTES, BTC)),
        ("polygon", {"ev": "XA", "pair": "BTC-USD"}, Message(Channel.BARS, BTC)),
        ("polygon", {"ev": "status", "status": "connected"}, Message(Channel.CONTROL)),
        ("binance", {"e": "aggTrade", "s": "BTCUSDT"}, Message(Channel.TRADES, BTC)),
        ("binance", {"stream": "btcusdt@kline_1m", "data": {"e": "kline", "s": "BTCUSDT"}}, Message(Channel.BARS, BTC)),
        ("binance", {"u": 1, "s": "BTCUSDT", "b": "1"}, Message(Channel.QUOTES, BTC)),
        ("binance", {"e": "depthUpdate", "s": "BTCUSDT"}, Message(Channel.BOOKS, BTC)),
        ("binance", {"lastUpdateId": 1, "bids": []}, Message(Channel.BOOKS)),
        ("binance", {"stream": "btcusdt@depth5", "data": {"lastUpdateId": 1}}, Message(Channel.BOOKS, BTC)),
        ("binance", {"subscriptionId": 0, "event": REPORT}, Message(Channel.ORDERS, BTC, "partial_fill")),
        ("binance", REPORT | {"X": "FILLED"}, Message(Channel.ORDERS, BTC, "fill")),
        ("binance", {"e": "24hrMiniTicker", "s": "BTCUSDT"}, Message(Channel.OTHER, BTC)),
        ("binance", {"result": None, "id": 1}, Message(Channel.CONTROL)),
        ("binance", {"stream": "!miniTicker@arr", "data": []}, Message(Channel.OTHER)),
        ("binance", 7, Message(Channel.OTHER)),
    ],
)
def test_messages_of_every_protocol_are_understood(protocol: str, values: Any, message: Message) -> None:
    assert READER.read(Protocol(protocol), values) == message


@pytest.mark.parametrize("name", ["BTC/USD", "X:BTCUSD", "BTCUSDT", "btc-usdt"])
def test_every_spelling_is_one_symbol(name: str) -> None:
    assert READER.canonical(name) == "BTC-USDT"


def test_an_unknown_symbol_stays_itself() -> None:
    assert READER.canonical("nope") == "NOPE"


NANOSECONDS = msgspec.msgpack.Ext(-1, b"\x00" * 7 + b"\x01")


@pytest.mark.parametrize(
    ("event", "count"),
    [
        ({"text": '[{"p":1.10},{"p":2e0}]'}, 2),
        ({"text": '{"p":1.10}'}, 1),
        ({"bytes": b'{"p":1.10}'}, 1),
        ({"bytes": msgspec.msgpack.encode([{"t": NANOSECONDS}, {"t": NANOSECONDS}])}, 2),
    ],
)
def test_a_frame_is_taken_apart_and_put_together_byte_by_byte(event: dict[str, Any], count: int) -> None:
    frame = Frame.read({"type": "websocket.send", **event})

    assert len(frame.messages) == count
    assert frame.events(frame.messages) == [{"type": "websocket.send", **event}]


class Line:
    """A connection under faults, and what comes out of it."""

    def __init__(self) -> None:
        self.board, self.clock = a_board()
        self.heard: list[Any] = []
        self.cuts = 0
        self.socket = FaultySocket(TRADES, self.board, READER, self._send, self._cut)

    async def say(self, *ids: int) -> None:
        """Send a frame of trades."""
        trades = [{"T": "t", "S": "AAPL", "i": number} for number in ids]
        await self.socket.send({"type": "websocket.send", "text": msgspec.json.encode(trades).decode()})

    async def _send(self, event: Any) -> None:
        if event["type"] == "websocket.send":
            self.heard.append([trade["i"] for trade in msgspec.json.decode(event["text"])])
        else:
            self.heard.append(event["code"])

    def _cut(self) -> None:
        self.cuts += 1


async def test_without_faults_a_frame_passes_untouched() -> None:
    line = Line()
    await line.say(1, 2)

    assert line.heard == [[1, 2]]


async def test_only_what_is_left_of_a_frame_is_sent() -> None:
    line = Line()
    line.board.arm(Fault(Kind.DROP, symbols=("AAPL",), count=3))
    await line.say(1, 2)
    await line.say(3, 4)

    assert line.heard == [[4]]


async def test_what_is_held_back_follows_the_next_message_even_in_another_frame() -> None:
    line = Line()
    line.board.arm(Fault(Kind.REORDER, count=1, delay_s=60))
    await line.say(1)
    await line.say(2, 3)
    await line.say(4)
    line.socket.forget()

    assert line.heard == [[2, 1, 3], [4]]


async def test_a_delay_is_latency_and_does_not_slow_the_sender() -> None:
    line = Line()
    line.board.arm(Fault(Kind.DELAY, count=1, delay_s=0.02))
    for number in range(50):
        await line.say(number)
    at_once = list(line.heard)
    await until(lambda: len(line.heard) == 50, "the delayed frames")

    assert at_once == []
    assert line.heard == [[number] for number in range(50)]
    await line.say(50)
    assert line.heard[-1] == [50]


async def test_what_comes_before_the_end_is_sent_and_nothing_after_it() -> None:
    line = Line()
    line.board.arm(Fault(Kind.DROP, channel=Channel.QUOTES))
    await line.say(1)
    line.board.arm(Fault(Kind.DISCONNECT, count=1, code=1012))
    await line.say(2, 3)
    await line.say(4)
    await line.socket.end(None)

    assert (line.heard, line.cuts) == ([[1], 1012], 0)


async def test_a_reset_is_the_wires_matter() -> None:
    line = Line()
    await line.socket.end(None)
    await line.say(1)

    assert (line.heard, line.cuts) == ([], 1)


async def test_the_end_of_a_connection_forgets_what_is_late() -> None:
    line = Line()
    line.board.arm(Fault(Kind.LATE, count=1, delay_s=60))
    await line.say(1)
    (late,) = asyncio.all_tasks() - {asyncio.current_task()}
    line.socket.forget()
    await asyncio.wait([late])

    assert late.cancelled()
    assert line.heard == []


def test_a_connection_that_is_gone_is_not_reset() -> None:
    wires = Wires()
    wires.cut(("127.0.0.1", 1))
    wires.attach({_Connection()})
    wires.cut(("127.0.0.1", 1))


class _Connection:
    """Somebody else's; it has no transport to reset."""

    client = ("127.0.0.1", 2)
