"""How an HTTP call reaches a handler: weight, key, signature, time, and refusals in Binance's words."""

from collections.abc import Awaitable, Callable, Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.paper_venue.binance.auth import Keys, check_time, signed_text
from services.paper_venue.binance.calls import Access, Call
from services.paper_venue.binance.errors import ApiError, missing
from services.paper_venue.binance.limits import Limits
from services.paper_venue.binance.params import Params
from services.paper_venue.binance.texts import TimeUnit
from trading.clock import Clock


class Door:
    """Makes Starlette routes of calls."""

    def __init__(self, keys: Keys, limits: Limits, clock: Clock) -> None:
        self._keys = keys
        self._limits = limits
        self._clock = clock

    def routes(self, base: str, calls: Sequence[Call]) -> list[Route]:
        """A route for every call, below `base`."""
        return [Route(f"{base}/api/v3/{call.path}", self._endpoint(call), methods=[call.verb]) for call in calls]

    def _endpoint(self, call: Call) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            try:
                answer, status, headers = await self._handle(request, call), 200, self._headers(call)
            except ApiError as error:
                answer, status = error.body, error.status
                waits = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
                headers = self._headers(call) | waits
            return Response(msgspec.json.encode(answer), status, headers, media_type="application/json;charset=UTF-8")

        return serve

    async def _handle(self, request: Request, call: Call) -> object:
        query, body = request.url.query, (await request.body()).decode(errors="replace")
        unit = TimeUnit.called(request.headers.get("x-mbx-time-unit"))
        params = Params.of_http(query, body, unit)
        self._limits.take_weight(call.cost(params))
        if call.access is Access.SIGNED:
            self._check(request, params, query, body)
        return call.handler(params)

    def _check(self, request: Request, params: Params, query: str, body: str) -> None:
        self._keys.check_key(request.headers.get("x-mbx-apikey"))
        text, signature = signed_text(query, body)
        if signature is None:
            raise missing("signature")
        check_time(params, self._clock.now_ns())
        self._keys.check_signature(signature, text)

    def _headers(self, call: Call) -> dict[str, str]:
        orders = self._limits.order_headers() if call.is_order else {}
        return self._limits.headers() | orders
