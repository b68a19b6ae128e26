"""Take in a training job: judge what was sent, keep it, put it in the queue; and end one that is not wanted."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from services.inference.domain.training import TrainingJob, TrainingWish, check_numbers, plan_of, training_set
from services.inference.ports import TrainedModels, TrainingStore, Workshop
from services.inference.usecases.run_training import RunTraining
from services.inference.usecases.serve_models import ServeModels
from services.inference.usecases.training_board import TrainingBoard
from trading.clock import Clock


@dataclass(frozen=True, slots=True)
class TrainRules:
    """The most rows of a training set."""

    rows_max: int


class Train:
    """Answers whoever wants a new version of a model."""

    def __init__(
        self,
        served: ServeModels,
        models: TrainedModels,
        store: TrainingStore,
        board: TrainingBoard,
        queue: RunTraining,
        workshop: Workshop,
        clock: Clock,
        new_id: Callable[[], str],
        rules: TrainRules,
    ) -> None:
        self._served, self._models, self._store = served, models, store
        self._board, self._queue, self._workshop = board, queue, workshop
        self._clock, self._new_id, self._rules = clock, new_id, rules

    async def __call__(self, wish: TrainingWish) -> TrainingJob:
        """The queued job; raises UnknownModel, NotTrainable, BadTrainingSet, or ResourceExhausted: too many wait."""
        check_numbers(wish.epochs, wish.learning_rate, wish.seed)
        in_use = (await self._served.status(wish.model)).card
        spec = await self._models.spec(in_use.name, in_use.version)
        plan = plan_of(spec, wish.architecture, wish.epochs, wish.learning_rate, wish.seed)
        judge = partial(training_set, wish.features_f64le, wish.labels, plan.columns, self._rules.rows_max)
        rows = await self._workshop.do(judge)
        with self._queue.place():
            job = TrainingJob(
                id=self._new_id(), model=in_use.name, plan=plan, rows=len(rows), created_ns=self._clock.now_ns()
            )
            await self._store.add(job, rows)
            await self._board.show(job)
            self._queue.enqueue(job.id)
        return job

    async def cancel(self, job_id: str) -> TrainingJob:
        """The job, ended; raises NotFound, or FailedPrecondition when it has ended by itself."""
        canceled = self._board.get(job_id).canceled(self._clock.now_ns())
        await self._board.put(canceled)
        job = self._board.get(job_id)
        if job is not canceled:  # it ended by itself while the disk was asked
            job.canceled(self._clock.now_ns())
        self._queue.end(job_id)
        return job
