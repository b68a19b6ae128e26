"""Stands between the server and the protocols' routes, and lets happen to each what has been scripted."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace
from starlette.routing import BaseRoute, Route, WebSocketRoute

from services.paper_venue.faults.fault import Armed, Board, Fault, Kind, Place, Protocol, Transport
from services.paper_venue.faults.messages import Reader
from services.paper_venue.faults.requests import App, FaultyRequest, Receive, Send, answer
from services.paper_venue.faults.sockets import FaultySocket
from services.paper_venue.faults.wires import Wires


class Guard:
    """All faults, and every connection that they may strike."""

    def __init__(self, board: Board, reader: Reader, wires: Wires) -> None:
        self.board = board
        self._reader = reader
        self._wires = wires
        self._open: set[FaultySocket] = set()

    def around(self, protocol: Protocol, routes: Sequence[BaseRoute]) -> None:
        """Put a protocol's routes under this guard."""
        for route in routes:
            if isinstance(route, Route | WebSocketRoute):
                route.app = _Guarded(self, protocol, route.app)

    async def arm(self, fault: Fault) -> Armed:
        """Let something go wrong from now on; raises TooManyFaults.

        The end of whole connections does not wait for their next message.
        """
        canonical = tuple(self._reader.canonical(symbol) for symbol in fault.symbols)
        armed = self.board.arm(replace(fault, symbols=canonical))
        if fault.kind is Kind.DISCONNECT and not fault.is_for_messages:
            for socket in [each for each in self._open if fault.covers(each.place)]:
                if self.board.strike(armed):
                    await socket.end(fault.code)
        return next(each for each, _ in self.board.listed() if each.fault_id == armed.fault_id)

    async def serve_request(self, protocol: Protocol, app: App, scope: Any, receive: Receive, send: Send) -> None:
        """One HTTP request."""
        place = Place(protocol, Transport.HTTP, scope["path"], scope["method"])
        request = FaultyRequest(place, self.board, self._reader, lambda: self._wires.cut(scope["client"]))
        await request.serve(app, scope, receive, send)

    async def serve_socket(self, protocol: Protocol, app: App, scope: Any, receive: Receive, send: Send) -> None:
        """One WebSocket, from its upgrade to its end."""
        place = Place(protocol, Transport.STREAM, scope["path"])
        for armed in self.board.covering(place):
            if armed.fault.kind in (Kind.REFUSE, Kind.STATUS) and self.board.strike(armed):
                await self._turn_away(armed.fault, protocol, scope, receive, send)
                return
        socket = FaultySocket(place, self.board, self._reader, send, lambda: self._wires.cut(scope["client"]))
        self._open.add(socket)
        try:
            await app(scope, receive, socket.send)
        finally:
            self._open.discard(socket)
            socket.forget()

    async def _turn_away(self, fault: Fault, protocol: Protocol, scope: Any, receive: Receive, send: Send) -> None:
        if fault.kind is Kind.STATUS:
            await answer(fault, protocol, "websocket.http.response", send)
            return
        self._wires.cut(scope["client"])
        while (await receive())["type"] != "websocket.disconnect":
            pass


class _Guarded:
    """One route's application under a guard."""

    def __init__(self, guard: Guard, protocol: Protocol, app: App) -> None:
        self._guard = guard
        self._protocol = protocol
        self._app = app

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        serve = self._guard.serve_socket if scope["type"] == "websocket" else self._guard.serve_request
        await serve(self._protocol, self._app, scope, receive, send)
