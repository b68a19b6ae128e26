"""How the body of a request is read."""

import asyncio
from collections.abc import Iterator

import pytest
from starlette.exceptions import HTTPException
from starlette.types import Message

from fleet import deadline
from services.gateway.routes.route import StrictRequest

SCOPE = {"type": "http", "method": "POST", "headers": []}


@pytest.fixture(autouse=True)
def no_deadline() -> Iterator[None]:
    """A deadline is this test's own."""
    yield
    deadline.begin(None)


def a_request(*chunks: bytes, ends: bool = True) -> StrictRequest:
    """A request whose body comes in these chunks, and then ends or does not."""
    left = list(chunks)

    async def receive() -> Message:
        if not left:
            await asyncio.Event().wait()
        chunk = left.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(left) or not ends}

    request = StrictRequest(SCOPE, receive)
    request.body_bytes_max = 1024
    return request


async def test_a_body_that_does_not_end_is_waited_for_no_longer_than_the_request_may_take() -> None:
    """Who sends a byte a minute holds nothing."""
    deadline.begin(0.05)
    with pytest.raises(HTTPException) as refused:
        await a_request(b'{"sym', ends=False).body()
    assert refused.value.status_code == 408
    assert refused.value.headers == {"Connection": "close"}


async def test_names_are_looked_at_once_and_at_every_depth() -> None:
    """A bulk body, of numbers by the million, is spared that."""
    doubled = b'{"a":[{"b":1,"b":2}]}'
    with pytest.raises(HTTPException) as refused:
        await a_request(doubled).json()
    assert (refused.value.status_code, refused.value.detail) == (400, "The body names 'b' twice.")
    bulk = a_request(doubled)
    bulk.is_bulk = True
    assert await bulk.json() == {"a": [{"b": 2}]}


async def test_long_numbers_are_no_reason_to_refuse() -> None:
    """Whether they fit is their field's to say."""
    assert await a_request(b'{"a":', b"1" * 900, b"}").json() == {"a": int("1" * 900)}
