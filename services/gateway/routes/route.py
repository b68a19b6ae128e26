"""How every route behaves: guarded by the door, bodies read strictly, errors documented."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Request, Response, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from fleet import deadline
from fleet.telemetry import span
from services.gateway.auth import Principal, scope_of
from services.gateway.backends import Backends
from services.gateway.door import Bounds, Door
from services.gateway.problems import MEDIA_TYPE, OPEN_INFERENCE
from trading.errors import InvalidArgument

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Responses = dict[int | str, dict[str, Any]]
JSON = "application/json"
BULK_PATHS = frozenset(
    {
        "/v1/models/{name}/predict",
        "/v1/models/{name}/train",
        "/v1/portfolio/frontier",
        "/v1/portfolio/optimize",
        "/v1/portfolio/rebalances",
        "/v1/portfolio/risk",
        "/v1/portfolio/risk/simulate",
        "/v2/models/{name}/infer",
        "/v2/models/{name}/versions/{version}/infer",
    }
)
FILE_PATHS = frozenset({"/v1/models"})
"""Whose bodies are files: they may be larger, and looking at them takes longer."""
LONG_PATHS = FILE_PATHS | {"/v1/models/{name}/train"}
"""Whose bodies take longer to come and to be looked at than others."""
SUBMIT_PATH = "/v1/orders"
"""The one POST that is idempotent by itself, for ever."""
_LONGEST_BODY_S = 600.0
"""Only where no deadline was begun: that of the request is shorter."""
_DESCRIPTIONS = {
    304: "Unchanged since the given ETag.",
    400: "The body cannot be parsed.",
    401: "No key, or a wrong one.",
    403: "The key may not do this.",
    404: "It does not exist; nothing was stored.",
    409: "Right in itself and at the wrong moment.",
    413: "The body exceeds the limit.",
    415: "The body is of another media type.",
    422: "A field or value is wrong; `errors` point at it.",
    429: "Too many requests; `Retry-After` says when to come back.",
    500: "A fault of the server; `request_id` finds it in the log.",
    503: "A part of the fleet cannot answer now.",
    504: "There was no answer in time.",
}
KEYED = (401, 403, 429, 500)
FLEET = (503, 504)
BODY = (400, 413, 415, 422)


class StrictRequest(Request):
    """A request whose body has a bound, comes in time and is JSON in UTF-8 without ambiguity, or is refused."""

    body_bytes_max = 0
    is_bulk = False
    """Bulk bodies are numbers by the million: names that come twice are not looked for in them."""

    async def body(self) -> bytes:
        """The whole body; 413 when it is larger than the route allows."""
        if not hasattr(self, "_body"):
            declared = self.headers.get("content-length", "0")
            if declared.isdigit() and int(declared) > self.body_bytes_max:
                raise self._too_large()
            self._body = await self._read()
        return self._body

    async def _read(self) -> bytes:
        try:
            async with asyncio.timeout(deadline.remaining(_LONGEST_BODY_S)):
                return b"".join([chunk async for chunk in self.pieces()])
        except TimeoutError as error:
            raise HTTPException(408, "The body did not come in time.", {"Connection": "close"}) from error

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes; 413 when it is larger than the route allows."""
        size = 0
        async for chunk in self.stream():
            size += len(chunk)
            if size > self.body_bytes_max:
                raise self._too_large()
            yield chunk

    def _too_large(self) -> HTTPException:
        return HTTPException(413, f"Expected a body of at most {self.body_bytes_max} bytes.")

    async def json(self) -> Any:
        """The parsed body; 400 when it is no JSON, no UTF-8, nested beyond reason, or names something twice."""
        body = await self.body()
        try:
            parsed = msgspec.json.decode(body)
            if not self.is_bulk:
                json.loads(body, object_pairs_hook=_named_once, parse_int=str, parse_float=str)
            return parsed
        except RecursionError as error:
            raise HTTPException(400, "The body is nested too deeply.") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise HTTPException(400, f"The body is no JSON: {error}") from error


def _named_once(members: list[tuple[str, object]]) -> None:
    """Parsers disagree on which of two members counts: an order that says two things is not guessed at."""
    seen: set[str] = set()
    for name, _ in members:
        if name in seen:
            raise HTTPException(400, f"The body names {name[:64]!r} twice.")
        seen.add(name)


class GuardedRoute(APIRoute):
    """A route behind the door; what its scope is says one table."""

    def get_route_handler(self) -> Handler:
        """FastAPI's own handler, once the door has let the request in."""
        answer = super().get_route_handler()
        method = min(self.methods or ())
        path = self.path_format
        scope = scope_of(method, path)
        is_remembered = method == "POST" and path != SUBMIT_PATH
        has_body, name = self.body_field is not None, f"{method} {path}"
        parameters = self._parameters()

        async def guarded(request: Request) -> Response:
            door: Door = request.app.state.door
            principal = door.admit(request, scope)
            request.scope["principal"] = principal
            if parameters is not None and request.scope["query_string"]:
                _require_known(request, parameters)
            strict = StrictRequest(request.scope, request.receive)
            strict.body_bytes_max, strict.is_bulk = _most_bytes(door.bounds, path), path in BULK_PATHS
            if has_body:
                require_json(strict)
            deadline.begin(door.bounds.file_timeout_s if path in LONG_PATHS else door.bounds.timeout_s)
            with span(name, request.headers.get("traceparent")):
                if is_remembered:
                    return await door.once(strict, principal, lambda: answer(strict))
                return await answer(strict)

        return guarded

    def _parameters(self) -> frozenset[str] | None:
        """Which query parameters the route knows; None where it does not mind others."""
        if 422 not in self.responses or self.path_format.startswith(OPEN_INFERENCE):
            return None
        known = get_flat_params(self.dependant)
        return frozenset(field.alias for field in known if isinstance(field.field_info, params.Query))


def _require_known(request: Request, parameters: frozenset[str]) -> None:
    """A filter that is misspelt and left out would list, or cancel, everything."""
    for name in request.query_params:
        if name not in parameters:
            raise InvalidArgument(f"There is no parameter {name[:64]!r} here.", parameter=name[:64])


def _most_bytes(bounds: Bounds, path: str) -> int:
    if path in FILE_PATHS:
        return bounds.file_bytes_max
    return bounds.bulk_body_bytes_max if path in BULK_PATHS else bounds.body_bytes_max


def media_type_of(request: Request) -> str:
    """What the caller says the body is, in small letters and without parameters; "" when it says nothing."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def require_json(request: Request) -> None:
    """Raise 415 for a body that says it is something else, or compressed."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        raise HTTPException(415, f"Expected a body that is not compressed, was {encoding[:64]}.")
    media_type = media_type_of(request)
    if not media_type or request.headers.get("content-length") == "0":
        return
    if media_type != JSON and not (media_type.startswith("application/") and media_type.endswith("+json")):
        raise HTTPException(415, f"Expected {JSON}, was {media_type[:64]}.")


def router(tag: str) -> APIRouter:
    """An empty router whose routes are guarded."""
    return APIRouter(tags=[tag], route_class=GuardedRoute, strict_content_type=False)


def refusals(*statuses: int) -> Responses:
    """Problem documents that a route may answer, for its documentation."""
    return {status: _documented(status) for status in sorted(set(statuses))}


def _documented(status: int) -> dict[str, Any]:
    if status < 400:
        return {"description": _DESCRIPTIONS[status]}
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": _DESCRIPTIONS[status], "content": {MEDIA_TYPE: {"schema": schema}}}


def accepts(request: Request, media_type: str) -> bool:
    """Whether the caller asks for this media type by name; anything else gets JSON."""
    ranges = (part.split(";") for part in request.headers.get("accept", "").lower().split(","))
    return any(name.strip() == media_type and "q=0" not in map(str.strip, rest) for name, *rest in ranges)


def fleet_of(request: Request) -> Backends:
    """The fleet behind the gateway; for hot routes, which spare the cost of a dependency."""
    found: Backends = request.app.state.backends
    return found


async def _backends(request: Request) -> Backends:
    return fleet_of(request)


async def _principal(request: Request) -> Principal:
    found: Principal = request.scope["principal"]
    return found


RepeatKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=64,
        pattern="^[A-Za-z0-9._-]+$",
        description="Repeating a request with this key within 24 hours answers what the first one answered.",
    ),
]


async def idempotency_key(key: RepeatKey = None) -> None:
    """Documents and checks the key of a request that may be repeated; the door acts on it."""


Fleet = Annotated[Backends, Depends(_backends)]
Caller = Annotated[Principal, Depends(_principal)]
AccountQuery = Annotated[str, Query(min_length=1, max_length=64, description="Account.")]
AnyAccount = Annotated[str, Query(max_length=64, description="Account; all by default.")]
CursorQuery = Annotated[str, Query(max_length=512, description="`next_cursor` of the page before.")]


def encoded(document: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A document as a response, encoded once by msgspec instead of FastAPI's serialisation."""
    return Response(msgspec.json.encode(document), status, headers, JSON)
