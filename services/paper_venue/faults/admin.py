"""The admin route: faults, halts and prices are scripted by whoever knows its unguessable address."""

import hmac
from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.paper_venue.faults.fault import MEANINGS, Armed, Fault, TooManyFaults
from services.paper_venue.faults.floor import Floor
from services.paper_venue.faults.guard import Guard

Handler = Callable[[Request], Awaitable[Response]]
_LARGEST_BODY = 65_536


class Admin:
    """The handlers below `/admin/<token>`; the token is the only key."""

    def __init__(self, guard: Guard, floor: Floor, token: str) -> None:
        self._guard = guard
        self._floor = floor
        self._token = token.encode()
        self.path = f"/admin/{token}"

    def routes(self) -> list[Route]:
        """Of faults, `GET` lists, `POST` arms one or several, `DELETE` takes back one or all; halts are alike."""
        table: tuple[tuple[str, str, Handler], ...] = (
            ("", "GET", self._list),
            ("/faults", "GET", self._list),
            ("/faults", "POST", self._arm),
            ("/faults", "DELETE", self._clear),
            ("/faults/{fault_id:int}", "DELETE", self._disarm),
            *self._floor.table(),
        )
        return [Route("/admin/{token}" + path, self._behind(handler), methods=[verb]) for path, verb, handler in table]

    def _behind(self, handler: Handler) -> Handler:
        """Who does not know the token finds nothing."""

        async def serve(request: Request) -> Response:
            shown = str(request.path_params["token"]).encode(errors="replace")
            return await handler(request) if hmac.compare_digest(shown, self._token) else _say({"error": "no"}, 404)

        return serve

    async def _list(self, request: Request) -> Response:
        faults = [_told(armed, active) for armed, active in self._guard.board.listed()]
        return _say({"faults": faults, "kinds": MEANINGS})

    async def _arm(self, request: Request) -> Response:
        body = await request.body()
        if len(body) > _LARGEST_BODY:
            return _say({"error": f"expected at most {_LARGEST_BODY} bytes, was {len(body)}"}, 413)
        try:
            asked = msgspec.json.decode(body, type=Fault | list[Fault])
        except msgspec.DecodeError as error:
            return _say({"error": str(error)}, 400)
        try:
            armed = [await self._guard.arm(fault) for fault in (asked if isinstance(asked, list) else [asked])]
        except TooManyFaults as error:
            return _say({"error": str(error)}, 409)
        told = [_told(each, active=True) for each in armed]
        return _say(told if isinstance(asked, list) else told[0], 201)

    async def _disarm(self, request: Request) -> Response:
        found = self._guard.board.disarm(request.path_params["fault_id"])
        return Response(status_code=204) if found else _say({"error": "no such fault"}, 404)

    async def _clear(self, request: Request) -> Response:
        self._guard.board.clear()
        return Response(status_code=204)


def _told(armed: Armed, active: bool) -> dict[str, object]:
    """A fault as the list shows it."""
    members: dict[str, object] = msgspec.to_builtins(armed.fault)
    return {"id": armed.fault_id, **members, "hits": armed.hits, "active": active}


def _say(payload: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(payload), status, media_type="application/json")
