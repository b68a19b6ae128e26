"""Servers that misbehave: a Postgres to kill and freeze, a port that says what a test wants, a proxy with faults."""

import asyncio
import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import psutil
from servers import postgres_binaries, postgres_server, wait_until


class MortalPostgres:
    """A running cluster, with a handle on its processes."""

    def __init__(self, log: Path, url: str) -> None:
        self.url = url
        self._log = log
        self._ready = [str(_binaries() / "pg_isready"), "-q", "-d", url]
        port = url.rpartition(":")[2].partition("/")[0]
        children = psutil.Process().children()
        self._postmaster = next(child for child in children if ["-p", port] == child.cmdline()[3:5])
        self._child: subprocess.Popen[bytes] | None = None
        self._command = self._postmaster.cmdline()
        self._folder = self._postmaster.cwd()
        self._user = self._postmaster.username()

    def kill(self) -> None:
        """kill -9, the whole cluster at once."""
        processes = self._processes()
        for process in processes:
            process.kill()
        if self._child:
            self._child.wait(60)
        psutil.wait_procs(processes, timeout=60)

    def restart(self) -> float:
        """Start again on the same port and data; gives the seconds until it accepts."""
        started = time.monotonic()
        user = self._user if os.geteuid() == 0 else None
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(self._command, stdout=log, stderr=log, user=user, cwd=self._folder)
        self._postmaster = psutil.Process(self._child.pid)
        wait_until(lambda: subprocess.run(self._ready, check=False).returncode == 0, "Postgres")
        return time.monotonic() - started

    def freeze(self) -> None:
        """Stop every process: connections stay open and nobody answers."""
        for process in self._processes():
            process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on as if nothing had happened."""
        for process in self._processes():
            process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Let it end by itself: a killed cluster leaves its shared memory behind."""
        self.thaw()
        if self._child:
            self._child.send_signal(signal.SIGINT)
            self._child.wait(60)

    def is_running(self) -> bool:
        return self._postmaster.is_running() and self._postmaster.status() != psutil.STATUS_ZOMBIE

    def _processes(self) -> list[psutil.Process]:
        return [self._postmaster, *self._postmaster.children(recursive=True)] if self.is_running() else []


@contextmanager
def mortal_postgres(directory: Path) -> Iterator[MortalPostgres]:
    """A cluster of its own for one test."""
    with postgres_server(directory, _binaries()) as url:
        cluster = MortalPostgres(directory / "postgres.log", url)
        try:
            yield cluster
        finally:
            cluster.stop()


def _binaries() -> Path:
    binaries = postgres_binaries()
    assert binaries is not None
    return binaries


@asynccontextmanager
async def tcp_server(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """Serves every connection by `serve`, gives the port, and ends when the last caller has left."""
    running: set[asyncio.Task[None] | None] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.add(asyncio.current_task())
        try:
            await serve(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield int(server.sockets[0].getsockname()[1])
    await asyncio.gather(*(task for task in running if task), return_exceptions=True)


async def say_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Serve a connection by silence, until the caller leaves."""
    await reader.read()


class FaultyProxy:
    """Stands between a client and a server's port and does to their connections what a network may do."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[None]] = set()
        self._sockets: set[asyncio.StreamWriter] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self.port = 0
        self.accepted = 0

    async def start(self) -> None:
        """Listen, on the port that it had before if it had one."""
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = int(self._listener.sockets[0].getsockname()[1])

    def reset(self) -> None:
        """Cut every connection in the middle of whatever it says, without a goodbye."""
        for writer in tuple(self._sockets):
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()

    async def refuse(self) -> None:
        """Cut every connection and turn new ones away until `start`."""
        if self._listener:
            self._listener.close()
        self.reset()

    def mute(self) -> None:
        """Keep every connection, of now and later, and let nothing through from the server."""
        self._flows.clear()

    def speak(self) -> None:
        """Let everything through again."""
        self._flows.set()

    async def stop(self) -> None:
        """Leave nothing behind."""
        await self.refuse()
        for pipe in tuple(self._pipes):
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        always = asyncio.Event()
        always.set()
        for source, sink, flows in ((reader, server_writer, always), (server_reader, writer, self._flows)):
            self._sockets.add(sink)
            pipe = asyncio.create_task(self._carry(source, sink, flows))
            self._pipes.add(pipe)
            pipe.add_done_callback(self._pipes.discard)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, flows: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                await flows.wait()
                sink.write(data)
                await sink.drain()
        self._sockets.discard(sink)
        sink.close()


@asynccontextmanager
async def faulty_proxy(target_port: int) -> AsyncIterator[FaultyProxy]:
    """A proxy that listens before a port while the block runs."""
    proxy = FaultyProxy(target_port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
