"""Careless ways to do it, each without one of the precautions of the real service: the checker has to notice."""

import itertools
from collections.abc import AsyncIterator
from dataclasses import replace

from simulation.lines import VenueLine
from simulation.world import Manner

from services.execution.domain.order import OrderTerms
from services.execution.domain.venue import StreamOpened, VenueOrder, VenueUpdate
from services.execution.ports.venue import VenueRefused
from trading.errors import Unavailable


class SendsAgain(VenueLine):
    """Sends an order once more when the answer did not come."""

    async def submit(self, terms: OrderTerms) -> VenueOrder:
        try:
            return await super().submit(terms)
        except Unavailable:
            return await super().submit(terms)


class BelievesSilence(VenueLine):
    """Takes an answer that did not come for a refusal."""

    async def submit(self, terms: OrderTerms) -> VenueOrder:
        try:
            return await super().submit(terms)
        except Unavailable as error:
            raise VenueRefused(error.message) from error


class KnowsNoTrades(VenueLine):
    """Counts every message as a trade of its own, as without execution ids and cumulative quantities."""

    async def updates(self) -> AsyncIterator[VenueUpdate | StreamOpened]:
        numbers = itertools.count()
        async for update in super().updates():
            if isinstance(update, VenueUpdate) and update.execution is not None:
                name = f"{update.execution.execution_id}-{next(numbers)}"
                update = replace(update, execution=replace(update.execution, execution_id=name, cumulative_nanos=0))
            yield update


CARELESS = (
    Manner("sends again", SendsAgain, takes_twice=True),
    Manner("believes silence", BelievesSilence),
    Manner("knows no trades", KnowsNoTrades),
)
