"""The main job, really run: a market is traded for a while, then every stage is counted and the books are checked."""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fleet.service import stop_signal
from fleet.supervisor import ports, report
from fleet.supervisor.observer import Observer, Progress, observer
from fleet.supervisor.output import prefixed
from fleet.supervisor.plan import Market, Plan
from fleet.supervisor.processes import Say
from fleet.supervisor.supervisor import Fleet, running

PROGRESS_S = 1.0
SETTLE_TIMEOUT_S = 30.0
REPLAY_TIMEOUT_S = 1800.0
POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Demo:
    """What to trade, for how long, and where to put the report."""

    market: Market
    seconds: float
    report: Path | None
    data_dir: Path | None
    confidence: float


async def demo(wanted: Demo) -> int:
    """Run it and print its report. Exit code 0 only if every stage had data and the books agree."""
    say = prefixed()
    stop = stop_signal()
    market = wanted.market
    if market.files and not market.speed:
        market = replace(market, speed="max")
    settings = {
        "NT_SIGNAL_TRADING_ENABLED": "true",
        "NT_SIGNAL_THRESHOLD": str(wanted.confidence),
        "NT_SIGNAL_MIN_CONFIDENCE": str(wanted.confidence),
        "NT_LOG_LEVEL": "WARNING",
    }
    with _directory(wanted.data_dir) as data_dir:
        plan = Plan(data_dir, ports.choose(), market, settings)
        async with running(plan, say) as fleet, observer(fleet) as watching:
            started = time.monotonic()
            await _trade(watching, wanted.seconds, bool(market.files), stop, say)
            await _settle(watching)
            duration_s = time.monotonic() - started
            facts = await _facts(fleet, watching, duration_s, wanted)
    sys.stdout.write(report.text(facts))
    if wanted.report:
        wanted.report.parent.mkdir(parents=True, exist_ok=True)
        wanted.report.write_text(json.dumps(facts, indent=2) + "\n")
    shortcomings = report.shortcomings(facts)
    for shortcoming in shortcomings:
        print(f"demo: {shortcoming}", file=sys.stderr)
    return 1 if shortcomings else 0


async def _trade(watching: Observer, seconds: float, to_the_end: bool, stop: asyncio.Event, say: Say) -> None:
    """Let the fleet trade until the time is over, or until the recorded file has ended and was digested."""
    started = time.monotonic()
    while not stop.is_set():
        passed_s = time.monotonic() - started
        progress = await watching.progress()
        say("demo", _line(passed_s, progress))
        if to_the_end and progress.replay_ended and progress.ticks >= progress.venue_ticks:
            return
        if passed_s >= (REPLAY_TIMEOUT_S if to_the_end else seconds):
            return
        await _wait(stop, PROGRESS_S)


async def _settle(watching: Observer) -> None:
    """Stop trading signals, and wait until every order is closed and every fill is booked."""
    await watching.stop_trading()
    ends_at = time.monotonic() + SETTLE_TIMEOUT_S
    while not await watching.is_settled() and time.monotonic() < ends_at:  # noqa: ASYNC110  # asked over the wire
        await asyncio.sleep(POLL_S)


async def _facts(fleet: Fleet, watching: Observer, duration_s: float, wanted: Demo) -> dict[str, Any]:
    facts = await watching.facts()
    return facts | {
        "rss_mb": {name: child.rss_mb for name, child in fleet.children.items()},
        "ready_s": {name: child.ready_s for name, child in fleet.children.items()},
        "restarts": sum(child.restarts for child in fleet.children.values()),
        "duration_s": round(duration_s, 2),
        "min_confidence": wanted.confidence,
    }


def _line(passed_s: float, progress: Progress) -> str:
    replay = f"{progress.venue_ticks:,} of the file sent · " if progress.is_replay else ""
    return (
        f"{passed_s:5.0f} s   {replay}{progress.ticks:,} ticks · {progress.predictions:,} predictions · "
        f"{progress.signals:,} signals · {progress.orders:,} orders · {progress.fills:,} fills"
    )


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


@contextmanager
def _directory(kept: Path | None) -> Iterator[Path]:
    if kept:
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="neural-trader-demo-", ignore_cleanup_errors=True) as temporary:
        yield Path(temporary)
