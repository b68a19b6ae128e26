"""Questions to Alpaca's REST APIs: typed answers, and refusals as errors of the house."""

from collections.abc import Mapping
from typing import Any, TypeVar

import httpx
import msgspec

from services.market_data.domain.feed import FeedRefused
from trading.errors import InvalidArgument, NotFound, ResourceExhausted, TradingError, Unavailable

T = TypeVar("T")
_RETRY_AFTER_S = 3.0
_LONGEST_COMPLAINT = 200


class _Complaint(msgspec.Struct):
    message: str = ""


class AlpacaRest:
    """Asks one of the APIs; the client knows its address and our key."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def get(self, path: str, answer: type[T], params: Mapping[str, Any] | None = None) -> T:
        """Ask and read. Raises NotFound, InvalidArgument, FeedRefused, ResourceExhausted or Unavailable."""
        try:
            response = await self._client.get(path, params=params)
        except httpx.HTTPError as error:
            raise Unavailable(f"{self._client.base_url} does not answer: {error or type(error).__name__}.") from error
        if response.status_code != httpx.codes.OK:
            raise _refusal(response)
        try:
            return msgspec.json.decode(response.content, type=answer)
        except msgspec.DecodeError as error:
            raise Unavailable(f"{self._client.base_url}{path} gave an unreadable answer: {error}.") from error


def _refusal(response: httpx.Response) -> TradingError:
    status, said = response.status_code, _complaint(response)
    message = f"The venue answered HTTP {status}: {said}"
    match status:
        case 401 | 403:
            return FeedRefused(message, status=status)
        case 404:
            return NotFound(message, status=status)
        case 400 | 422:
            return InvalidArgument(message, status=status)
        case 429:
            return ResourceExhausted(message, retry_after_s=_retry_after_s(response))
    return Unavailable(message, status=status)


def _complaint(response: httpx.Response) -> str:
    try:
        said = msgspec.json.decode(response.content, type=_Complaint).message
    except msgspec.DecodeError:
        said = response.text
    return said[:_LONGEST_COMPLAINT] or response.reason_phrase


def _retry_after_s(response: httpx.Response) -> float:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isdigit() else _RETRY_AFTER_S
