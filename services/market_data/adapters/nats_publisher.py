"""The market on NATS: blocks, bars, gaps and venue states."""

import asyncio

from fleet import subjects
from fleet.blocks import encode_quotes, encode_trades
from fleet.bus import Bus
from services.market_data import translate
from services.market_data.domain.feed import VenueStatus
from services.market_data.domain.gaps import Gap
from trading.clock import Clock
from trading.errors import Unavailable
from trading.market import Bar, QuoteBlock, TradeBlock

_LOOK_AGAIN_S = 0.02


class NatsPublisher:
    """Publishes; while NATS is away it holds its caller back for `patience_s`, and after that refuses at once.

    So a short outage is waited out with the venue's socket held back, and a long one costs ticks on NATS only:
    the newest quotes stay fresh for gRPC.
    """

    def __init__(self, bus: Bus, feed_id: str, clock: Clock, *, patience_s: float) -> None:
        self._bus, self._feed_id, self._clock = bus, feed_id, clock
        self._patience_ns = round(patience_s * 1e9)
        self._away_since_ns: int | None = None

    async def quotes(self, block: QuoteBlock, first_sequence: int) -> None:
        await self._send(subjects.quote(block.venue, block.symbol), encode_quotes(block, first_sequence, self._feed_id))

    def quotes_at_once(self, block: QuoteBlock, first_sequence: int) -> bool:
        """See `ports.MarketPublisher`."""
        payload = encode_quotes(block, first_sequence, self._feed_id)
        return self._away_since_ns is None and self._bus.publish_at_once(
            subjects.quote(block.venue, block.symbol), payload
        )

    async def trades(self, block: TradeBlock, first_sequence: int) -> None:
        await self._send(subjects.trade(block.venue, block.symbol), encode_trades(block, first_sequence, self._feed_id))

    async def bar(self, bar: Bar) -> None:
        await self._send(subjects.bar(bar.interval, bar.venue, bar.symbol), translate.bar(bar).SerializeToString())

    async def gap(self, gap: Gap) -> None:
        await self._send(subjects.gap(gap.venue, gap.symbol), translate.gap(gap).SerializeToString())

    async def status(self, status: VenueStatus) -> None:
        message = translate.venue_status(status).SerializeToString()
        await self._send(subjects.venue_status(status.state.name.lower(), status.venue), message)

    async def _send(self, subject: str, payload: bytes) -> None:
        if not self._bus.is_connected or self._away_since_ns is not None:
            await self._wait_for_nats()
        if not await self._bus.publish(subject, payload):
            raise Unavailable("NATS did not take the message.", subject=subject)

    async def _wait_for_nats(self) -> None:
        while not await self._is_there():  # noqa: ASYNC110  the client offers no event to wait for
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _is_there(self) -> bool:
        """Whether NATS is connected; raises Unavailable when it has been away for longer than our patience."""
        try:
            await self._bus.check()
        except Unavailable:
            now_ns = self._clock.monotonic_ns()
            self._away_since_ns = self._away_since_ns or now_ns
            if now_ns - self._away_since_ns >= self._patience_ns:
                raise
            return False
        self._away_since_ns = None
        return True
