"""Binance's REST API: what its refusals mean, how much it lets us ask, and how far its clock is from ours."""

from collections.abc import Mapping
from typing import Any

import httpx
import msgspec

from services.market_data.adapters.venue_rest import LONGEST_COMPLAINT, VenueRest, retry_after_s
from services.market_data.domain.feed import FeedRefused
from trading.clock import SECOND_NS, Clock
from trading.errors import InvalidArgument, NotFound, ResourceExhausted, TradingError, Unavailable

SPELLING = "binance"
HEADERS = {"X-MBX-TIME-UNIT": "MICROSECOND"}
_USED_WEIGHT = "x-mbx-used-weight-1m"
_MINUTE_S = 60
_CLOCK_SAMPLES = 3
_BAN_S, _PAUSE_S = 120.0, 10.0
_UNKNOWN_SYMBOL = -1121
_KEY_REFUSED = frozenset((-2008, -2014, -2015))
_MILLISECONDS_BELOW = 10**14  # of the year 5138; in microseconds it is 1973


class _Complaint(msgspec.Struct):
    code: int = 0
    msg: str = ""


class _ServerTime(msgspec.Struct, rename={"server_time": "serverTime"}):
    server_time: int


class BinanceRest(VenueRest):
    """Raises NotFound, InvalidArgument, FeedRefused, ResourceExhausted or Unavailable.

    When the venue has said "too much", or when the minute's weight is nearly used up (`weight_most`), nothing is asked
    before the time that it named: a customer who goes on asking is banned.
    """

    def __init__(self, client: httpx.AsyncClient, clock: Clock, *, weight_most: int) -> None:
        super().__init__(client, _refusal)
        self._clock, self._weight_most = clock, weight_most
        self._closed_until_ns = 0
        self.offset_ns = 0

    async def ask(self, path: str, params: Mapping[str, Any] | None = None) -> httpx.Response:
        """Ask when we may; the answer of a venue that says 200."""
        left_ns = self._closed_until_ns - self._clock.monotonic_ns()
        if left_ns > 0:
            raise ResourceExhausted("The venue's limit is used up.", retry_after_s=left_ns / SECOND_NS)
        try:
            response = await super().ask(path, params)
        except ResourceExhausted as refusal:
            self._close(float(str(refusal.metadata["retry_after_s"])))
            raise
        if int(response.headers.get(_USED_WEIGHT, 0)) >= self._weight_most:
            self._close(_MINUTE_S - self._clock.now_ns() // SECOND_NS % _MINUTE_S)
        return response

    async def measure_clock(self) -> None:
        """Learn how far the venue's clock is ahead of ours, from the quickest of some answers; nothing from none."""
        try:
            self.offset_ns = min([await self._asked_time() for _ in range(_CLOCK_SAMPLES)])[1]
        except (Unavailable, ResourceExhausted):
            return

    async def _asked_time(self) -> tuple[int, int]:
        """How long an answer took, and the offset that it means when it was under way as long as the question."""
        asked_ns, began_ns = self._clock.now_ns(), self._clock.monotonic_ns()
        answer = await self.get("/api/v3/time", _ServerTime)
        took_ns = self._clock.monotonic_ns() - began_ns
        return took_ns, time_ns(answer.server_time) - asked_ns - took_ns // 2

    def _close(self, seconds: float) -> None:
        self._closed_until_ns = self._clock.monotonic_ns() + round(seconds * SECOND_NS)


def time_ns(time: int) -> int:
    """ns UTC of a time in microseconds, or in milliseconds from a server that knows nothing else."""
    return time * (1_000_000 if time < _MILLISECONDS_BELOW else 1_000)


def _refusal(response: httpx.Response) -> TradingError:
    status, complaint = response.status_code, _complaint(response)
    message = f"The venue answered HTTP {status}: {complaint.code} {complaint.msg[:LONGEST_COMPLAINT]}"
    match status:
        case 429:
            return ResourceExhausted(message, retry_after_s=retry_after_s(response, _PAUSE_S))
        case 418:
            return ResourceExhausted(message, retry_after_s=retry_after_s(response, _BAN_S))
        case 401 | 403 | 451:
            return FeedRefused(message, status=status)
        case 404:
            return NotFound(message, status=status)
        case 400 if complaint.code in _KEY_REFUSED:
            return FeedRefused(message, status=status)
        case 400 if complaint.code == _UNKNOWN_SYMBOL:
            return NotFound(message, status=status)
        case 400:
            return InvalidArgument(message, status=status)
    return Unavailable(message, status=status)


def _complaint(response: httpx.Response) -> _Complaint:
    try:
        return msgspec.json.decode(response.content, type=_Complaint)
    except msgspec.DecodeError:
        return _Complaint(0, response.text or response.reason_phrase)
