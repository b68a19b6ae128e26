"""How an HTTP call reaches a handler: key check, rate limit, body, and refusals in Alpaca's words."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from services.paper_venue.alpaca.auth import Credentials
from services.paper_venue.alpaca.errors import FIELD, MALFORMED, RATE_LIMITED, UNAUTHORIZED, ApiError, refusal
from services.paper_venue.rate_limit import RateLimit
from trading.errors import TradingError

BodyT = TypeVar("BodyT")


@dataclass(frozen=True, slots=True)
class Call:
    """What a handler needs of a request."""

    path: Mapping[str, Any]
    query: Mapping[str, str]
    body: bytes

    def read(self, shape: type[BodyT]) -> BodyT:
        """The body as `shape`; raises ApiError 400 when it is no JSON, 422 when a field is wrong."""
        try:
            return msgspec.json.decode(self.body, type=shape)
        except msgspec.ValidationError as error:
            raise ApiError(422, FIELD, str(error)) from error
        except msgspec.DecodeError as error:
            raise ApiError(400, MALFORMED, "request body format is invalid") from error

    def whole_number(self, name: str, default: int, most: int) -> int:
        """A positive whole number of the query, at most `most`; raises ApiError 422."""
        text = self.query.get(name)
        if text is None:
            return default
        if not text.isascii() or not text.isdecimal() or not 0 < int(text) <= most:
            raise ApiError(422, FIELD, f"invalid {name}: expected 1 to {most}, was {text!r}")
        return int(text)

    def names(self, name: str) -> list[str]:
        """A comma-separated list of the query, without empty and double names."""
        return list(dict.fromkeys(part.strip() for part in self.query.get(name, "").split(",") if part.strip()))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler gives back; a payload of None is an empty body."""

    payload: Any = None
    status: int = 200


Handler = Callable[[Call], Answer]


class Door:
    """Makes Starlette endpoints of handlers; `unauthorized` is what a stranger is told."""

    def __init__(self, credentials: Credentials, limit: RateLimit, unauthorized: ApiError) -> None:
        self._credentials = credentials
        self._limit = limit
        self._unauthorized = unauthorized

    def endpoint(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint that lets only the customer through to `handler`."""

        async def serve(request: Request) -> Response:
            try:
                answer = await self._handle(request, handler)
            except ApiError as error:
                answer = Answer(error.body, error.status)
            except TradingError as error:
                refused = refusal(error)
                answer = Answer(refused.body, refused.status)
            return self._respond(answer)

        return serve

    async def _handle(self, request: Request, handler: Handler) -> Answer:
        if not self._credentials.match_headers(request.headers):
            raise self._unauthorized
        if not self._limit.take():
            raise ApiError(429, RATE_LIMITED, "rate limit exceeded")
        body = await request.body() if request.method in ("POST", "PATCH", "PUT") else b""
        return handler(Call(request.path_params, request.query_params, body))

    def _respond(self, answer: Answer) -> Response:
        headers = _limit_headers(self._limit)
        if answer.payload is None:
            return Response(status_code=answer.status, headers=headers)
        content = msgspec.json.encode(answer.payload)
        return Response(content, answer.status, headers, media_type="application/json")


def _limit_headers(limit: RateLimit) -> dict[str, str]:
    """Limit, what is left of it, and when it is whole again (unix seconds)."""
    return {
        "X-RateLimit-Limit": str(limit.per_minute),
        "X-RateLimit-Remaining": str(limit.left),
        "X-RateLimit-Reset": str(limit.ends_s),
    }


def trading_door(credentials: Credentials, limit: RateLimit) -> Door:
    """The door of the trading API."""
    return Door(credentials, limit, ApiError(401, UNAUTHORIZED, "request is not authorized"))


def data_door(credentials: Credentials, limit: RateLimit) -> Door:
    """The door of the data API, whose refusals carry no code."""
    return Door(credentials, limit, ApiError(403, None, "forbidden."))
