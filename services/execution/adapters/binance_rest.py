"""Binance's signed REST requests: on the venue's clock, and silent while the venue wants to hear nothing."""

from collections.abc import Mapping
from urllib.parse import urlencode

from services.execution.adapters.binance_answers import OUT_OF_TIME, TOO_MANY_ORDERS, complaint, told
from services.execution.adapters.binance_key import BinanceKey
from services.execution.adapters.venue_http import Answer, VenueHttp
from services.execution.ports.venue import VenueRefused
from trading.clock import SECOND_NS, Clock
from trading.errors import Unavailable

HEADERS = {"content-type": "application/x-www-form-urlencoded", "x-mbx-time-unit": "MICROSECOND"}
_MILLISECOND_NS = 1_000_000
_LIMITED, _BANNED = 429, 418
_PAUSES_S = {_LIMITED: 10.0, _BANNED: 120.0}
"""How long to keep silent after a refusal that does not say it; a ban lasts two minutes at least."""


class BinanceRest:
    """Requests under one key. `window_ms` is how long after its sending the venue may still obey a request.

    After "too many" nothing more is sent before the time that the venue named: whoever goes on asking is banned.
    """

    def __init__(self, client: VenueHttp, key: BinanceKey, clock: Clock, *, window_ms: int) -> None:
        self._client = client
        self._key = key
        self._clock = clock
        self._window_ms = window_ms
        self._offset_ns: int | None = None
        self._closed_until_ns = 0
        self._no_orders_until_ns = 0

    async def command(self, method: str, path: str, params: Mapping[str, str], *, is_new_order: bool = False) -> Answer:
        """Have something done; raises VenueRefused when it was not even sent, Unavailable without an answer."""
        until_ns = max(self._closed_until_ns, self._no_orders_until_ns if is_new_order else 0)
        if (left_s := self._left_s(until_ns)) > 0:
            raise VenueRefused(f"The venue takes no more requests for {left_s:.1f} s.", retry_after_s=left_s)
        return await self._signed(method, path, params)

    async def ask(self, path: str, params: Mapping[str, str]) -> Answer:
        """Ask about our account; raises Unavailable without an answer."""
        self._check_open()
        return await self._signed("GET", path, params)

    async def ask_public(self, path: str, params: Mapping[str, str]) -> Answer:
        """Ask what everybody may ask."""
        self._check_open()
        return self._heard(await self._client.request("GET", path, query=params))

    async def timestamp_ms(self) -> int:
        """What the venue's clock shows now; raises Unavailable when it was never seen and cannot be now."""
        if self._offset_ns is None:
            await self.set_clock()
        return (self._clock.now_ns() + (self._offset_ns or 0)) // _MILLISECOND_NS

    async def set_clock(self) -> None:
        """See how far the venue's clock is ahead of ours, its answer taken to be half as old as the question."""
        asked_ns, began_ns = self._clock.now_ns(), self._clock.monotonic_ns()
        answer = told(await self.ask_public("/api/v3/time", {}))
        took_ns = self._clock.monotonic_ns() - began_ns
        try:
            self._offset_ns = time_ns(answer["serverTime"]) - asked_ns - took_ns // 2
        except (KeyError, TypeError) as error:
            raise Unavailable("The venue's time cannot be read.", retry_after_s=1) from error

    async def _signed(self, method: str, path: str, params: Mapping[str, str]) -> Answer:
        answer = await self._send(method, path, params)
        said = complaint(answer)
        if said is None or said.code != OUT_OF_TIME:
            return answer
        await self.set_clock()  # the request was refused unread: sending it again sends it once
        return await self._send(method, path, params)

    async def _send(self, method: str, path: str, params: Mapping[str, str]) -> Answer:
        timed = {**params, "recvWindow": str(self._window_ms), "timestamp": str(await self.timestamp_ms())}
        payload = urlencode(timed)
        signature = urlencode({"signature": self._key.sign(payload)})
        return self._heard(await self._client.request(method, f"{path}?{payload}&{signature}"))

    def _heard(self, answer: Answer) -> Answer:
        if answer.status in _PAUSES_S:
            pause_s = answer.retry_after_s or _PAUSES_S[answer.status]
            until_ns = self._clock.monotonic_ns() + int(pause_s * SECOND_NS)
            said = complaint(answer)
            if said is not None and said.code == TOO_MANY_ORDERS:
                self._no_orders_until_ns = max(self._no_orders_until_ns, until_ns)
            else:
                self._closed_until_ns = max(self._closed_until_ns, until_ns)
        return answer

    def _check_open(self) -> None:
        if (left_s := self._left_s(self._closed_until_ns)) > 0:
            raise Unavailable("The venue takes no more requests for now.", retry_after_s=left_s)

    def _left_s(self, until_ns: int) -> float:
        return (until_ns - self._clock.monotonic_ns()) / SECOND_NS


def time_ns(time: int) -> int:
    """ns UTC of a time in microseconds, or in milliseconds from a server that knows nothing else."""
    return time * (_MILLISECOND_NS if time < _MILLISECONDS_BELOW else 1_000)


_MILLISECONDS_BELOW = 10**14  # of the year 5138; in microseconds it is 1973
