"""Compare shadows: what another version would have said of the same samples, measured and told to nobody else.

Samples wait in a short queue; what does not fit is skipped and counted, so that no prediction waits for a shadow.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from services.inference.domain.calibration import Calibration
from services.inference.domain.model import Floats, ModelCard
from services.inference.domain.registry_status import ShadowCount
from services.inference.ports import Model, ShadowModels
from trading.errors import TradingError

Samples = npt.NDArray[np.floating[Any]]
SampleFor = Callable[[ModelCard], Samples | None]
MOST_SAMPLES = 256
"""Of one request: more would tell little more, and keep the shadow busy."""


@dataclass(frozen=True, slots=True)
class _Offered:
    name: str
    version: str
    active: ModelCard
    logits: Floats
    samples: Samples


class CompareShadows:
    """Takes offers from whoever predicts, and compares them by itself."""

    def __init__(self, models: ShadowModels, waiting: int) -> None:
        self._models = models
        self._offers: asyncio.Queue[_Offered] = asyncio.Queue(waiting)

    def offer(self, active: ModelCard, logits: Floats | float, sample_for: SampleFor) -> None:
        """Note what the active version said; `sample_for` gives another card's samples, None when it has none.

        Costs a look-up where there is no shadow.
        """
        held = self._models.shadow_of(active.name)
        if held is None:
            return
        with held as shadow:
            card = shadow.card
            samples = None if card.version == active.version else sample_for(card)
        if samples is None:
            return
        kept, said = samples[:MOST_SAMPLES].copy(), np.atleast_1d(logits)[:MOST_SAMPLES]
        try:
            self._offers.put_nowait(_Offered(active.name, card.version, active, said, kept))
        except asyncio.QueueFull:
            self._models.compared(active.name, card.version).skipped += 1

    async def keep(self) -> None:
        """Compare what was offered, for ever."""
        while True:
            await self._compare(await self._offers.get())

    async def _compare(self, offered: _Offered) -> None:
        count = self._models.compared(offered.name, offered.version)
        held = self._models.shadow_of(offered.name)
        if held is None:
            return
        with held as shadow:
            if shadow.card.version == offered.version:
                await self._count(shadow, offered, count)

    async def _count(self, shadow: Model, offered: _Offered, count: ShadowCount) -> None:
        try:
            said = await shadow.logits(offered.samples)
        except TradingError:  # a shadow's trouble is a figure of its own, and nobody else's
            count.skipped += 1
            return
        if not np.isfinite(said).all():
            count.skipped += 1
            return
        shift = np.abs(_up(shadow.card, said) - _up(offered.active, offered.logits))
        flips = np.signbit(said) != np.signbit(offered.logits)
        count.add(int(flips.sum()), float(shift.sum()), len(said))


def _up(card: ModelCard, logits: Floats) -> Floats:
    return (card.calibration or Calibration(1.0, 0.0)).probabilities(logits)
