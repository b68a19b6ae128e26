"""The HTTP of orders: one aiohttp session for one venue, kept-alive connections, nothing else on the way.

The fleet's httpx client costs five times the CPU per request (docs/decisions/0005). A POST is never repeated:
whether an order was taken is for the caller to find out.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from trading.errors import Unavailable

_RECEIVED_BYTES_MOST = 16 * 1024 * 1024


class Answer(NamedTuple):
    """What the venue answered."""

    status: int
    body: bytes

    @property
    def is_success(self) -> bool:
        """The status is of the 2xx kind."""
        return 200 <= self.status < 300


class VenueHttp:
    """A pool of at most `connections` connections to one base URL; every request carries the same headers."""

    def __init__(self, base_url: str, *, headers: Mapping[str, str], timeout_s: float, connections: int = 32) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {"content-type": "application/json", **headers}
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            timeout=self._timeout,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def request(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """One request, once; raises Unavailable when its answer did not come whole within the timeout."""
        target = URL(f"{self._base_url}{path}" + (f"?{urlencode(query)}" if query else ""), encoded=True)
        try:
            return await self._exchange(method, target, body)
        except TimeoutError as error:
            raise Unavailable("The venue did not answer in time.", retry_after_s=1) from error
        except (OSError, aiohttp.ClientError) as error:
            raise Unavailable(f"The connection to the venue failed: {error}.", retry_after_s=1) from error

    async def _exchange(self, method: str, target: URL, body: bytes) -> Answer:
        assert self._session is not None, "used outside `async with`"
        async with self._session.request(method, target, data=body or None, allow_redirects=False) as response:
            received = bytearray()
            async for chunk in response.content.iter_any():
                received += chunk
                if len(received) > _RECEIVED_BYTES_MOST:
                    raise aiohttp.ClientPayloadError("the answer is too long")
            return Answer(response.status, bytes(received))
