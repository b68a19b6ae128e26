"""Repeated requests: remembered, refused while under way, and served when the memory is lost."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from builders.gateway import until
from fastapi import Request, Response

from fleet.cache import ProcessCache
from services.gateway.auth import ALL_SCOPES, Keys, Principal
from services.gateway.door import LARGEST_KEPT_REPLY_BYTES, Bounds, Door
from services.gateway.limits import RateLimiter
from trading.clock import ManualClock
from trading.errors import PermissionDenied, TradingError, Unavailable

KEY = "nt_me_0123456789abcdef"
ME = Principal("me", ALL_SCOPES)


class LostCache:
    """A cache that does not answer."""

    async def get(self, key: str) -> bytes | None:
        raise Unavailable("Redis does not answer.")

    async def put_many(self, values: Mapping[str, bytes], ttl_s: float) -> None:
        raise Unavailable("Redis does not answer.")

    async def check(self) -> None:
        raise Unavailable("Redis does not answer.")


def a_door(replies: Any = None) -> Door:
    """A door that knows one key."""
    keys = Keys()
    keys.add(KEY, ALL_SCOPES)
    limiter = RateLimiter(ManualClock(), per_second=1, burst=100, callers_max=10)
    return Door(keys, limiter, limiter, replies or ProcessCache(), Bounds(1.0, 100, 100, 60.0))


def a_request(body: bytes = b"{}", key: str = "k") -> Request:
    """A POST with an Idempotency-Key."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"idempotency-key", key.encode()), (b"authorization", f"Bearer {KEY}".encode())]
    scope = {"type": "http", "method": "POST", "path": "/x", "query_string": b"", "headers": headers}
    return Request(scope | {"server": ("x", 80), "scheme": "http", "client": ("1.2.3.4", 5)}, receive)


class Answers:
    """Counts how often it was asked."""

    def __init__(self, content: bytes = b"{}", status: int = 200) -> None:
        self.count = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self._content = content
        self._status = status

    async def __call__(self) -> Response:
        self.count += 1
        await self.gate.wait()
        return Response(self._content, self._status, media_type="application/json")


async def test_a_reply_is_given_again() -> None:
    door, answers = a_door(), Answers(b'{"n":1}', 202)
    first = await door.once(a_request(), ME, answers)
    again = await door.once(a_request(), ME, answers)
    assert answers.count == 1
    assert (again.body, again.status_code, again.headers["content-type"]) == (
        first.body,
        202,
        first.headers["content-type"],
    )


async def test_another_caller_has_keys_of_its_own() -> None:
    door, answers = a_door(), Answers()
    await door.once(a_request(), ME, answers)
    await door.once(a_request(), Principal("you", ALL_SCOPES), answers)
    assert answers.count == 2


async def test_a_request_under_way_is_not_begun_twice() -> None:
    door, answers = a_door(), Answers()
    answers.gate.clear()
    first = asyncio.create_task(door.once(a_request(), ME, answers))
    await until(lambda: answers.count == 1)
    with pytest.raises(TradingError) as refusal:
        await door.once(a_request(), ME, answers)
    assert refusal.value.reason == "REQUEST_UNDER_WAY"
    answers.gate.set()
    await first


@pytest.mark.parametrize(
    "answers", [Answers(status=503), Answers(b"x" * (LARGEST_KEPT_REPLY_BYTES + 1))], ids=["a fault", "a large reply"]
)
async def test_faults_and_large_replies_are_not_kept(answers: Answers) -> None:
    door = a_door()
    await door.once(a_request(), ME, answers)
    await door.once(a_request(), ME, answers)
    assert answers.count == 2


async def test_a_lost_cache_stops_nothing() -> None:
    door, answers = a_door(LostCache()), Answers()
    assert (await door.once(a_request(), ME, answers)).status_code == 200
    assert (await door.once(a_request(), ME, answers)).status_code == 200


async def test_a_key_of_the_wrong_kind_is_left_to_the_route() -> None:
    door, answers = a_door(), Answers()
    await door.once(a_request(key="no blanks"), ME, answers)
    await door.once(a_request(key="no blanks"), ME, answers)
    assert answers.count == 2


async def test_a_route_without_a_scope_lets_nobody_in() -> None:
    with pytest.raises(PermissionDenied):
        a_door().admit(a_request(), None)
