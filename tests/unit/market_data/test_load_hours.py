"""Trading hours come from a process of their own, are kept, and their absence stops nothing."""

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from builders.market import a_coin, a_share
from fakes.market_data import eventually

from services.market_data.adapters import exchange_hours
from services.market_data.adapters.exchange_hours import ExchangeHours
from services.market_data.domain.sessions import Schedule, Session, SessionBoard, SessionState
from services.market_data.usecases.load_hours import LoadHours
from trading.clock import DAY_NS, SECOND_NS, ManualClock
from trading.errors import Unavailable

NOW_NS = 1_764_000_000 * SECOND_NS  # Monday, 24 November 2025, 16:00 UTC


class FakeHours:
    """Fails so many times, then knows one session."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.asked: list[str] = []

    async def schedule(self, code: str, now_ns: int) -> Schedule:
        self.asked.append(code)
        if self.failures >= len(self.asked):
            raise Unavailable("no calendar")
        return Schedule([Session(now_ns - 1, now_ns + 1)])


def a_loop(source: FakeHours, board: SessionBoard) -> LoadHours:
    instruments = [a_share(), a_coin(), a_share("MSFT")]
    return LoadHours(instruments, source, board, ManualClock(NOW_NS), every_s=3600, retry_s=0)


async def test_each_exchange_is_asked_once_and_what_never_closes_not_at_all() -> None:
    source, board = FakeHours(), SessionBoard()

    assert await a_loop(source, board).once()
    assert (source.asked, board.now(a_share(), None, NOW_NS).state) == (["XNYS"], SessionState.OPEN)


async def test_a_failure_is_tried_again_and_leaves_the_state_unknown_meanwhile() -> None:
    source, board = FakeHours(failures=2), SessionBoard()
    assert not await a_loop(source, board).once()
    assert board.now(a_share(), None, NOW_NS).state is SessionState.UNKNOWN

    loop = asyncio.create_task(a_loop(source, board)())
    await eventually(lambda: board.now(a_share(), None, NOW_NS).state is SessionState.OPEN)
    loop.cancel()

    assert len(source.asked) == 3


async def test_the_new_york_exchange_s_hours_are_right_on_a_usual_day_an_early_close_and_a_holiday(
    tmp_path: Path,
) -> None:
    """Thanksgiving 2025 was on the 27th of November; the day after closed at 13:00 in New York."""
    hours = ExchangeHours(tmp_path, timeout_s=300)
    schedule = await hours.schedule("XNYS", NOW_NS)

    sessions = [schedule.around(_utc(2025, 11, day, 12)) for day in (26, 27, 28)]
    assert sessions == [
        (_utc(2025, 11, 26, 14, 30), _utc(2025, 11, 26, 21)),
        (_utc(2025, 11, 28, 14, 30), _utc(2025, 11, 28, 18)),
        (_utc(2025, 11, 28, 14, 30), _utc(2025, 11, 28, 18)),
    ]


def _utc(*moment: int) -> int:
    return round(datetime(*moment, tzinfo=UTC).timestamp()) * SECOND_NS  # type: ignore[arg-type,misc]


async def test_kept_hours_are_used_again_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = [NOW_NS + 350 * DAY_NS, NOW_NS + 350 * DAY_NS + 1]
    (tmp_path / "XNYS.json").write_text(json.dumps([session]))
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    schedule = await ExchangeHours(tmp_path, timeout_s=1).schedule("XNYS", NOW_NS)

    assert schedule.around(NOW_NS) == tuple(session)


@pytest.mark.parametrize("kept", ["[[1, 2]]", "[]", "not json", "[[1]]"])
async def test_kept_hours_that_are_old_or_damaged_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    (tmp_path / "XNYS.json").write_text(kept)
    fresh = tmp_path / "python"
    fresh.write_text("#!/bin/sh\necho '[[5, 6]]'\n")
    fresh.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(fresh))

    schedule = await ExchangeHours(tmp_path, timeout_s=300).schedule("XNYS", 0)

    assert (schedule.around(0), json.loads((tmp_path / "XNYS.json").read_text())) == ((5, 6), [[5, 6]])


async def test_an_exchange_that_does_not_exist_is_unavailable_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"ATLANTIS cannot be worked out: .*ATLANTIS"):
        await ExchangeHours(tmp_path, timeout_s=300).schedule("ATLANTIS", NOW_NS)


async def test_a_library_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = tmp_path / "python"
    hanging.write_text("#!/bin/sh\nexec sleep 60\n")
    hanging.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(hanging))

    with pytest.raises(Unavailable, match="not worked out"):
        await ExchangeHours(tmp_path, timeout_s=0.2).schedule("XNYS", NOW_NS)


async def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot be written"):
        exchange_hours._write(tmp_path / "file" / "XNYS.json", [])
