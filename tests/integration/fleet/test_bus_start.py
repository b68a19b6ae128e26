"""What a bus says when it cannot be opened, and what it never says."""

import sys
import time
from pathlib import Path

import pytest
from buses import publish
from faults import say_nothing, tcp_server
from servers import accepts, free_port, process
from waiting import until, within

from fleet import bus as fleet_bus
from fleet.bus import connect
from fleet.metrics import Metrics
from trading.errors import Unavailable


@pytest.mark.timed
@pytest.mark.parametrize("login", ["", "trader:hunter2@", "hunter2@", "a//b:hunter2@"])
async def test_an_absent_server_is_unavailable_and_the_password_unsaid(login: str) -> None:
    port = free_port()
    started = time.perf_counter()
    with pytest.raises(Unavailable, match=f"No NATS server answers at nats://127.0.0.1:{port}") as failure:
        async with connect(f"nats://{login}127.0.0.1:{port}", "test", Metrics(), start_timeout_s=0.3):
            raise AssertionError
    assert "hunter2" not in str(failure.value)
    assert time.perf_counter() - started < within(2)


async def test_somebody_who_listens_and_says_nothing_is_no_nats_server() -> None:
    async with tcp_server(say_nothing) as port:  # it ends when the last caller has left
        with pytest.raises(Unavailable):
            async with connect(f"nats://127.0.0.1:{port}", "test", Metrics(), start_timeout_s=0.5):
                raise AssertionError


async def test_a_wrong_password_is_said_without_saying_it(tmp_path: Path) -> None:
    port = free_port()
    binary = str(Path(sys.executable).with_name("nats-server"))
    command = [binary, "--addr", "127.0.0.1", "--port", str(port), "--user", "trader", "--pass", "right"]
    with process(command, log=tmp_path / "nats.log"):
        await until(lambda: accepts(port), "nats-server")
        async with connect(f"nats://trader:right@127.0.0.1:{port}", "test", Metrics()) as bus:
            await bus.flush()
        with pytest.raises(Unavailable, match=r"(?i)authorization") as failure:
            async with connect(f"nats://trader:hunter2@127.0.0.1:{port}", "t", Metrics(), start_timeout_s=2.0):
                raise AssertionError
    assert "hunter2" not in str(failure.value)


async def test_the_default_patience_at_the_start_is_ten_seconds() -> None:
    assert fleet_bus.START_TIMEOUT_S == 10


@pytest.mark.parametrize(
    "url",
    [
        "nats://a:hunter2@one:4222,nats://b:hunter2@two:4222",
        "hunter2@one:4222",
        "tls://x:hunter2@one",
        "nats://x:hunter2/2@one:4222",
    ],
)
def test_no_form_of_url_shows_its_password(url: str) -> None:
    shown = fleet_bus._public(url)
    assert "hunter2" not in shown
    assert shown.endswith(url.rpartition("@")[2])


async def test_a_server_without_jetstream_is_unavailable_for_events(tmp_path: Path) -> None:
    port = free_port()
    command = [str(Path(sys.executable).with_name("nats-server")), "--addr", "127.0.0.1", "--port", str(port)]
    with process(command, log=tmp_path / "nats.log"):
        await until(lambda: accepts(port), "nats-server")
        async with connect(f"nats://127.0.0.1:{port}", "test", Metrics()) as bus:
            with pytest.raises(Unavailable):
                await publish(bus, "orders.a")
            with pytest.raises(Unavailable, match="cannot be made"):
                await bus.ensure_stream("ORDERS", ["orders.>"])
