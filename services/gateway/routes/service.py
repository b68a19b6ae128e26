"""Is it up, what is it, and would it take this configuration."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from importlib import resources
from typing import Any

import msgspec
from fastapi import Depends, Request, Response
from fastapi.responses import HTMLResponse

from fleet.probes import CHECK_TIMEOUT_S
from services.gateway.problems import problem
from services.gateway.routes.route import BODY, JSON, KEYED, encoded, idempotency_key, refusals, router
from services.gateway.schemas.config import verdict
from services.gateway.schemas.service import ConfigVerdict, Health, Readiness, Version
from trading.errors import TradingError

routes = router("service")
Check = Callable[[], Awaitable[None]]
_DOCS_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"


@routes.get(
    "/healthz", operation_id="get_health", summary="Is the process alive; asks nobody else", responses=refusals(500)
)
async def get_health() -> Health:
    return {"status": "ok"}


@routes.get(
    "/readyz",
    operation_id="get_readiness",
    summary="Do all four services and NATS answer",
    response_model=Readiness,
    responses=refusals(500, 503),
)
async def get_readiness(request: Request) -> Response:
    checks: Mapping[str, Check] = request.app.state.checks
    verdicts = dict(zip(checks, await asyncio.gather(*map(_verdict, checks.values())), strict=True))
    silent = [name for name, found in verdicts.items() if found != "ok"]
    if not silent:
        return encoded({"status": "ready", "checks": verdicts})
    detail = f"Not ready: {', '.join(silent)}."
    headers = {"Retry-After": "1"}
    return problem(request, 503, "NOT_READY", detail, headers=headers, members={"checks": verdicts})


async def _verdict(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await check()
    except TimeoutError:
        return "no answer"
    except TradingError as error:
        return "no answer" if error.reason == "TRANSPORT" else error.message
    return "ok"


@routes.get(
    "/openapi.json",
    operation_id="get_openapi",
    summary="The contract of what is served here",
    response_model=dict[str, Any],
    responses=refusals(500),
)
async def get_openapi(request: Request) -> Response:
    document = await asyncio.to_thread(request.app.openapi)  # the first time takes a while
    return Response(msgspec.json.encode(document), media_type=JSON)


@routes.get(
    "/docs",
    operation_id="get_docs",
    summary="The contract as a page that needs no internet",
    response_class=HTMLResponse,
    responses=refusals(500),
)
async def get_docs() -> HTMLResponse:
    page = resources.files(__package__).joinpath("docs.html").read_text("utf-8")
    return HTMLResponse(page, headers={"content-security-policy": _DOCS_POLICY})


@routes.get("/v1/version", operation_id="get_version", summary="Version and build", responses=refusals(500))
async def get_version(request: Request) -> Version:
    version: Version = request.app.state.version
    return version


@routes.post(
    "/v1/config/validate",
    operation_id="validate_config",
    summary="Would this configuration be accepted",
    responses=refusals(409, *BODY, *KEYED),
    dependencies=[Depends(idempotency_key)],
)
async def validate_config(body: dict[str, Any], request: Request) -> ConfigVerdict:
    return verdict(body, request.app.state.fleet_config)
