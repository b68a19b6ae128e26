"""Alpaca's trading stream over raw sockets: who may listen, to what, and what becomes of those who do not read."""

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect


async def test_a_stranger_is_not_authorized_on_the_trading_stream(venue: Any) -> None:
    async with connect(venue.alpaca["trading_stream"], proxy=None) as socket:
        await socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        assert json.loads(await socket.recv())["data"]["status"] == "unauthorized"
        for _ in range(2):
            await socket.send(json.dumps({"action": "authenticate", "data": {"key_id": "x", "secret_key": "y"}}))
            answer = await socket.recv()
            assert isinstance(answer, bytes)
            assert json.loads(answer)["data"] == {"status": "unauthorized", "action": "authenticate"}
        await asyncio.wait_for(socket.wait_closed(), 60)


async def test_a_silent_stranger_is_cut_off_from_the_trading_stream(open_venue: Any) -> None:
    with open_venue("--auth-timeout-s", "0.2", "--symbols", "AAPL") as hasty:
        async with connect(hasty.alpaca["trading_stream"], proxy=None) as socket:
            await asyncio.wait_for(socket.wait_closed(), 60)
            assert socket.close_code == 1008


async def test_who_does_not_read_order_events_is_cut_off_and_orders_go_on(open_venue: Any) -> None:
    body = {"symbol": "AAPL", "qty": "100000", "side": "buy", "type": "market", "time_in_force": "day"}
    with open_venue("--outbox-updates", "1", "--symbols", "AAPL", "--cash", "1000000000") as venue:
        async with connect(venue.alpaca["trading_stream"], proxy=None, additional_headers=venue.headers) as socket:
            await socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
            await socket.recv()
            answer = await asyncio.to_thread(venue.call, "POST", "/v2/orders", json=body)
            await asyncio.wait_for(socket.wait_closed(), 60)
        filled = venue.get(f"/v2/orders/{answer.json()['id']}")

    assert (answer.status_code, filled["status"]) == (200, "filled")


async def test_unknown_streams_are_left_out_and_an_empty_list_stops(venue: Any) -> None:
    async with connect(venue.alpaca["trading_stream"], proxy=None) as socket:
        await socket.send(json.dumps({"action": "auth", "key": venue.alpaca["key"], "secret": venue.alpaca["secret"]}))
        assert json.loads(await socket.recv())["data"]["status"] == "authorized"
        for asked, heard in ((["trade_updates", "gossip"], ["trade_updates"]), ([], [])):
            await socket.send(json.dumps({"action": "listen", "data": {"streams": asked}}))
            assert json.loads(await socket.recv()) == {"stream": "listening", "data": {"streams": heard}}


@pytest.mark.parametrize(
    ("terms", "told"),
    [
        ({"type": "market", "time_in_force": "day"}, ["new", "fill"]),
        ({"type": "stop", "stop_price": "1", "time_in_force": "day"}, ["new", "fill"]),
        ({"type": "limit", "limit_price": "1", "time_in_force": "ioc"}, ["new", "canceled"]),
    ],
)
async def test_the_events_of_an_order_come_in_its_order(venue: Any, terms: dict[str, str], told: list[str]) -> None:
    body = {"symbol": "NVDA", "qty": "10", "side": "buy", **terms}
    async with connect(venue.alpaca["trading_stream"], proxy=None, additional_headers=venue.headers) as socket:
        await socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        await socket.recv()
        answer = await asyncio.to_thread(venue.call, "POST", "/v2/orders", json=body)
        heard = [json.loads(await asyncio.wait_for(socket.recv(), 60))["data"] for _ in told]

    assert [each["event"] for each in heard] == told
    assert {each["order"]["id"] for each in heard} == {answer.json()["id"]}
    if told[-1] == "fill":
        assert (heard[-1]["order"]["status"], heard[-1]["qty"]) == ("filled", "10")
        assert heard[-1]["execution_id"]
