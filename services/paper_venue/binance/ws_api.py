"""The WebSocket API: the calls of REST by name, sessions opened with an Ed25519 key, and user data."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from starlette.websockets import WebSocket

from services.paper_venue.binance.auth import Keys, check_time, sorted_text
from services.paper_venue.binance.calls import Access, Call
from services.paper_venue.binance.connection import Connection, SocketRules, Sockets
from services.paper_venue.binance.errors import UNKNOWN_METHOD, ApiError, missing
from services.paper_venue.binance.limits import Limits
from services.paper_venue.binance.params import Params
from services.paper_venue.binance.texts import TimeUnit
from services.paper_venue.binance.user_data import Subscriber, UserData
from trading.clock import Clock

_SESSION_WEIGHT = 2
_MALFORMED = -1000


class WsApi:
    """The endpoint; `calls` are those of REST that have a name here."""

    def __init__(
        self, calls: Sequence[Call], keys: Keys, limits: Limits, user_data: UserData, rules: SocketRules, clock: Clock
    ) -> None:
        self.calls: Mapping[str, Call] = {call.name: call for call in calls if call.name}
        self.keys = keys
        self.limits = limits
        self.user_data = user_data
        self.sockets = Sockets(rules)
        self.clock = clock

    async def endpoint(self, websocket: WebSocket) -> None:
        """Serve one connection until either side closes it."""
        session = _Session(websocket, self)
        await self.sockets.admit(websocket, session.serve)


class _Session:
    """One connection and who it belongs to."""

    def __init__(self, websocket: WebSocket, api: WsApi) -> None:
        self._api = api
        self._unit = TimeUnit.called(websocket.query_params.get("timeUnit"))
        self._tells_limits = websocket.query_params.get("returnRateLimits", "true") != "false"
        self._connection = Connection(websocket, api.sockets.rules, self._answer)
        self._subscriber = Subscriber(self._connection.offer, self._unit)
        self._since_ns = api.clock.now_ns()
        self._authorized_ns: int | None = None
        self._methods: dict[str, Callable[[Params], object]] = {
            "session.logon": self._log_on,
            "session.status": self._status,
            "session.logout": self._log_out,
            "session.subscriptions": self._subscriptions,
            "userDataStream.subscribe": self._subscribe,
            "userDataStream.subscribe.signature": self._subscribe_signed,
            "userDataStream.unsubscribe": self._unsubscribe,
        }

    async def serve(self) -> None:
        """Answer until the end."""
        self._api.user_data.subscribers.append(self._subscriber)
        try:
            await self._connection.serve(self._notice)
        finally:
            self._api.user_data.subscribers.remove(self._subscriber)

    def _notice(self) -> str:
        event = {"event": {"e": "serverShutdown", "E": self._unit.of(self._api.clock.now_ns())}}
        return msgspec.json.encode(event).decode()

    def _answer(self, text: str) -> str:
        message = _parse(text)
        said: dict[str, object] = {"id": message.get("id")}
        try:
            said |= {"status": 200, "result": self._obey(message)}
        except ApiError as error:
            said |= {"status": error.status, "error": error.body}
        if self._tells(message):
            said["rateLimits"] = self._api.limits.weight_status()
        return msgspec.json.encode(said).decode()

    def _obey(self, message: Mapping[str, Any]) -> object:
        method, values = message.get("method"), message.get("params") or {}
        if not isinstance(method, str) or not isinstance(values, dict):
            raise ApiError(_MALFORMED, "Invalid request.")
        params = Params.of_json(values, self._unit)
        if method in self._methods:
            self._api.limits.take_weight(_SESSION_WEIGHT)
            return self._methods[method](params)
        call = self._api.calls.get(method)
        if call is None:
            raise ApiError(UNKNOWN_METHOD, "Unknown method.")
        self._api.limits.take_weight(call.cost(params))
        if call.access is Access.SIGNED:
            self._authorize(params)
        return call.handler(params)

    def _tells(self, message: Mapping[str, Any]) -> bool:
        params = message.get("params")
        asked = params.get("returnRateLimits") if isinstance(params, dict) else None
        return self._tells_limits if asked is None else asked is not False

    def _authorize(self, params: Params) -> None:
        """A request is signed itself, or belongs to a session that was."""
        if self._authorized_ns is not None and params.get("signature") is None:
            check_time(params, self._api.clock.now_ns())
            return
        self._api.keys.check_key(params.get("apiKey"))
        if params.get("signature") is None:
            raise missing("signature")
        check_time(params, self._api.clock.now_ns())
        self._api.keys.check_signature(params.text("signature"), sorted_text(params.values))

    def _log_on(self, params: Params) -> object:
        self._api.keys.check_key(params.get("apiKey"))
        check_time(params, self._api.clock.now_ns())
        self._api.keys.check_ed25519(params.text("signature"), sorted_text(params.values))
        self._authorized_ns = self._api.clock.now_ns()
        return self._status(params)

    def _log_out(self, params: Params) -> object:
        self._authorized_ns = None
        if self._subscriber.number is not None:
            self._api.user_data.end(self._subscriber)
        return self._status(params)

    def _status(self, params: Params) -> object:
        authorized_ns = self._authorized_ns
        return {
            "apiKey": None if authorized_ns is None else self._api.keys.key,
            "authorizedSince": None if authorized_ns is None else self._unit.of(authorized_ns),
            "connectedSince": self._unit.of(self._since_ns),
            "returnRateLimits": self._tells_limits,
            "serverTime": self._unit.of(self._api.clock.now_ns()),
            "userDataStream": self._subscriber.number is not None,
        }

    def _subscriptions(self, params: Params) -> object:
        number = self._subscriber.number
        return [] if number is None else [{"subscriptionId": number}]

    def _subscribe(self, params: Params) -> object:
        if self._authorized_ns is None:
            raise ApiError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        return {"subscriptionId": self._subscriber.subscribe()}

    def _subscribe_signed(self, params: Params) -> object:
        self._authorize(params)
        return {"subscriptionId": self._subscriber.subscribe()}

    def _unsubscribe(self, params: Params) -> object:
        stated = params.get("subscriptionId")
        if self._subscriber.number is not None and stated in (None, str(self._subscriber.number)):
            self._api.user_data.end(self._subscriber)
        return {}


def _parse(text: str) -> dict[str, Any]:
    """The request; what is none becomes an empty one, and is refused like one."""
    try:
        message = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {}
    return message if isinstance(message, dict) else {}
