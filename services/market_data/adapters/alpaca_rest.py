"""Alpaca's REST APIs: what their refusals mean."""

import httpx
import msgspec

from services.market_data.adapters.venue_rest import VenueRest, refusal_of
from trading.errors import TradingError

_RETRY_AFTER_S = 3.0


class _Complaint(msgspec.Struct):
    message: str = ""


class AlpacaRest(VenueRest):
    """Raises NotFound, InvalidArgument, FeedRefused, ResourceExhausted or Unavailable."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        super().__init__(client, _refusal)


def _refusal(response: httpx.Response) -> TradingError:
    try:
        said = msgspec.json.decode(response.content, type=_Complaint).message
    except msgspec.DecodeError:
        said = response.text
    return refusal_of(response, said, _RETRY_AFTER_S)
