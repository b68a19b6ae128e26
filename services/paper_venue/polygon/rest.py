"""How an HTTP call reaches a handler: key check, rate limit, and refusals in Polygon's words."""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.paper_venue.polygon.auth import ApiKey, shown_key
from services.paper_venue.polygon.errors import ApiError, bad_request, too_many_requests, unknown_key
from services.paper_venue.rate_limit import RateLimit

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """What a handler needs of a request; `base` is the scheme and host that it came to."""

    path: Mapping[str, Any]
    query: Mapping[str, str]
    base: str

    def limit(self, default: int, most: int) -> int:
        """How many rows are asked for; raises ApiError 400."""
        text = self.query.get("limit")
        if text is None:
            return default
        if not text.isascii() or not text.isdecimal() or not 0 < int(text) <= most:
            raise bad_request(f"The parameter 'limit' must be between 1 and {most}, was {text!r}.")
        return int(text)

    def descending(self, name: str, default: str) -> bool:
        """The newest (or last) first; raises ApiError 400."""
        text = self.query.get(name, default)
        if text not in ("asc", "desc"):
            raise bad_request(f"The parameter '{name}' must be asc or desc, was {text!r}.")
        return text == "desc"


Handler = Callable[[Call], Answer | list[Any]]


class Door:
    """Makes Starlette routes of handlers, behind the key and the limit."""

    def __init__(self, key: ApiKey, limit: RateLimit) -> None:
        self._key = key
        self._limit = limit

    def route(self, path: str, handler: Handler) -> Route:
        """A route that lets only the customer through to `handler`."""
        return Route(path, self._endpoint(handler), methods=["GET"])

    def _endpoint(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            try:
                return _respond(self._handle(request, handler), 200, {})
            except ApiError as error:
                waits = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
                return _respond(error.body, error.status, waits)

        return serve

    def _handle(self, request: Request, handler: Handler) -> Answer | list[Any]:
        if not self._key.match(shown_key(request.headers, request.query_params)):
            raise unknown_key()
        if not self._limit.take():
            raise too_many_requests(self._limit.left_s)
        return handler(Call(request.path_params, request.query_params, str(request.base_url).rstrip("/")))


def _respond(answer: Answer | list[Any], status: int, headers: dict[str, str]) -> Response:
    if isinstance(answer, dict):
        answer = {**answer, "request_id": secrets.token_hex(16)}
    return Response(msgspec.json.encode(answer), status, headers, media_type="application/json")
