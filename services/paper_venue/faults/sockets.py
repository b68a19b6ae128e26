"""The sending side of a WebSocket under faults: messages are dropped, doubled, held back, or the end."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from services.paper_venue.faults.fault import Armed, Board, Channel, Fault, Kind, Message, Place
from services.paper_venue.faults.messages import Frame, Reader

Event = Any  # an ASGI event: Starlette's own type is a mutable mapping of anything
Send = Callable[[Event], Awaitable[None]]
_LONGEST_LINE = 100_000
_HANDSHAKE = (Kind.REFUSE, Kind.STATUS)


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """A message that another one is to overtake: the next of `channel`, or the next of all."""

    frame: Frame
    message: bytes
    channel: Channel | None


class FaultySocket:
    """One connection; what the protocol sends goes through `send`."""

    def __init__(self, place: Place, board: Board, reader: Reader, send: Send, cut: Callable[[], None]) -> None:
        self.place = place
        self._board = board
        self._reader = reader
        self._send = send
        self._cut = cut
        self._turn = asyncio.Lock()  # what is sent first is treated first
        self._line: asyncio.Queue[tuple[float, Event]] = asyncio.Queue(_LONGEST_LINE)
        self._waiting = 0
        self._sending = asyncio.Lock()
        self._held: list[_Held] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = False

    async def send(self, event: Event) -> None:
        """Send an ASGI event, or what the faults leave of it; after the end everything is lost."""
        if self._ended:
            return
        async with self._turn:
            armed = [each for each in self._board.covering(self.place) if each.fault.kind not in _HANDSHAKE]
            if event["type"] == "websocket.send" and (armed or self._held):
                await self._send_frame(event, armed)
            else:
                await self._deliver(event)

    async def end(self, code: int | None) -> None:
        """Reset the connection, or close it with a code."""
        if self._ended:
            return
        if code is None:
            self._ended = True
            self._cut()
        else:
            await self._deliver({"type": "websocket.close", "code": code})
            self._ended = True

    def forget(self) -> None:
        """The connection is over: what was held back is lost."""
        self._ended = True
        for task in self._tasks:
            task.cancel()

    async def _send_frame(self, event: Event, armed: Sequence[Armed]) -> None:
        frame = Frame.read(event)
        kept: list[bytes] = []
        delay_s = 0.0
        for message in frame.messages:
            fault = self._struck(frame, message, armed, delayed=delay_s > 0)
            if fault is not None and fault.kind is Kind.DISCONNECT:
                await self._pass_on(frame, kept, delay_s)
                await self.end(fault.code)
                return
            if fault is not None and fault.kind is Kind.DELAY:
                delay_s = fault.delay_s
            kept += self._left_of(frame, message, fault)
        await self._pass_on(frame, kept, delay_s)

    def _struck(self, frame: Frame, message: bytes, armed: Sequence[Armed], delayed: bool) -> Fault | None:
        """The first fault that strikes a message; a frame is delayed once."""
        about: Message | None = None
        for each in armed:
            if delayed and each.fault.kind is Kind.DELAY:
                continue
            if each.fault.is_for_messages and about is None:
                about = self._reader.read(self.place.protocol, frame.values(message))
            if each.fault.picks(about or Message()) and self._board.strike(each):
                return each.fault
        return None

    def _left_of(self, frame: Frame, message: bytes, fault: Fault | None) -> list[bytes]:
        """What is sent in a message's place now."""
        if fault is not None and fault.kind in (Kind.DROP, Kind.MUTE):
            return []
        if fault is not None and fault.kind is Kind.LATE:
            self._after(fault.delay_s, lambda: self._pass_on(frame, [message]))
            return []
        if fault is not None and fault.kind is Kind.REORDER:
            held = _Held(frame, message, fault.channel)
            self._held.append(held)
            self._after(fault.delay_s, lambda: self._release(held))
            return []
        copies = 2 if fault is not None and fault.kind is Kind.DUPLICATE else 1
        return [message] * copies + (self._overtaken_by(frame, message) if self._held else [])

    def _overtaken_by(self, frame: Frame, message: bytes) -> list[bytes]:
        """What was held back for such a message, and can go out in its frame."""
        channel = self._reader.read(self.place.protocol, frame.values(message)).channel
        found = [held for held in self._held if held.channel in (None, channel) and _alike(held.frame, frame)]
        self._held = [held for held in self._held if held not in found]
        return [held.message for held in found]

    async def _pass_on(self, frame: Frame, messages: list[bytes], delay_s: float = 0.0) -> None:
        for event in frame.events(messages):
            await self._deliver(event, delay_s)

    async def _deliver(self, event: Event, delay_s: float = 0.0) -> None:
        """Send now, or in line behind what is delayed: a delay is latency, it does not slow the sender."""
        if not delay_s and not self._waiting:
            await self._write(event)
            return
        if not self._waiting:
            self._keep(self._send_line())
        self._waiting += 1
        await self._line.put((asyncio.get_running_loop().time() + delay_s, event))

    async def _send_line(self) -> None:
        """Send what stands in line, each when it is due, until the line is empty."""
        while True:
            due, event = await self._line.get()
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            await self._write(event)
            self._waiting -= 1
            if not self._waiting:
                return

    async def _write(self, event: Event) -> None:
        async with self._sending:
            if not self._ended:
                await self._send(event)

    def _after(self, delay_s: float, send: Callable[[], Awaitable[None]]) -> None:
        self._keep(_send_after(delay_s, send))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _release(self, held: _Held) -> None:
        """No message came to overtake it."""
        if held in self._held:
            self._held.remove(held)
            await self._pass_on(held.frame, [held.message])


def _alike(frame: Frame, other: Frame) -> bool:
    """One can carry the other's messages."""
    return (frame.is_packed, frame.is_listed) == (other.is_packed, other.is_listed)


async def _send_after(delay_s: float, send: Callable[[], Awaitable[None]]) -> None:
    await asyncio.sleep(delay_s)
    await send()
