"""Alpaca's REST APIs: what their refusals mean."""

import httpx
import msgspec

from services.market_data.adapters.venue_rest import LONGEST_COMPLAINT, VenueRest, retry_after_s
from services.market_data.domain.feed import FeedRefused
from trading.errors import InvalidArgument, NotFound, ResourceExhausted, TradingError, Unavailable

_RETRY_AFTER_S = 3.0


class _Complaint(msgspec.Struct):
    message: str = ""


class AlpacaRest(VenueRest):
    """Raises NotFound, InvalidArgument, FeedRefused, ResourceExhausted or Unavailable."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        super().__init__(client, _refusal)


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
            return ResourceExhausted(message, retry_after_s=retry_after_s(response, _RETRY_AFTER_S))
    return Unavailable(message, status=status)


def _complaint(response: httpx.Response) -> str:
    try:
        said = msgspec.json.decode(response.content, type=_Complaint).message
    except msgspec.DecodeError:
        said = response.text
    return said[:LONGEST_COMPLAINT] or response.reason_phrase
