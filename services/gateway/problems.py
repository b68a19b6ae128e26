"""Errors as RFC 9457 problem documents: stable type and code, pointers at what is wrong, nothing leaked."""

import math
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from services.gateway.schemas.service import FieldError
from trading.errors import Kind, TradingError

MEDIA_TYPE = "application/problem+json"
OPEN_INFERENCE = "/v2"
"""Below it errors have the form of a foreign protocol."""
CLIENT_CLOSED_REQUEST = 499
_STATUS = {
    Kind.INVALID_ARGUMENT: 422,
    Kind.UNAUTHENTICATED: 401,
    Kind.PERMISSION_DENIED: 403,
    Kind.NOT_FOUND: 404,
    Kind.ALREADY_EXISTS: 409,
    Kind.ABORTED: 409,
    Kind.FAILED_PRECONDITION: 409,
    Kind.RESOURCE_EXHAUSTED: 429,
    Kind.CANCELED: CLIENT_CLOSED_REQUEST,
    Kind.INTERNAL: 500,
    Kind.UNIMPLEMENTED: 501,
    Kind.UNAVAILABLE: 503,
    Kind.DEADLINE_EXCEEDED: 504,
}
_CODES = {
    400: "MALFORMED_BODY",
    404: "NO_SUCH_ROUTE",
    405: "METHOD_NOT_ALLOWED",
    413: "BODY_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
}
_TITLES = {CLIENT_CLOSED_REQUEST: "Client Closed Request"}
_RESERVED = frozenset(
    {"type", "title", "status", "detail", "code", "instance", "request_id", "errors", "field", "parameter"}
)
_PLACES = frozenset({"body", "rows", "columns"})
"""Leading parts of an error's location that are no part of the body: where it is, and which form it has."""
_MOST_ERRORS = 100
_BODILESS = frozenset({"GET", "DELETE"})


def problem(
    request: HTTPConnection,
    status: int,
    code: str,
    detail: str,
    *,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, object] | None = None,
) -> Response:
    """A problem document as a response; `members` are the facts beside the standard ones."""
    if _speaks_open_inference(request.url.path):
        return open_inference_error(status, detail, headers=headers)
    document: dict[str, object] = {
        "type": f"urn:neural-trader:problem:{code.lower().replace('_', '-')}",
        "title": title_of(status),
        "status": status,
        "detail": detail,
        "code": code,
        "instance": request.url.path,
        "request_id": request.scope.get("request_id", ""),
    }
    if errors:
        document["errors"] = errors
    document |= {name: value for name, value in (members or {}).items() if name not in _RESERVED}
    return Response(msgspec.json.encode(document), status, headers, MEDIA_TYPE)


def open_inference_error(status: int, message: str, *, headers: Mapping[str, str] | None = None) -> Response:
    """An error as the Open Inference Protocol's clients read it."""
    return Response(msgspec.json.encode({"error": message}), status, headers, "application/json")


def _speaks_open_inference(path: str) -> bool:
    return path == OPEN_INFERENCE or path.startswith(f"{OPEN_INFERENCE}/")


def title_of(status: int) -> str:
    """The phrase of a status."""
    return _TITLES.get(status) or HTTPStatus(status).phrase


def of_error(request: HTTPConnection, error: TradingError) -> Response:
    """The problem behind a named error."""
    status = _STATUS[error.kind]
    return problem(
        request,
        status,
        *public(error),
        errors=_pointed(request, error),
        headers=_headers(status, error),
        members=error.metadata,
    )


def public(error: TradingError) -> tuple[str, str]:
    """Code and message as the world outside sees them: the fleet's addresses stay inside."""
    if error.reason == "TRANSPORT":
        return "UNAVAILABLE", "A part of the fleet does not answer; trying again may help."
    return error.reason, error.message


def _pointed(request: HTTPConnection, error: TradingError) -> list[FieldError]:
    field, parameter = (error.metadata.get(name) for name in ("field", "parameter"))
    if error.kind is not Kind.INVALID_ARGUMENT or (field is None and parameter is None):
        return []
    if parameter is None and request.scope.get("method") in _BODILESS:
        parameter = field
    if parameter is not None:
        return [{"detail": error.message, "parameter": str(parameter)}]
    return [{"detail": error.message, "pointer": _pointer(str(field).split(".") if field else [])}]


def _headers(status: int, error: TradingError) -> dict[str, str]:
    if status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": 'Bearer realm="neural-trader"'}
    if status in {429, 503}:
        return {"Retry-After": str(_whole_seconds(error.metadata.get("retry_after_s")))}
    return {}


def _whole_seconds(wait: object) -> int:
    """A time to wait as the header carries it: at least a second, also when nobody said how long."""
    try:
        return max(math.ceil(float(str(wait))), 1)
    except (ValueError, OverflowError):
        return 1


def of_validation(request: Request, error: RequestValidationError) -> Response:
    """The problem of a body or parameter that breaks the contract; no body at all cannot be parsed."""
    details = error.errors()
    if any(tuple(detail["loc"]) == ("body",) and detail["type"] == "missing" for detail in details):
        return problem(request, 400, "MALFORMED_BODY", "Expected a JSON body, was an empty one.")
    errors = [_field_error(detail["loc"], detail["msg"]) for detail in details[:_MOST_ERRORS]]
    return problem(request, 422, "INVALID_ARGUMENT", _summary(errors, len(details)), errors=errors)


def _field_error(location: Sequence[str | int], message: str) -> FieldError:
    place, *path = location
    if place != "body":
        return {"detail": message, "parameter": ".".join(map(str, path)) or str(place)}
    if path and path[0] in _PLACES:
        path = path[1:]
    return {"detail": message, "pointer": _pointer(part for part in path if not _is_branch(part))}


def _is_branch(part: str | int) -> bool:
    """A union's branch in pydantic's location, such as `function-before[…]` or `list[float]`: no key of the body."""
    return isinstance(part, str) and part.endswith("]") and "[" in part


def _pointer(parts: Iterable[str | int]) -> str:
    return "#" + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def _summary(errors: Sequence[FieldError], count: int) -> str:
    where = errors[0].get("pointer") or errors[0].get("parameter", "")
    more = f" (and {count - 1} more)" if count > 1 else ""
    return f"{where}: {errors[0]['detail']}{more}"


def of_http(request: Request, error: HTTPException) -> Response:
    """The problem of what the framework itself refuses: no such route, method, media type, size."""
    status, detail, headers = error.status_code, str(error.detail), error.headers
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(_methods_at(request))
        detail, headers = f"Expected {allowed}, was {request.method}.", {"Allow": allowed}
    elif status == HTTPStatus.NOT_FOUND and detail == HTTPStatus.NOT_FOUND.phrase:
        detail = "There is no such route."
    return problem(request, status, _CODES.get(status) or HTTPStatus(status).name, detail, headers=headers)


def _methods_at(request: Request) -> list[str]:
    """Every method of a path: the framework tells those of the first route alone."""
    path = request.scope["path"]
    routes = (route for route in request.app.routes if isinstance(route, APIRoute) and route.path_regex.match(path))
    methods = {method for route in routes for method in route.methods or ()}
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)


def of_surprise(request: Request) -> Response:
    """The problem of a fault of ours; the log knows more by the request id."""
    return problem(request, 500, "INTERNAL", "An internal error was logged under this request id.")


def install(app: FastAPI) -> None:
    """Answer every error of the application with a problem document."""

    async def trading(request: Request, error: Exception) -> Response:
        assert isinstance(error, TradingError)
        return of_error(request, error)

    async def validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return of_validation(request, error)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return of_http(request, error)

    async def surprise(request: Request, _error: Exception) -> Response:
        return of_surprise(request)

    app.add_exception_handler(TradingError, trading)
    app.add_exception_handler(RequestValidationError, validation)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, surprise)
