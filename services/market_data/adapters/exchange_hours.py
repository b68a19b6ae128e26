"""Trading hours of exchanges from `exchange_calendars`, worked out in a process of their own and kept in a file.

The library takes seconds and tens of megabytes to import, which the service must not spend. It is run once, prints
the sessions as JSON, and ends; the next start reads them from the file.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.market_data.domain.sessions import Schedule, Session
from trading.clock import DAY_NS
from trading.errors import Unavailable

_YEARS_BACK_DAYS = 370
_AHEAD_DAYS = 370
_FRESH_DAYS = 300
"""A kept schedule is used as long as it reaches this far ahead; new holidays are announced about a year before."""


class ExchangeHours:
    """Answers from the folder's files, and makes those that are missing or old."""

    def __init__(self, folder: Path, *, timeout_s: float) -> None:
        self._folder, self._timeout_s = folder, timeout_s

    async def schedule(self, code: str, now_ns: int) -> Schedule:
        """The regular sessions of an exchange for about a year back and ahead. Raises Unavailable."""
        path = self._folder / f"{code}.json"
        kept = await asyncio.to_thread(_read, path)
        if kept and kept[-1].open_ns >= now_ns + _FRESH_DAYS * DAY_NS:
            return Schedule(kept)
        found = await self._ask(code, now_ns)
        await asyncio.to_thread(_write, path, found)
        return Schedule(found)

    async def _ask(self, code: str, now_ns: int) -> list[Session]:
        command = (sys.executable, "-m", "services.market_data.adapters.exchange_hours", code, str(now_ns))
        child = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                said, complaint = await child.communicate()
        except TimeoutError as error:
            raise Unavailable(f"The hours of {code} were not worked out in {self._timeout_s:g} s.") from error
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        if child.returncode:
            last = complaint.decode(errors="replace").strip().rpartition("\n")[2]
            raise Unavailable(f"The hours of {code} cannot be worked out: {last[:200]}")
        return _parse(said)


def _read(path: Path) -> list[Session]:
    """The kept sessions; none when the file is missing or damaged."""
    try:
        return _parse(path.read_bytes())
    except (OSError, ValueError):
        return []


def _parse(text: bytes) -> list[Session]:
    return [Session(int(open_ns), int(close_ns)) for open_ns, close_ns in json.loads(text)]


def _write(path: Path, sessions: Sequence[Session]) -> None:
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(sessions))
        part.replace(path)
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}.") from error


def sessions(code: str, now_ns: int) -> list[Session]:
    """The regular sessions of an exchange around a moment, early closes included; slow, and heavy to import."""
    # Only the child process pays for this; the package ships no types.
    from exchange_calendars import get_calendar  # type: ignore[import-untyped]

    now = datetime.fromtimestamp(now_ns // 10**9, UTC).date()
    first, last = now - timedelta(days=_YEARS_BACK_DAYS), now + timedelta(days=_AHEAD_DAYS)
    table = get_calendar(code, start=str(first), end=str(last)).schedule
    opens, closes = (table[name].astype("datetime64[ns, UTC]").astype("int64") for name in ("open", "close"))
    return [Session(int(open_ns), int(close_ns)) for open_ns, close_ns in zip(opens, closes, strict=True)]


def main() -> None:
    """Print the sessions of an exchange as JSON pairs of ns UTC."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("code", help="market identifier code, such as XNYS")
    parser.add_argument("now_ns", type=int, help="the moment to look around, ns UTC")
    chosen = parser.parse_args()
    os.nice(19)  # it runs while the fleet starts, and nobody waits for it
    print(json.dumps(sessions(chosen.code, chosen.now_ns)))


if __name__ == "__main__":
    main()
