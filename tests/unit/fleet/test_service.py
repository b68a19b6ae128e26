"""A service runs on the loop that its system has, and hears the system's signals."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator

import pytest

from fleet import service


async def loop_module() -> int:
    """1 on uvloop, 0 elsewhere."""
    return int(type(asyncio.get_running_loop()).__module__.startswith("uvloop"))


def test_elsewhere_than_on_windows_it_is_uvloop() -> None:
    if sys.platform == "win32":
        pytest.skip("uvloop does not exist for Windows.")
    assert service.run_loop(loop_module()) == 1


def test_on_windows_uvloop_is_not_even_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "uvloop", None)  # importing it would fail
    assert service.run_loop(loop_module()) == 0


@pytest.fixture
def handlers() -> Iterator[None]:
    """Puts the process's signal handlers back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("platform", ["win32", sys.platform])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.usefixtures("handlers")
def test_a_signal_asks_the_service_to_stop(monkeypatch: pytest.MonkeyPatch, platform: str, number: int) -> None:
    monkeypatch.setattr(service.sys, "platform", platform)

    async def wait() -> int:
        stop = service.stop_signal()
        os.kill(os.getpid(), number)
        async with asyncio.timeout(60):
            await stop.wait()
        return 7

    assert asyncio.run(wait()) == 7
