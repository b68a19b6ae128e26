"""An operator is told whether a process lives, whether it is ready, and why not."""

import asyncio
import json
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from urllib.error import HTTPError

import pytest
from servers import free_port

from fleet import probes as fleet_probes
from fleet.metrics import Metrics
from fleet.probes import Readiness, probes
from trading.errors import Unavailable


async def passes() -> None:
    """A dependency that is there."""


async def fails() -> None:
    raise Unavailable("The database does not answer.")


async def hangs() -> None:
    await asyncio.Event().wait()


async def explodes() -> None:
    raise KeyError


def get(port: int, path: str) -> tuple[int, str]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture
def readiness() -> Readiness:
    return Readiness({"bus": passes}, Metrics())


@pytest.fixture
def port(readiness: Readiness) -> Iterator[int]:
    chosen = free_port()
    with probes("127.0.0.1", chosen, readiness, Metrics()):
        yield chosen


async def test_every_check_has_its_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_probes, "CHECK_TIMEOUT_S", 0.05)
    readiness = Readiness({"good": passes, "away": fails, "mute": hangs, "odd": explodes}, Metrics())
    assert not await readiness.check()
    assert readiness.verdicts == {
        "good": "ok",
        "away": "The database does not answer.",
        "mute": "no answer",
        "odd": "KeyError",
    }


async def test_checks_run_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them waits for the others."""
    monkeypatch.setattr(fleet_probes, "CHECK_TIMEOUT_S", 30.0)
    all_began = asyncio.Barrier(10)

    async def meets_the_others() -> None:
        await all_began.wait()

    assert await Readiness({f"{number}": meets_the_others for number in range(10)}, Metrics()).check()


async def test_the_verdict_is_a_metric() -> None:
    metrics = Metrics()
    readiness = Readiness({"bus": passes}, metrics)
    await readiness.check()
    assert metrics.registry.get_sample_value("nt_ready") == 1
    readiness.stopping = True
    await readiness.check()
    assert metrics.registry.get_sample_value("nt_ready") == 0


async def test_readiness_is_told_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_probes, "HEARTBEAT_S", 0.01)
    away = True
    told: list[bool] = []
    enough = asyncio.Event()

    async def dependency() -> None:
        if away:
            await fails()

    async def tell(ready: bool) -> None:
        nonlocal away
        told.append(ready)
        away = len(told) < 3
        if len(told) == 6:
            enough.set()

    watching = asyncio.create_task(Readiness({"bus": dependency}, Metrics()).watch(tell))
    async with asyncio.timeout(60):
        await enough.wait()
    watching.cancel()
    assert told[:6] == [False, False, False, True, True, True]


def test_before_the_first_check_nobody_is_ready(port: int) -> None:
    status, body = get(port, "/readyz")
    assert (status, json.loads(body)) == (503, {"status": "not ready", "checks": {"bus": "not checked yet"}})


def test_readiness_flips_with_the_checks_and_ends_with_the_stop(port: int, readiness: Readiness) -> None:
    asyncio.run(readiness.check())
    assert get(port, "/readyz") == (200, '{"status": "ready", "checks": {"bus": "ok"}}')
    readiness.starting = True
    assert json.loads(get(port, "/readyz")[1])["status"] == "starting"
    readiness.starting, readiness.stopping = False, True
    status, body = get(port, "/readyz")
    assert (status, json.loads(body)["status"]) == (503, "stopping")


def test_a_live_loop_is_healthy_and_a_stuck_one_is_not(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert get(port, "/healthz") == (200, '{"status": "alive"}')
    monkeypatch.setattr(fleet_probes, "LONGEST_SILENCE_S", 0.0)
    assert get(port, "/healthz") == (503, '{"status": "stuck"}')


def test_probes_answer_while_the_event_loop_is_busy(port: int) -> None:
    answers: list[int] = []

    async def busy() -> None:
        asking = threading.Thread(target=lambda: answers.append(get(port, "/healthz")[0]))
        asking.start()
        while asking.is_alive():  # the loop does not run meanwhile
            time.sleep(0.01)  # noqa: ASYNC251  # the point

    asyncio.run(busy())
    assert answers == [200]


def test_metrics_are_served_as_prometheus_wants_them(port: int) -> None:
    status, body = get(port, "/metrics")
    assert status == 200
    assert "# TYPE nt_ready gauge" in body


@pytest.mark.parametrize("path", ["/", "/metrics/x", "/../etc/passwd", "/readyz%00"])
def test_other_paths_are_not_there(port: int, path: str) -> None:
    assert get(port, path) == (404, "/metrics /healthz /readyz\n")


def test_the_port_is_free_again_afterwards(readiness: Readiness) -> None:
    chosen = free_port()
    for _ in range(3):
        with probes("127.0.0.1", chosen, readiness, Metrics()):
            assert get(chosen, "/healthz")[0] == 200


def test_a_taken_port_is_one_clear_refusal(port: int, readiness: Readiness) -> None:
    with (
        pytest.raises(Unavailable, match=f"Cannot listen on 127.0.0.1:{port}: the port is taken"),
        probes("127.0.0.1", port, readiness, Metrics()),
    ):
        raise AssertionError


def test_an_address_that_is_not_ours_is_refused_for_its_own_reason(readiness: Readiness) -> None:
    with pytest.raises(Unavailable) as failure, probes("192.0.2.1", free_port(), readiness, Metrics()):
        raise AssertionError
    assert "taken" not in str(failure.value)


def test_nobody_asks_dns_for_the_name_of_the_host(readiness: Readiness, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(_name: str = "") -> str:
        raise AssertionError

    monkeypatch.setattr(socket, "getfqdn", ask)
    with probes("127.0.0.1", free_port(), readiness, Metrics()):
        pass
