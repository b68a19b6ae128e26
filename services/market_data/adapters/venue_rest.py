"""Questions to a venue's REST API: one way to ask and to read, whatever the venue's own way of refusing."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx
import msgspec

from services.market_data.domain.feed import FeedRefused
from trading.errors import InvalidArgument, NotFound, ResourceExhausted, TradingError, Unavailable

T = TypeVar("T")
LONGEST_COMPLAINT = 200


class VenueRest:
    """Asks one API; the client knows its address and our key. `refusal` names what an answer that is not 200 means."""

    def __init__(self, client: httpx.AsyncClient, refusal: Callable[[httpx.Response], TradingError]) -> None:
        self._client, self._refusal = client, refusal

    async def get(self, path: str, answer: type[T], params: Mapping[str, Any] | None = None) -> T:
        """Ask and read. Raises Unavailable where nobody answers in time or readably, and what `refusal` says."""
        response = await self.ask(path, params)
        try:
            return msgspec.json.decode(response.content, type=answer)
        except msgspec.DecodeError as error:
            raise Unavailable(f"{self._client.base_url}{path} gave an unreadable answer: {error}.") from error

    async def ask(self, path: str, params: Mapping[str, Any] | None = None) -> httpx.Response:
        """Ask; the answer of a venue that says 200."""
        try:
            response = await self._client.get(path, params=params)
        except httpx.HTTPError as error:
            raise Unavailable(f"{self._client.base_url} does not answer: {error or type(error).__name__}.") from error
        if response.status_code != httpx.codes.OK:
            raise self._refusal(response)
        return response


def refusal_of(response: httpx.Response, complaint: str, pause_s: float) -> TradingError:
    """What a status means wherever it means what HTTP says; `pause_s` is the wait of a limit that names none."""
    status = response.status_code
    message = f"The venue answered HTTP {status}: {complaint[:LONGEST_COMPLAINT] or response.reason_phrase}"
    match status:
        case 401 | 403:
            return FeedRefused(message, status=status)
        case 404:
            return NotFound(message, status=status)
        case 400 | 422:
            return InvalidArgument(message, status=status)
        case 429:
            return ResourceExhausted(message, retry_after_s=retry_after_s(response, pause_s))
    return Unavailable(message, status=status)


def retry_after_s(response: httpx.Response, otherwise_s: float) -> float:
    """Seconds that the venue asks us to wait."""
    text = response.headers.get("retry-after", "")
    return float(text) if text.isdigit() else otherwise_s
