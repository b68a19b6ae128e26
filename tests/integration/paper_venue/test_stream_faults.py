"""Every fault of streams strikes the running venue as it says, on each protocol."""

import time
from collections import Counter
from contextlib import suppress
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from builders.fault_script import PATIENCE_S, PROTOCOLS, SHORT_S, Script, around, gaps, hear, subscribed
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.sync.client import connect


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_dropped_trades_leave_a_hole(coin: Any, script: Script, protocol: str) -> None:
    with subscribed(coin, protocol) as socket:
        ids = around(
            socket,
            lambda: script.arm("drop", protocol=protocol, channel="trades", count=3),
            script,
            3,
            lambda heard: sum(gaps(heard)) >= 3,
        )

    assert sum(gaps(ids)) == 3
    assert ids == sorted(set(ids))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_doubled_trades_come_twice(coin: Any, script: Script, protocol: str) -> None:
    with subscribed(coin, protocol) as socket:
        ids = around(
            socket,
            lambda: script.arm("duplicate", protocol=protocol, symbols=["BTCUSDT"], count=2),
            script,
            2,
            lambda heard: len(heard) - len(set(heard)) >= 2,
        )

    assert sum(count - 1 for count in Counter(ids).values()) == 2
    assert gaps(sorted(set(ids))) == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_reordered_trades_change_places_with_the_next(coin: Any, script: Script, protocol: str) -> None:
    with subscribed(coin, protocol) as socket:
        ids = around(
            socket,
            lambda: script.arm("reorder", protocol=protocol, channel="trades", count=1),
            script,
            seen=lambda heard: heard != sorted(heard),
        )

    assert [later - earlier for earlier, later in pairwise(ids) if later != earlier + 1] == [2, -1, 2]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_late_trade_is_overtaken_by_others(coin: Any, script: Script, protocol: str) -> None:
    with subscribed(coin, protocol) as socket:
        ids = around(
            socket,
            lambda: script.arm("late", protocol=protocol, channel="trades", count=1, delay_s=SHORT_S),
            script,
            seen=lambda heard: heard != sorted(heard) and not gaps(sorted(heard)),
        )

    (back,) = [earlier - later for earlier, later in pairwise(ids) if later < earlier]
    assert back > 3


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_delayed_stream_keeps_its_order(coin: Any, script: Script, protocol: str) -> None:
    with subscribed(coin, protocol) as socket:
        began = time.monotonic()
        ids = around(
            socket,
            lambda: script.arm("delay", protocol=protocol, transport="stream", count=2, delay_s=SHORT_S),
            script,
            2,
        )
        took_s = time.monotonic() - began

    assert gaps(ids) == []
    assert took_s >= SHORT_S


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_mute_stream_stays_open_and_speaks_again(coin: Any, script: Script, protocol: str) -> None:
    with subscribed(coin, protocol) as socket:
        hear(socket, bool)
        fault_id = script.arm("mute", protocol=protocol, transport="stream", duration_s=60.0)
        script.until_it_strikes(fault_id)
        with suppress(TimeoutError):
            while True:
                socket.recv(timeout=0.5)  # what was under way before the fault
        script.call("DELETE")
        assert len(hear(socket, lambda ids: len(ids) > 20)) > 20
        assert socket.close_code is None


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_connection_is_reset_at_once_without_a_farewell(coin: Any, script: Script, protocol: str) -> None:
    with subscribed(coin, protocol) as socket:
        hear(socket, bool)
        fault_id = script.arm("disconnect", protocol=protocol, transport="stream", count=1)
        with pytest.raises(ConnectionClosed) as closed:
            hear(socket, lambda _: False)
    assert closed.value.rcvd is None
    assert script.hits(fault_id) == 1
    with subscribed(coin, protocol) as again:
        assert hear(again, bool)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_connection_is_closed_with_a_code(coin: Any, script: Script, protocol: str) -> None:
    with subscribed(coin, protocol) as socket:
        hear(socket, bool)
        script.arm("disconnect", protocol=protocol, transport="stream", count=1, code=1012)
        with pytest.raises(ConnectionClosed) as closed:
            hear(socket, lambda _: False)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_connection_ends_in_the_place_of_a_message(coin: Any, script: Script, protocol: str) -> None:
    """Everything before that message has arrived."""
    ids: list[int] = []
    with subscribed(coin, protocol) as socket:
        ids += hear(socket, bool)
        script.arm("disconnect", protocol=protocol, channel="trades", count=1, code=1001)
        with pytest.raises(ConnectionClosed):
            hear(socket, lambda heard: ids.extend(heard) or False)
    assert ids


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_refused_connections_are_reset_before_they_open(coin: Any, script: Script, protocol: str) -> None:
    with subscribed(coin, protocol) as older:
        script.arm("refuse", protocol=protocol, transport="stream", count=1)
        with pytest.raises((ConnectionResetError, InvalidMessage, EOFError)), subscribed(coin, protocol):
            pass
        assert hear(older, bool)
    with subscribed(coin, protocol) as again:
        assert hear(again, bool)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_upgrade_is_answered_with_a_status(coin: Any, script: Script, protocol: str, status: int) -> None:
    script.arm("status", protocol=protocol, transport="stream", count=1, status=status, retry_after_s=2)
    with pytest.raises(InvalidStatus) as refused, subscribed(coin, protocol):
        pass

    assert refused.value.response.status_code == status
    assert refused.value.response.headers["Retry-After"] == "2"


def test_msgpack_frames_suffer_alike_and_stay_whole(coin: Any, script: Script) -> None:
    headers = coin.headers | {"Content-Type": "application/msgpack"}
    script.arm("duplicate", protocol="alpaca", channel="trades", count=1)
    with connect(coin.alpaca["crypto_stream"], proxy=None, additional_headers=headers) as socket:
        socket.send(msgspec.msgpack.encode({"action": "subscribe", "trades": ["*"]}))
        trades: list[dict[str, Any]] = []
        while len(trades) < 20:
            frame = socket.recv(timeout=PATIENCE_S)
            assert isinstance(frame, bytes)
            trades += [each for each in msgspec.msgpack.decode(frame) if each["T"] == "t"]

    assert trades[0] == trades[1]
    assert gaps([trade["i"] for trade in trades[1:]]) == []
    assert {trade["t"].tzinfo is not None for trade in trades} == {True}
