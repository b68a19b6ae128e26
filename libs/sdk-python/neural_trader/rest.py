"""The gateway's REST interface: requests out, documents back, refusals as one error that names the problem."""

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from neural_trader.place import Place

FILE_TIMEOUT_S = 150.0
TIMEOUT_S = 30.0
"""Longer than the gateway's own longest answer, so that its word is heard."""
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Problem(Exception):
    """What the gateway refused, as its problem document says; `code` is stable, `status` 0 means it never answered."""

    def __init__(self, detail: str, *, code: str = "", status: int = 0, facts: Mapping[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.status = status
        self.facts = dict(facts or {})

    def __str__(self) -> str:
        return f"{self.detail} ({self.code})" if self.code else self.detail


class Rest:
    """A connection to one gateway, to be closed by `with`; every call raises Problem when it is refused."""

    def __init__(self, place: Place, *, transport: httpx.BaseTransport | None = None) -> None:
        self._url = place.url
        self._client = httpx.Client(
            base_url=place.url,
            headers={"Authorization": f"Bearer {place.key}"},
            timeout=TIMEOUT_S,
            transport=transport,
            trust_env=urlsplit(place.url).hostname not in _LOOPBACK,  # a proxy is for the world outside
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def call(self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None) -> Any:
        """The document that a request answers; query parameters and fields that are None are left out."""
        content = None if body is None else {name: value for name, value in body.items() if value is not None}
        return self._send(method, path, query, json=content).json()

    def file(self, path: str, *, query: Mapping[str, Any] | None = None, accept: str = "text/csv") -> bytes:
        """The file that a request answers: a table as CSV unless another media type is accepted."""
        return self._send("GET", path, query, headers={"Accept": accept}).content

    def send_file(
        self,
        path: str,
        pieces: Iterable[bytes],
        *,
        query: Mapping[str, Any] | None = None,
        media_type: str = "application/octet-stream",
    ) -> Any:
        """The document that a file, sent piece by piece, is answered with; looking at a file takes its time."""
        headers = {"Content-Type": media_type}
        return self._send("POST", path, query, content=pieces, headers=headers, timeout=FILE_TIMEOUT_S).json()

    def delete(self, path: str, *, query: Mapping[str, Any] | None = None) -> None:
        """Remove what is there."""
        self._send("DELETE", path, query)

    def _send(self, method: str, path: str, query: Mapping[str, Any] | None, **options: Any) -> httpx.Response:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            answer = self._client.request(method, path, params=given, **options)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Problem(f"The gateway at {self._url} does not answer: {error}") from error
        if answer.is_success:
            return answer
        raise _problem(answer)


def _problem(answer: httpx.Response) -> Problem:
    try:
        document = answer.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):  # not our gateway's words: a proxy, or another server
        document = {}
    detail = str(document.get("detail") or f"The gateway answered {answer.status_code}.")
    return Problem(detail, code=str(document.get("code", "")), status=answer.status_code, facts=document)
