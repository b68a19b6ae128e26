"""The life of training jobs: queued, worked on, ended by themselves or by somebody, taken up again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from builders.training import a_job, a_spec, some_rows
from fakes.inference import FakeWorkshop
from fakes.training import FakeNews, FakeRegistry, FakeStore, FakeTrainer, endless, failing, succeeding

from services.inference.adapters.training_files import TrainingFiles, read_rows, write_arrays
from services.inference.domain.errors import StorageFailed
from services.inference.domain.training import TrainingJob, TrainingState, TrainingWish
from services.inference.domain.training_errors import BadTrainingSet, NotTrainable
from services.inference.domain.training_page import JobQuestion
from services.inference.usecases.list_training import ListTraining
from services.inference.usecases.run_training import QueueRules, RunTraining
from services.inference.usecases.train import Train, TrainRules
from services.inference.usecases.training_board import TrainingBoard
from trading.clock import ManualClock
from trading.errors import FailedPrecondition, NotFound, ResourceExhausted, Unavailable, UnknownModel

QUEUED, RUNNING, SUCCEEDED = TrainingState.QUEUED, TrainingState.RUNNING, TrainingState.SUCCEEDED
FAILED, CANCELED = TrainingState.FAILED, TrainingState.CANCELED


class Desk:
    """Everything around jobs, with its loop at hand."""

    def __init__(
        self,
        *scripts: Any,
        kept: tuple[TrainingJob, ...] = (),
        waiting: int = 3,
        rows_max: int = 1000,
        remembered: int = 100,
    ) -> None:
        log, self.clock, ids = structlog.get_logger(), ManualClock(1_000), iter(range(1, 100))
        self.store, self.news, self.registry = FakeStore(*kept), FakeNews(), FakeRegistry(a_spec())
        self.trainer = FakeTrainer(*(scripts or (succeeding,)))
        self.board = TrainingBoard(self.store, self.news, remembered)
        served: Any = self.registry
        self.queue = RunTraining(
            self.board, self.trainer, served, self.registry, self.clock, QueueRules(waiting, 3), log
        )
        self.train = Train(
            served,
            self.registry,
            self.store,
            self.board,
            self.queue,
            FakeWorkshop(),
            self.clock,
            lambda: f"job-{next(ids)}",
            TrainRules(rows_max),
        )
        self.list = ListTraining(self.board, served)

    async def submit(self, **changes: Any) -> TrainingJob:
        rows = some_rows(40)
        given: dict[str, Any] = {
            "model": "small",
            "features_f64le": rows.features.tobytes(),
            "labels": rows.labels,
            "epochs": 2,
            "learning_rate": 0.01,
            "seed": 0,
            "architecture": "",
        }
        return await self.train(TrainingWish(**(given | changes)))

    async def until(self, job_id: str, *states: TrainingState) -> TrainingJob:
        async with asyncio.timeout(60):
            async for job in self.board.watch(job_id):
                if job.state in states and (job.state is not RUNNING or job.loss):
                    return job
        return self.board.get(job_id)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        loop = asyncio.create_task(self.queue.run())
        try:
            yield
        finally:
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)


async def test_a_job_is_kept_before_it_is_answered_for_and_ends_as_a_version() -> None:
    desk = Desk()
    job = await desk.submit()
    assert (job.state, desk.store.jobs[job.id], len(desk.store.rows[job.id])) == (QUEUED, job, 40)
    async with desk.working():
        ended = await desk.until(job.id, SUCCEEDED)
    assert (ended.version, ended.accuracy, ended.metrics) == ("4", 0.6, {"brier_skill": 0.1})
    assert ended.loss == (0.7, 0.6)
    assert desk.registry.received_versions == [("small", "4")]
    assert [told.state for told in desk.news.told] == [QUEUED, RUNNING, RUNNING, RUNNING, SUCCEEDED]


async def test_the_default_model_is_meant_by_no_name() -> None:
    assert (await Desk().submit(model="")).model == "small"


async def test_jobs_are_worked_on_in_their_order_and_listed_newest_first() -> None:
    desk = Desk()
    jobs = [await desk.submit() for _ in range(3)]
    async with desk.working():
        for job in jobs:
            await desk.until(job.id, SUCCEEDED)
    assert desk.trainer.began == [job.id for job in jobs]
    page = await desk.list(JobQuestion(limit=2))
    assert [job.id for job in page.jobs] == ["job-3", "job-2"]
    rest = await desk.list(JobQuestion(limit=2, cursor=page.next_cursor))
    assert ([job.id for job in rest.jobs], rest.next_cursor) == (["job-1"], "")
    assert len((await desk.list(JobQuestion("./models/small.safetensors"))).jobs) == 3
    assert (await desk.list(JobQuestion("from-onnx"))).jobs == [], "it is known and has none"
    with pytest.raises(UnknownModel):
        await desk.list(JobQuestion("other"))


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"epochs": 0}, BadTrainingSet, "EPOCHS_OUT_OF_RANGE"),
        ({"model": "nobody"}, UnknownModel, "UNKNOWN_MODEL"),
        ({"model": "from-onnx"}, NotTrainable, "MODEL_NOT_TRAINABLE"),
        ({"labels": some_rows(2_000).labels}, BadTrainingSet, "TRAINING_SET_TOO_LARGE"),
    ],
)
async def test_what_is_refused_leaves_nothing(changes: dict[str, Any], error: type, reason: str) -> None:
    desk = Desk()
    with pytest.raises(error) as caught:
        await desk.submit(**changes)
    assert caught.value.reason == reason
    assert not desk.store.jobs


async def test_a_full_queue_refuses_and_keeps_nothing() -> None:
    desk = Desk(waiting=2)
    for _ in range(2):
        await desk.submit()
    with pytest.raises(ResourceExhausted) as caught:
        await desk.submit()
    assert caught.value.metadata["retry_after_s"] > 0
    assert len(desk.store.jobs) == 2


async def test_a_waiting_job_that_is_canceled_is_never_begun() -> None:
    desk = Desk()
    first, second = await desk.submit(), await desk.submit()
    assert (await desk.train.cancel(first.id)).state is CANCELED
    async with desk.working():
        await desk.until(second.id, SUCCEEDED)
    assert desk.trainer.began == [second.id]


async def test_a_running_job_that_is_canceled_lets_its_process_go_and_the_next_one_begins() -> None:
    desk = Desk(endless, succeeding)
    first, second = await desk.submit(), await desk.submit()
    async with desk.working():
        await desk.until(first.id, RUNNING)
        canceled = await desk.train.cancel(first.id)
        await desk.until(second.id, SUCCEEDED)
    assert (canceled.state, canceled.loss) == (CANCELED, (0.7,))
    assert desk.trainer.ended[0] == first.id
    assert desk.board.get(first.id).state is CANCELED
    with pytest.raises(FailedPrecondition) as caught:
        await desk.train.cancel(first.id)
    assert caught.value.reason == "TRAINING_JOB_ENDED"


async def test_an_unknown_job_cannot_be_canceled() -> None:
    with pytest.raises(NotFound):
        await Desk().train.cancel("none")


async def test_a_process_that_dies_is_started_again() -> None:
    desk = Desk(failing(Unavailable("It died.")), failing(Unavailable("It died.")), succeeding)
    job = await desk.submit()
    async with desk.working():
        assert (await desk.until(job.id, SUCCEEDED, FAILED)).state is SUCCEEDED
    assert desk.trainer.began == [job.id] * 3


async def test_a_process_that_keeps_dying_is_given_up() -> None:
    desk = Desk(failing(Unavailable("It died.")))
    job = await desk.submit()
    async with desk.working():
        ended = await desk.until(job.id, SUCCEEDED, FAILED)
    assert ended.error == "TRAINING_PROCESS_DIED: The training process died 3 times."
    assert ended.ended_ns > 0


async def test_a_process_that_ends_without_a_model_has_died() -> None:
    async def silent(job: TrainingJob) -> Any:
        return
        yield

    desk = Desk(silent)
    job = await desk.submit()
    async with desk.working():
        assert (await desk.until(job.id, FAILED)).error.startswith("TRAINING_PROCESS_DIED: ")


async def test_what_cannot_succeed_fails_at_once_by_its_name() -> None:
    desk = Desk(failing(FailedPrecondition("Too much.", reason="TRAINING_OUT_OF_MEMORY")))
    job = await desk.submit()
    async with desk.working():
        assert (await desk.until(job.id, FAILED)).error == "TRAINING_OUT_OF_MEMORY: Too much."
    assert desk.trainer.began == [job.id]


async def test_a_file_that_the_registry_refuses_fails_the_job() -> None:
    desk = Desk()
    desk.registry.refusal = FailedPrecondition("Other numbers.", reason="MODEL_GOLDEN_MISMATCH")
    job = await desk.submit()
    async with desk.working():
        assert (await desk.until(job.id, FAILED)).error == "MODEL_GOLDEN_MISMATCH: Other numbers."


async def test_what_has_ended_is_forgotten_while_the_service_runs_the_oldest_first() -> None:
    desk = Desk(remembered=2)
    async with desk.working():
        for _ in range(4):
            job = await desk.submit()
            await desk.until(job.id, SUCCEEDED)
        waiting = await desk.submit()
        await desk.train.cancel(waiting.id)
    assert [job.id for job in (await desk.list(JobQuestion())).jobs] == ["job-5", "job-4"]
    assert list(desk.store.jobs) == ["job-4", "job-5"]


async def test_a_disk_that_takes_no_progress_fails_the_job_by_name_and_the_next_one_goes_on() -> None:
    desk = Desk(endless, succeeding)
    job = await desk.submit()
    desk.store.full_for = frozenset({RUNNING, FAILED})
    async with desk.working():
        ended = await desk.until(job.id, FAILED)
        assert ended.error == "STORAGE_FAILED: There is no room."
        assert desk.store.jobs[job.id].state is QUEUED, "a restart would try again"
        desk.store.full_for = frozenset()
        again = await desk.submit()
        await desk.until(again.id, RUNNING, SUCCEEDED)


async def test_a_disk_that_takes_no_job_refuses_it_and_nothing_waits() -> None:
    desk = Desk(waiting=1)
    desk.store.full_for = frozenset({QUEUED})
    for _ in range(2):
        with pytest.raises(StorageFailed):
            await desk.submit()
    assert (await desk.list(JobQuestion())).jobs == []
    desk.store.full_for = frozenset()
    assert (await desk.submit()).state is QUEUED


async def test_what_was_not_ended_is_taken_up_oldest_first() -> None:
    kept = (
        a_job(id="done", created_ns=1, state=SUCCEEDED),
        a_job(id="running", created_ns=2, state=RUNNING, started_ns=7, loss=(0.7,)),
        a_job(id="waiting", created_ns=3),
    )
    desk = Desk(kept=kept)
    await desk.board.recall()
    async with desk.working():
        await desk.until("waiting", SUCCEEDED)
    assert desk.trainer.began == ["running", "waiting"]
    assert desk.board.get("running").started_ns == 7
    assert desk.board.get("done") == kept[0]


async def test_a_watcher_sees_the_job_now_and_its_end() -> None:
    desk = Desk()
    job = await desk.submit()
    seen: list[TrainingState] = []

    async def watch() -> None:
        seen.extend([each.state async for each in desk.board.watch(job.id)])

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(watch())
        await asyncio.sleep(0)
        async with desk.working():
            await desk.until(job.id, SUCCEEDED)
    assert (seen[0], seen[-1]) == (QUEUED, SUCCEEDED)
    with pytest.raises(NotFound):
        await anext(desk.board.watch("none"))


# On disk


def files(tmp_path: Path, kept: int = 10) -> TrainingFiles:
    return TrainingFiles(tmp_path / "training", kept, structlog.get_logger())


async def test_jobs_and_rows_come_back_as_they_were(tmp_path: Path) -> None:
    store, rows = files(tmp_path), some_rows(20)
    job = a_job(rows=20)
    await store.add(job, rows)
    await store.save(job.started(5).advanced((0.7, 0.6)))
    (found,) = await files(tmp_path).all()
    assert found == job.started(5).advanced((0.7, 0.6))
    kept = read_rows(store.directory(job.id))
    assert kept.features.tolist() == rows.features.tolist()
    assert kept.labels.tolist() == rows.labels.tolist()


async def test_an_ended_job_keeps_its_record_alone(tmp_path: Path) -> None:
    store, job = files(tmp_path), a_job()
    await store.add(job, some_rows(20))
    write_arrays(store.directory(job.id) / "checkpoint.npz", {"losses": some_rows(4).labels})
    await store.save(job.canceled(9))
    assert [path.name for path in store.directory(job.id).iterdir()] == ["job.json"]


async def test_the_oldest_ended_jobs_are_forgotten_and_no_other(tmp_path: Path) -> None:
    store = files(tmp_path, kept=2)
    jobs = [a_job(id=f"job-{number}", created_ns=number) for number in range(4)]
    for job in jobs:
        await store.add(job, some_rows(4))
    for job in jobs[1:]:
        await store.save(job.canceled(9))
    assert [job.id for job in await store.all()] == ["job-0", "job-2", "job-3"]
    assert not store.directory("job-1").exists()


async def test_a_job_that_the_disk_does_not_take_leaves_nothing(tmp_path: Path) -> None:
    store = files(tmp_path)
    (tmp_path / "training").write_text("no directory")
    with pytest.raises(StorageFailed, match="Not a directory"):
        await store.add(a_job(), some_rows(4))
    (tmp_path / "training").unlink()
    await store.add(a_job(), some_rows(4))
    await store.forget("job-1")
    assert list((tmp_path / "training").iterdir()) == []


async def test_a_record_that_a_kill_left_unwritten_is_passed_over(tmp_path: Path) -> None:
    store = files(tmp_path)
    await store.add(a_job(), some_rows(4))
    (tmp_path / "training" / "half").mkdir()
    (tmp_path / "training" / "torn").mkdir()
    (tmp_path / "training" / "torn" / "job.json").write_text('{"id"')
    assert [job.id for job in await store.all()] == ["job-1"]


async def test_there_may_be_no_jobs_at_all(tmp_path: Path) -> None:
    assert await files(tmp_path).all() == []
