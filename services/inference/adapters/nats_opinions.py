"""Publishes predictions and signals on core NATS: the newest wins, a lost one is not sent again."""

from fleet import subjects
from fleet.bus import Bus
from services.inference.domain.prediction import Prediction, Signal
from services.inference.translate import opinions


class NatsOpinions:
    """The `Opinions` port on NATS."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def predicted(self, prediction: Prediction) -> None:
        """Publish on the subject of the model and symbol."""
        message = opinions.prediction_message(prediction)
        await self._bus.publish(subjects.prediction(prediction.model, prediction.symbol), message.SerializeToString())

    async def signalled(self, signal: Signal) -> None:
        """Publish on the subject of the model and symbol."""
        behind = signal.prediction
        message = opinions.signal_message(signal)
        await self._bus.publish(subjects.signal(behind.model, behind.symbol), message.SerializeToString())
