"""The application: every route, the served contract, and the boundary around each request."""

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, TypeAdapter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleet.metrics import Metrics
from services.gateway import optimize_body, predict_body, problems, train_body
from services.gateway.auth import Scope as KeyScope
from services.gateway.auth import scope_of
from services.gateway.backends import Backends
from services.gateway.bulk import Bulk
from services.gateway.door import Door, allowance_of
from services.gateway.routes import (
    book,
    execution,
    market_data,
    models,
    open_inference,
    orders,
    portfolio,
    rebalances,
    registry,
    reports,
    risk,
    service,
    stream,
    training,
)
from services.gateway.schemas.open_inference import read_by_hand
from services.gateway.schemas.service import FieldError, Version
from services.gateway.websocket.hub import Hub
from services.gateway.websocket.subscriber import Subscriber
from trading.ids import new_id

TITLE = "Neural Trader"
SUMMARY = "Market data, predictions, risk-checked orders, positions and portfolio optimisation."
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_SECURITY_HEADERS = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))
_UNMATCHED = "unmatched"


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes find on `app.state`."""

    door: Door
    backends: Backends
    hub: Hub
    subscriber: Subscriber
    checks: Mapping[str, Callable[[], Awaitable[None]]]
    bulk: Bulk
    version: Version
    fleet_config: type[BaseModel]


def make_app(parts: Parts, metrics: Metrics, log: Any) -> ASGIApp:
    """The application behind its boundary."""
    app = _bare_app(parts.version["version"])
    for name in Parts.__slots__:
        setattr(app.state, name, getattr(parts, name))
    app.openapi = cache(partial(_contract, app))  # type: ignore[method-assign]  # FastAPI's documented way
    return Boundary(app, metrics, log)


def _bare_app(version: str) -> FastAPI:
    app = FastAPI(
        title=TITLE,
        version=version,
        summary=SUMMARY,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        strict_content_type=False,
    )
    for module in (
        service,
        market_data,
        models,
        registry,
        orders,
        execution,
        reports,
        portfolio,
        book,
        risk,
        rebalances,
        stream,
        training,
        open_inference,
    ):
        app.router.routes.extend(module.routes.routes)  # as they are: including would wrap each in another match
    problems.install(app)
    return app


def served_contract(version: str) -> dict[str, Any]:
    """The OpenAPI document of what is served."""
    return _contract(_bare_app(version))


def _contract(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    components = document.setdefault("components", {})
    components["securitySchemes"] = {"bearerAuth": {"type": "http", "scheme": "bearer"}}
    components["schemas"]["Problem"] = _problem_schema()
    components["schemas"] |= read_by_hand() | predict_body.shapes() | train_body.shapes() | optimize_body.shapes()
    components["schemas"]["FieldError"] = TypeAdapter(FieldError).json_schema()
    document["servers"] = [{"url": "/"}]
    document["security"] = [{"bearerAuth": []}]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            scope = scope_of(method.upper(), path)
            operation["x-scope"] = scope.value if scope else "nobody"
            if scope is KeyScope.OPEN:
                operation["security"] = []
    return document


def _problem_schema() -> dict[str, Any]:
    texts = ("type", "title", "detail", "code", "instance", "request_id")
    properties: dict[str, Any] = {name: {"type": "string"} for name in texts}
    properties["status"] = {"type": "integer"}
    properties["errors"] = {"type": "array", "items": {"$ref": "#/components/schemas/FieldError"}}
    required = ["type", "title", "status", "detail", "code", "instance", "request_id"]
    return {"type": "object", "additionalProperties": True, "required": required, "properties": properties}


class Boundary:
    """Around every request: an id, its headers, its time, and an answer even to our own faults."""

    def __init__(self, app: ASGIApp, metrics: Metrics, log: Any) -> None:
        self.app = app
        self._metrics = metrics
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["request_id"] = request_id = _request_id(scope)
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # the same without its body, which the server leaves away
        reply = _Reply(scope, send, request_id)
        started = time.perf_counter()
        try:
            await self.app(scope, receive, reply.send)
        except Exception:  # the boundary of a request: log it, answer it, serve the next
            self._log.exception("http.surprise", request_id=request_id, path=scope["path"])
            if not reply.status:
                await problems.of_surprise(Request(scope))(scope, receive, reply.send)
        finally:
            route = getattr(scope.get("route"), "path_format", _UNMATCHED)
            elapsed_s = time.perf_counter() - started
            self._metrics.http_seconds.labels(route, str(reply.status)).observe(elapsed_s)


class _Reply:
    """Adds the headers that every reply carries, and remembers its status."""

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self._scope = scope
        self._send = send
        self._request_id = request_id
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *self._headers()]
        await self._send(message)

    def _headers(self) -> list[tuple[bytes, bytes]]:
        headers = [(b"x-request-id", self._request_id.encode()), *_SECURITY_HEADERS]
        allowance = allowance_of(self._scope)  # type: ignore[arg-type]  # a mutable mapping of str to Any
        if allowance is not None:
            headers += [(name.encode(), value.encode()) for name, value in allowance.headers().items()]
        return headers


def _request_id(scope: Scope) -> str:
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return given.decode() if _REQUEST_ID.fullmatch(given) else new_id()
