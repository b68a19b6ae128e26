"""A cache forgets in time, is never needed, and says when it is away."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers import accepts, free_port, process, wait_until
from waiting import until, within

from fleet import cache as fleet_cache
from fleet.cache import Cache, open_cache
from trading.errors import InvalidArgument, Unavailable


@contextmanager
def redis_server(directory: Path, port: int) -> Iterator[str]:
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("No redis-server on this machine.")
    command = [binary, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(directory)]
    with process(command, log=directory / "redis.log"):
        wait_until(lambda: accepts(port), "redis-server")
        yield f"redis://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis"), free_port()) as url:
        yield url


@pytest.fixture(params=["process", "redis"])
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[Cache]:
    """Either kind, through the one door."""
    url = "" if request.param == "process" else request.getfixturevalue("redis_url")
    async with open_cache(url) as opened:
        yield opened


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    return f"{request.node.name}:{time.time_ns()}"


async def test_what_was_put_is_got(cache: Cache, key: str) -> None:
    await cache.check()
    await cache.put_many({key: b"\x00\xff", f"{key}2": b""}, 60)
    assert await cache.get(key) == b"\x00\xff"
    assert await cache.get(f"{key}2") == b""
    assert await cache.get(f"{key}3") is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=settings.default.max_examples // 4)
@given(st.dictionaries(st.text(max_size=20), st.binary(max_size=50), max_size=8))
async def test_any_bytes_come_back(values: dict[str, bytes]) -> None:
    async with open_cache("") as opened:
        await opened.put_many(values, 60)
        assert {key: await opened.get(key) for key in values} == values


async def test_the_newest_value_counts(cache: Cache, key: str) -> None:
    await cache.put_many({key: b"old"}, 60)
    await cache.put_many({key: b"new"}, 60)
    assert await cache.get(key) == b"new"


async def test_a_value_is_forgotten_in_time(cache: Cache, key: str) -> None:
    await cache.put_many({key: b"soon"}, 0.05)

    async def forgotten() -> bool:
        return await cache.get(key) is None

    await until(forgotten, "the end of the value", 2)


async def test_nothing_to_put_is_no_error(cache: Cache) -> None:
    await cache.put_many({}, 60)


async def test_the_process_s_cache_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_cache, "MOST_ENTRIES", 3)
    async with open_cache("") as opened:
        for number in range(5):
            await opened.put_many({f"{number}": b"x"}, 60)
        await opened.put_many({"2": b"again"}, 60)
        await opened.put_many({"5": b"x"}, 60)
        kept = [name for name in map(str, range(6)) if await opened.get(name)]
    assert kept == ["2", "4", "5"]


async def test_two_caches_of_one_redis_share_their_values(redis_url: str, key: str) -> None:
    async with open_cache(redis_url) as first, open_cache(redis_url) as second:
        await first.put_many({key: b"shared"}, 60)
        assert await second.get(key) == b"shared"


Use = Callable[[Cache], "asyncio.Future[object]"]
USES = {
    "get": lambda cache: cache.get("a"),
    "put": lambda cache: cache.put_many({"a": b"1"}, 60),
    "check": lambda cache: cache.check(),
}


@pytest.mark.timed
@pytest.mark.parametrize("use", USES.values(), ids=USES)
async def test_an_absent_redis_is_unavailable_at_once(use: Use) -> None:
    async with open_cache(f"redis://:hunter2@127.0.0.1:{free_port()}") as opened:
        started = time.perf_counter()
        with pytest.raises(Unavailable, match="Redis does not answer") as failure:
            await use(opened)
    assert time.perf_counter() - started < within(1)
    assert "hunter2" not in str(failure.value)


async def test_a_lost_redis_is_used_again_when_it_is_back(tmp_path: Path) -> None:
    port = free_port()
    async with open_cache(f"redis://127.0.0.1:{port}") as opened:
        for _ in range(2):
            server = redis_server(tmp_path, port)
            await asyncio.to_thread(server.__enter__)
            await opened.put_many({"a": b"1"}, 60)
            assert await opened.get("a") == b"1"
            await asyncio.to_thread(server.__exit__, None, None, None)
            with pytest.raises(Unavailable):
                await opened.get("a")


@pytest.mark.timed
async def test_a_mute_redis_is_given_up_soon(tmp_path: Path) -> None:
    port = free_port()
    with redis_server(tmp_path, port) as url:
        async with open_cache(url) as opened:
            await opened.check()
            pid = _pid_of(port)
            os.kill(pid, signal.SIGSTOP)
            started = time.perf_counter()
            try:
                with pytest.raises(Unavailable):
                    await opened.get("a")
                took = time.perf_counter() - started
            finally:
                os.kill(pid, signal.SIGCONT)
            assert took < within(3)
            await until(lambda: _answers(opened), "Redis to answer again")


def _pid_of(port: int) -> int:
    return next(
        child.pid
        for child in psutil.Process().children()
        if any(connection.laddr.port == port for connection in child.net_connections())
    )


async def _answers(opened: Cache) -> bool:
    try:
        await opened.check()
    except Unavailable:
        return False
    return True


@pytest.mark.parametrize("url", ["nonsense", "http://:hunter2@x", "redis://h:hunter2@host:port/0"])
async def test_a_url_of_another_kind_is_an_invalid_argument(url: str) -> None:
    with pytest.raises(InvalidArgument) as failure:
        async with open_cache(url):
            raise AssertionError
    assert "hunter2" not in str(failure.value)
