"""The WebSocket at /v1/stream: who it is, then its commands, answered one by one."""

import asyncio
from contextlib import suppress

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from services.gateway import problems
from services.gateway.auth import ANONYMOUS, scope_of
from services.gateway.door import Door
from services.gateway.websocket.commands import AnyCommand, Auth, Ping, Subscribe, Unsubscribe, parse
from services.gateway.websocket.frames import CloseCode, note
from services.gateway.websocket.hub import Hub
from services.gateway.websocket.protocol import EXTENSION
from services.gateway.websocket.session import Session
from services.gateway.websocket.subscriber import Subscriber
from trading.errors import Kind, TradingError, Unauthenticated

routes = APIRouter()
PATH = "/v1/stream"
_SCOPE = scope_of("WEBSOCKET", PATH)


@routes.websocket(PATH)
async def stream(socket: WebSocket) -> None:
    """Serve one client until it leaves or is sent away."""
    hub: Hub = socket.app.state.hub
    session = Session(socket.send_text, socket.scope["extensions"][EXTENSION], hub.clock, hub.limits.queue_max)
    try:
        if "authorization" in socket.headers:
            session.principal = socket.app.state.door.admit(socket, _SCOPE)
    except TradingError as error:
        await socket.send_denial_response(problems.of_error(socket, error))
        return
    await socket.accept()
    if hub.is_full:
        session.close_now(CloseCode.TRY_AGAIN_LATER, "too many clients")
        return
    await _Conversation(socket, session, hub).hold()


class _Conversation:
    """Reads a client's commands while its writer sends."""

    def __init__(self, socket: WebSocket, session: Session, hub: Hub) -> None:
        self._socket = socket
        self._session = session
        self._hub = hub
        self._door: Door = socket.app.state.door
        self._subscriber: Subscriber = socket.app.state.subscriber

    async def hold(self) -> None:
        """Until the client leaves or is sent away."""
        self._hub.enter(self._session)
        writer = asyncio.create_task(self._session.write())
        try:
            await self._read()
        finally:
            self._hub.leave(self._session)
            writer.cancel()
            with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await writer

    async def _read(self) -> None:
        while True:
            message = await self._next()
            if message is None or message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None:
                self._session.close_now(CloseCode.UNSUPPORTED_DATA, "text only")
                return
            await self._answer(text)

    async def _next(self) -> "dict[str, str] | None":
        """The next message, or None when a client without a name has waited for too long."""
        if self._session.is_authenticated:
            return dict(await self._socket.receive())
        try:
            async with asyncio.timeout(self._hub.limits.auth_s):
                return dict(await self._socket.receive())
        except TimeoutError:
            self._session.close_now(CloseCode.NO_KEY_IN_TIME, "no key in time")
            return None

    async def _answer(self, text: str) -> None:
        command: AnyCommand | None = None
        try:
            command = parse(text)
            await self._do(command)
        except TradingError as error:
            self._complain(error, command)

    async def _do(self, command: AnyCommand) -> None:
        if isinstance(command, Auth):
            self._authenticate(command)
            return
        if not self._session.is_authenticated:
            raise Unauthenticated('Expected {"op":"auth","key":…} first.', reason="KEY_MISSING")
        self._door.rates.take(self._session.principal.id)
        match command:
            case Subscribe():
                await self._subscriber.subscribe(self._session, command)
            case Unsubscribe():
                await self._subscriber.unsubscribe(self._session, command)
            case Ping():
                self._session.tell(note("pong", id=command.id, ts_ns=str(self._hub.clock.now_ns())))

    def _authenticate(self, command: Auth) -> None:
        self._session.principal = ANONYMOUS
        try:
            principal = self._door.keys.identify(command.key)
        except Unauthenticated:
            self._door.count_failure(self._socket)
            raise
        if _SCOPE is not None:
            principal.require(_SCOPE)
        self._session.principal = principal
        self._session.tell(note("ack", ack="auth", id=command.id, subscriptions=self._session.followed()))

    def _complain(self, error: TradingError, command: AnyCommand | None) -> None:
        """Say what is wrong; who cannot show a good key is sent away."""
        code, message = problems.public(error)
        text = note("error", id=command.id if command else None, code=code, message=message)
        if error.kind in {Kind.UNAUTHENTICATED, Kind.PERMISSION_DENIED} and not self._session.is_authenticated:
            wrong = CloseCode.UNAUTHENTICATED if error.kind is Kind.UNAUTHENTICATED else CloseCode.FORBIDDEN
            self._session.close_now(wrong, message[:120])
            return
        if not self._session.tell(text):
            self._hub.evict(self._session)
