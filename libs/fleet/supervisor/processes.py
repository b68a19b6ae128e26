"""One child process: started, watched until ready, started again when it dies, ended when asked."""

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import psutil

from trading.errors import Unavailable

READY_TIMEOUT_S = 60.0
READY_POLL_S = 0.05
STOP_TIMEOUT_S = 15.0
FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 30.0
STEADY_S = 60.0
LONGEST_LINE_BYTES = 1024 * 1024

Say = Callable[[str, str], None]
"""Tells a line of output: the name of the process, the line."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What to run, and how to know that it is ready."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    is_ready: Callable[[], Awaitable[bool]] | None = None
    """Asked until it says yes; without it the first line on stdout means ready, and is told to nobody else."""


class Child:
    """A process that is kept running."""

    def __init__(self, spec: Spec, say: Say) -> None:
        self.spec = spec
        self.restarts = 0
        self.ready_s: float | None = None
        self.first_line: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._say = say
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._readers: list[asyncio.Task[None]] = []

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    @property
    def is_stopping(self) -> bool:
        """It was asked to end."""
        return self._stopping

    @property
    def rss_mb(self) -> float:
        """Resident memory in MB; 0 when it is not running."""
        with contextlib.suppress(psutil.Error):
            if self.pid:
                return round(psutil.Process(self.pid).memory_info().rss / 1e6, 1)
        return 0.0

    async def start(self) -> None:
        """Start it once and wait until it is ready; raises Unavailable when it dies or takes too long."""
        started = time.monotonic()
        await self._spawn()
        while not await self._ready():
            if self._process and self._process.returncode is not None:
                await self._end_readers()
                raise Unavailable(f"{self.spec.name} ended with exit code {self._process.returncode} while starting.")
            if time.monotonic() - started > READY_TIMEOUT_S:
                raise Unavailable(f"{self.spec.name} was not ready within {READY_TIMEOUT_S:.0f} s.")
            await asyncio.sleep(READY_POLL_S)
        self.ready_s = round(time.monotonic() - started, 2)

    async def keep(self) -> None:
        """Start it again whenever it dies, later each time that it dies soon; ends after `stop`."""
        backoff_s = FIRST_BACKOFF_S
        while self._process:
            since = time.monotonic()
            code = await self._process.wait()
            if self.is_stopping:
                return
            backoff_s = FIRST_BACKOFF_S if time.monotonic() - since > STEADY_S else backoff_s
            self._say("fleet", f"{self.spec.name} ended with exit code {code}; starting it again in {backoff_s:.1f} s")
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, LONGEST_BACKOFF_S)
            if not self.is_stopping:
                self.restarts += 1
                await self._spawn()

    async def stop(self) -> int | None:
        """Ask it to end, make it end after fifteen seconds; gives its exit code."""
        self._stopping = True
        process = self._process
        if process is None:
            return None
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
            except TimeoutError:
                self._say("fleet", f"{self.spec.name} did not end within {STOP_TIMEOUT_S:.0f} s: killed")
                process.kill()
                await process.wait()
        await self._end_readers()
        return process.returncode

    async def _spawn(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self.spec.command,
            env={**os.environ, **self.spec.env},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE_BYTES,
            start_new_session=True,  # Ctrl-C is for the supervisor, which drains in order
        )
        await self._end_readers()
        streams = (self._process.stdout, self._process.stderr)
        self._readers = [asyncio.create_task(self._read(stream)) for stream in streams if stream]

    async def _read(self, stream: asyncio.StreamReader) -> None:
        announces = self.spec.is_ready is None and self._process is not None and stream is self._process.stdout
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # a line beyond the limit is dropped whole
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            if announces:  # each time that it is started: secrets may be in this line, which must reach no log
                announces = False
                self._announced(text)
            else:
                self._say(self.spec.name, text)

    def _announced(self, line: str) -> None:
        if not self.first_line.done():
            self.first_line.set_result(line)

    async def _ready(self) -> bool:
        return await self.spec.is_ready() if self.spec.is_ready else self.first_line.done()

    async def _end_readers(self) -> None:
        if self._readers:
            await asyncio.wait(self._readers, timeout=1)
        for reader in self._readers:
            reader.cancel()
