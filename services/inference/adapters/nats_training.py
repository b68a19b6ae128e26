"""Publishes the progress of training jobs on core NATS: the newest wins, a lost one is not sent again."""

from fleet import subjects
from fleet.bus import Bus
from services.inference.domain.training import TrainingJob
from services.inference.translate import training


class NatsTraining:
    """The `TrainingNews` port on NATS."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def changed(self, job: TrainingJob) -> None:
        """Publish on the subject of the job."""
        await self._bus.publish(subjects.training(job.id), training.job_message(job).SerializeToString())
