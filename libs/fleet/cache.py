"""A small cache that may be shared: Redis where there is one, the process itself elsewhere. Losing it is harmless."""

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Protocol

from trading.errors import InvalidArgument, Unavailable

if TYPE_CHECKING:
    from redis.asyncio import Redis

MOST_ENTRIES = 100_000
TIMEOUT_S = 0.5


class Cache(Protocol):
    """Bytes by key, each with an end."""

    async def get(self, key: str) -> bytes | None:
        """The value, or None when there is none (any more)."""
        ...

    async def put_many(self, values: Mapping[str, bytes], ttl_s: float) -> None:
        """Keep every value for `ttl_s` seconds."""
        ...

    async def check(self) -> None:
        """Raise Unavailable when it does not answer."""
        ...


class ProcessCache:
    """A cache of one process, bounded; the oldest entries give way."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[float, bytes]] = {}

    async def get(self, key: str) -> bytes | None:
        ends_at, value = self._entries.get(key, (0.0, b""))
        return value if ends_at > time.monotonic() else None

    async def put_many(self, values: Mapping[str, bytes], ttl_s: float) -> None:
        ends_at = time.monotonic() + ttl_s
        for key, value in values.items():
            self._entries.pop(key, None)
            self._entries[key] = (ends_at, value)
        while len(self._entries) > MOST_ENTRIES:
            del self._entries[next(iter(self._entries))]

    async def check(self) -> None:
        """Always there."""


@asynccontextmanager
async def open_cache(redis_url: str) -> AsyncIterator[Cache]:
    """The shared cache at `redis_url`, or one of this process when the URL is empty; raises InvalidArgument."""
    if not redis_url:
        yield ProcessCache()
        return
    from redis.asyncio import Redis  # only the services that may share a cache carry the client
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    at_once = Retry(NoBackoff(), 1)  # one lost connection is replaced; a lost server is the caller's to do without
    try:
        client = Redis.from_url(redis_url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=at_once)
    except ValueError:  # its message may repeat the password
        raise InvalidArgument("REDIS_URL is no URL: expected redis://… or rediss://….") from None
    try:
        yield _RedisCache(client)
    finally:
        await client.aclose()


class _RedisCache:
    def __init__(self, client: "Redis") -> None:
        self._client = client

    async def get(self, key: str) -> bytes | None:
        with _answering():
            value = await self._client.get(key)
        return value.encode() if isinstance(value, str) else value

    async def put_many(self, values: Mapping[str, bytes], ttl_s: float) -> None:
        if not values:
            return
        with _answering():
            async with self._client.pipeline(transaction=False) as pipe:
                pipe.mset(dict(values))
                for key in values:
                    pipe.pexpire(key, round(ttl_s * 1000))
                await pipe.execute()

    async def check(self) -> None:
        with _answering():
            await self._client.exists("ping")


@contextmanager
def _answering() -> Iterator[None]:
    from redis.exceptions import RedisError

    try:
        yield
    except RedisError as error:
        raise Unavailable("Redis does not answer.") from error
