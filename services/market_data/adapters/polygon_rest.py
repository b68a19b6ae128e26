"""Polygon's REST API: what its refusals mean, and how its pages follow one another."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from services.market_data.adapters.venue_rest import VenueRest, refusal_of
from trading.errors import TradingError
from trading.instruments import AssetClass, Instrument

SPELLING = "polygon"
_PAUSE_S = 12.0  # the free plan allows five questions a minute


class Page(Protocol):
    """An answer that may have a following one."""

    next_url: str | None


PageT = TypeVar("PageT", bound=Page)


class _Complaint(msgspec.Struct):
    error: str = ""
    message: str = ""


class PolygonRest(VenueRest):
    """Raises NotFound, InvalidArgument, FeedRefused, ResourceExhausted or Unavailable."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        super().__init__(client, _refusal)

    async def pages(self, path: str, answer: type[PageT], params: Mapping[str, Any]) -> AsyncIterator[PageT]:
        """A page and those that follow; of an address only path and query are kept, for the host may be a mirror."""
        page = await self.get(path, answer, params)
        yield page
        while page.next_url:
            parts = urlsplit(page.next_url)
            page = await self.get(f"{parts.path}?{parts.query}", answer)
            yield page


def stream_name(instrument: Instrument) -> str:
    """How the streams spell an instrument: `AAPL`, and `BTC-USD` for what REST calls `X:BTCUSD`."""
    spelling = instrument.venue_symbol(SPELLING)
    if instrument.asset_class is not AssetClass.CRYPTO:
        return spelling
    pair = spelling.removeprefix("X:")
    return f"{pair.removesuffix(instrument.currency)}-{instrument.currency}"


def _refusal(response: httpx.Response) -> TradingError:
    try:
        complaint = msgspec.json.decode(response.content, type=_Complaint)
        said = complaint.error or complaint.message
    except msgspec.DecodeError:
        said = response.text
    return refusal_of(response, said, _PAUSE_S)
