"""What every request passes before its route: key, scope, rate, size, and the memory of repeated requests."""

import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
from fastapi import Request, Response
from starlette.requests import HTTPConnection

from fleet.cache import Cache
from services.gateway.auth import ANONYMOUS, Keys, Principal, Scope
from services.gateway.limits import Allowance, RateLimiter
from trading.errors import Kind, PermissionDenied, TradingError, Unauthenticated, Unavailable
from trading.ids import parse_client_order_id

LARGEST_KEPT_REPLY_BYTES = 256 * 1024
_KEPT_HEADERS = ("content-type", "location", "content-encoding", "inference-header-content-length")
Answer = Callable[[], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long and how large a request may be."""

    timeout_s: float
    body_bytes_max: int
    bulk_body_bytes_max: int
    remembered_s: float
    file_bytes_max: int = 256 * 1024 * 1024
    file_timeout_s: float = 120.0


class _KeptReply(msgspec.Struct):
    body_sha256: bytes
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Door:
    """Lets requests in, or says why not."""

    keys: Keys
    rates: RateLimiter
    failures: RateLimiter
    replies: Cache
    bounds: Bounds
    _under_way: set[str] = field(default_factory=set)

    def admit(self, connection: HTTPConnection, scope: Scope | None) -> Principal:
        """Who calls, once key, rate and scope are in order; raises the named error."""
        if scope is Scope.OPEN:
            return ANONYMOUS
        principal = self._identify(connection)
        connection.scope["allowance"] = self.rates.take(principal.id)
        if scope is None:
            raise PermissionDenied("No key is good for this route.", reason="SCOPE_MISSING")
        principal.require(scope)
        return principal

    def _identify(self, connection: HTTPConnection) -> Principal:
        try:
            return self.keys.of_header(connection.headers.get("authorization"))
        except Unauthenticated:
            self.count_failure(connection)
            raise

    def count_failure(self, connection: HTTPConnection) -> None:
        """A wrong key costs a token of its address; raises ResourceExhausted when there is none left."""
        self.failures.take(connection.client.host if connection.client else "")

    async def once(self, request: Request, principal: Principal, answer: Answer) -> Response:
        """Answer a request with an Idempotency-Key as it was answered before; anything else by `answer`."""
        key = request.headers.get("idempotency-key")
        if not key or not _is_key(key):  # a bad one is the route's to refuse
            return await answer()
        body_sha256 = hashlib.sha256(await request.body()).digest()
        name = f"reply:{principal.id}:{request.method}:{request.url.path}?{request.url.query}:{key}"
        kept = await self._kept(name)
        if kept is not None:
            return _replay(kept, body_sha256)
        if name in self._under_way:
            raise TradingError(Kind.ABORTED, "REQUEST_UNDER_WAY", "The first request with this key is still under way.")
        self._under_way.add(name)
        try:
            response = await answer()
            await self._keep(name, body_sha256, response)
        finally:
            self._under_way.discard(name)
        return response

    async def _kept(self, name: str) -> _KeptReply | None:
        try:
            packed = await self.replies.get(name)
        except Unavailable:
            return None  # a lost cache must not stop the kill switch: the request is served, and not remembered
        return None if packed is None else msgspec.msgpack.decode(packed, type=_KeptReply)

    async def _keep(self, name: str, body_sha256: bytes, response: Response) -> None:
        if response.status_code >= 500 or len(response.body) > LARGEST_KEPT_REPLY_BYTES:
            return
        headers = {header: response.headers[header] for header in _KEPT_HEADERS if header in response.headers}
        reply = _KeptReply(body_sha256, response.status_code, headers, bytes(response.body))
        with suppress(Unavailable):
            await self.replies.put_many({name: msgspec.msgpack.encode(reply)}, self.bounds.remembered_s)


def allowance_of(scope: dict[str, object]) -> Allowance | None:
    """What the caller of this request has left."""
    allowance = scope.get("allowance")
    return allowance if isinstance(allowance, Allowance) else None


def _replay(kept: _KeptReply, body_sha256: bytes) -> Response:
    if kept.body_sha256 != body_sha256:
        raise TradingError(
            Kind.ALREADY_EXISTS, "IDEMPOTENCY_CONFLICT", "The same Idempotency-Key came before with another body."
        )
    return Response(kept.body, kept.status, {**kept.headers, "idempotency-replayed": "true"})


def _is_key(key: str) -> bool:
    try:
        parse_client_order_id(key)
    except TradingError:
        return False
    return True
