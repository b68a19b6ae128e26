"""Training by gRPC: a process of its own that can be watched, ended, killed, and that goes on."""

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from builders.inference import a_model_directory
from builders.training import FEATURES, TOKEN, Inference, a_spec, a_trainable_model, inference, some_rows
from servers import nats_server

from fleet import channels, subjects
from fleet.bus import Message, connect
from fleet.metrics import Metrics
from neuraltrader.inference.v1 import inference_service_pb2 as inference_pb
from neuraltrader.inference.v1 import registry_service_pb2 as registry_pb
from neuraltrader.inference.v1 import training_service_pb2 as pb
from neuraltrader.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from neuraltrader.inference.v1.registry_service_pb2_grpc import RegistryServiceStub
from neuraltrader.inference.v1.training_service_pb2_grpc import TrainingServiceStub
from services.inference.adapters.safetensors_file import FileLimits, read_model
from services.inference.domain.architectures import Mlp
from services.inference.domain.training import TrainingSet
from trading.errors import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted, UnknownModel

LONG = 10_000
"""Epochs that no test waits for."""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training")
    a_trainable_model(folder / "models")
    a_model_directory(folder / "models", "from-onnx")
    return folder


@pytest.fixture(scope="module")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with nats_server(tmp_path_factory.mktemp("nats")) as url:
        yield url


@pytest.fixture(scope="module")
def service(nats_url: str, data_dir: Path) -> Iterator[Inference]:
    with inference(nats_url, data_dir, NT_TRAINING_WAITING_MAX="2") as found:
        yield found


@pytest.fixture
async def stub(service: Inference) -> AsyncIterator[TrainingServiceStub]:
    async with channels.connect(
        f"127.0.0.1:{service.grpc_port}", token=TOKEN, client="test", default_timeout_s=60
    ) as channel:
        yield TrainingServiceStub(channel)


def a_request(rows: TrainingSet | None = None, **changes: Any) -> pb.TrainModelRequest:
    found = rows or some_rows()
    given: dict[str, Any] = {
        "model": "small",
        "features_f64le": found.features.astype("<f8").tobytes(),
        "labels": found.labels.tolist(),
        "epochs": 20,
        "learning_rate": 0.02,
        "seed": 7,
    }
    return pb.TrainModelRequest(**(given | changes))


async def the_end(stub: TrainingServiceStub, job_id: str) -> pb.TrainingJob:
    seen = pb.TrainingJob()
    call = stub.WatchTrainingJob(
        pb.WatchTrainingJobRequest(job_id=job_id), metadata=channels.call_metadata(TOKEN), timeout=90
    )
    async for answer in call:
        seen = answer.job
    return seen


async def until_trained(stub: TrainingServiceStub, job_id: str, epochs: int) -> pb.TrainingJob:
    call = stub.WatchTrainingJob(
        pb.WatchTrainingJobRequest(job_id=job_id), metadata=channels.call_metadata(TOKEN), timeout=90
    )
    async for answer in call:
        if answer.job.epoch >= epochs or answer.job.state > pb.TRAINING_STATE_RUNNING:
            call.cancel()
            return answer.job
    raise AssertionError("the stream ended")


def workers(service: Inference) -> list[psutil.Process]:
    children = psutil.Process(service.child.pid).children()
    return [child for child in children if any("training_worker" in part for part in child.cmdline())]


async def test_a_job_ends_as_a_new_version_with_its_figures(
    stub: TrainingServiceStub, data_dir: Path, nats_url: str
) -> None:
    told: list[pb.TrainingJob] = []

    heard_the_end = asyncio.Event()

    async def hear(message: Message) -> None:
        told.append(pb.TrainingJob.FromString(message.payload))
        if told[-1].state == pb.TRAINING_STATE_SUCCEEDED:
            heard_the_end.set()

    async with connect(nats_url, "ear", Metrics()) as bus, asyncio.TaskGroup() as group:
        ear = group.create_task(bus.listen(subjects.TRAINING_ALL, hear))
        await bus.flush()
        job_id = (await stub.TrainModel(a_request())).job_id
        job = await the_end(stub, job_id)
        await asyncio.wait_for(heard_the_end.wait(), 60)
        ear.cancel()
    assert (job.state, job.error) == (pb.TRAINING_STATE_SUCCEEDED, "")
    assert job.epoch == job.epochs == len(job.loss) == 20
    assert job.loss[-1] < job.loss[0]
    assert job.accuracy > 0.65
    assert job.metrics["brier_skill_low"] > 0, "the planted edge is found"
    assert 0 < job.created_time_ns <= job.started_time_ns <= job.ended_time_ns
    made = read_model(data_dir / "models" / "small" / job.version / "model.safetensors", FileLimits())
    assert made.spec.features == FEATURES
    assert made.spec.calibration is not None
    assert made.golden is not None
    card = (data_dir / "models" / "small" / job.version / "card.md").read_text()
    assert "There was an edge" in card
    assert made.spec.provenance.training_data_sha256 in card
    assert {each.id for each in told} == {job_id}
    assert told[-1] == job
    listed = await stub.ListTrainingJobs(pb.ListTrainingJobsRequest(model="small", limit=1))
    assert [each.id for each in listed.jobs] == [job_id]
    assert (await stub.GetTrainingJob(pb.GetTrainingJobRequest(job_id=job_id))).job == job


async def test_noise_is_said_to_have_no_edge(stub: TrainingServiceStub, data_dir: Path) -> None:
    job = await the_end(stub, (await stub.TrainModel(a_request(some_rows(800, edge=False)))).job_id)
    assert job.metrics["brier_skill_low"] <= 0
    assert "There was no edge" in (data_dir / "models" / "small" / job.version / "card.md").read_text()


async def test_a_handful_of_rows_trains_and_claims_nothing(stub: TrainingServiceStub, data_dir: Path) -> None:
    job = await the_end(stub, (await stub.TrainModel(a_request(some_rows(12)))).job_id)
    assert job.state == pb.TRAINING_STATE_SUCCEEDED
    made = read_model(data_dir / "models" / "small" / job.version / "model.safetensors", FileLimits())
    assert made.spec.calibration is None
    assert "Nothing is known of an edge" in (data_dir / "models" / "small" / job.version / "card.md").read_text()


async def test_a_set_in_pieces_is_trained_as_one_in_a_message_and_listed(stub: TrainingServiceStub) -> None:
    rows = some_rows(24)
    call = stub.UploadTrainingSet(metadata=channels.call_metadata(TOKEN), timeout=90)
    await call.write(pb.UploadTrainingSetRequest(job=pb.TrainModelRequest(model="small", epochs=2)))
    for byte_rows in np.array_split(np.frombuffer(rows.features.astype("<f8").tobytes(), np.uint8), 7):
        await call.write(pb.UploadTrainingSetRequest(features_f64le=byte_rows.tobytes()))
    await call.write(pb.UploadTrainingSetRequest(labels_f64le=rows.labels.astype("<f8").tobytes()))
    await call.done_writing()
    job_id = (await call).job_id
    job = await the_end(stub, job_id)
    assert (job.state, job.rows, job.epoch) == (pb.TRAINING_STATE_SUCCEEDED, 24, 2), job.error
    wish = pb.ListTrainingJobsRequest(model="small", states=[pb.TRAINING_STATE_SUCCEEDED], limit=1)
    page = await stub.ListTrainingJobs(wish)
    assert [each.id for each in page.jobs] == [job_id]
    assert list(page.jobs[0].loss) == [job.loss[-1]]
    wish.limit, wish.cursor = 500, f"{job.created_time_ns}.{job_id}"
    assert job_id not in {each.id for each in (await stub.ListTrainingJobs(wish)).jobs}
    wish.states.append(99)
    with pytest.raises(InvalidArgument, match="states of training jobs"):
        await stub.ListTrainingJobs(wish)


async def test_another_network_learns_in_its_place(stub: TrainingServiceStub, data_dir: Path) -> None:
    job = await the_end(stub, (await stub.TrainModel(a_request(architecture="tcn", epochs=2))).job_id)
    assert job.state == pb.TRAINING_STATE_SUCCEEDED, job.error
    job = await the_end(stub, (await stub.TrainModel(a_request(architecture="mlp", epochs=2))).job_id)
    assert job.state == pb.TRAINING_STATE_SUCCEEDED, job.error


@pytest.mark.parametrize(("name", "columns"), [("momentum-v1", 18), ("neural-momentum-v1", 31 * 18)])
async def test_a_shipped_model_gets_a_version_that_answers_once_it_is_promoted(
    service: Inference, name: str, columns: int
) -> None:
    async with channels.connect(
        f"127.0.0.1:{service.grpc_port}", token=TOKEN, client="test", default_timeout_s=30
    ) as channel:
        training, registry = TrainingServiceStub(channel), RegistryServiceStub(channel)
        request = a_request(some_rows(400, columns), model=name, epochs=2)
        job = await the_end(training, (await training.TrainModel(request)).job_id)
        assert (job.state, job.version, job.error) == (pb.TRAINING_STATE_SUCCEEDED, "2", "")
        listed = (await registry.ListVersions(registry_pb.ListVersionsRequest(name=name))).versions
        assert [(each.version, each.training_data[:16]) for each in listed] == [
            ("2", "400 rows that a "),
            ("1", "Simulated by the"),
        ]
        before = await InferenceServiceStub(channel).GetModel(inference_pb.GetModelRequest(name=name))
        assert before.model.version == "1", "nobody has promoted it"
        promoted = await registry.PromoteModel(registry_pb.PromoteModelRequest(name=name, version="2"))
        assert promoted.model.version == "2"
        await registry.RollbackModel(registry_pb.RollbackModelRequest(name=name))


ROWS = some_rows(40)
BYTES = ROWS.features.astype("<f8").tobytes()
HOLED = ROWS.features.copy()
HOLED[3, 1] = np.nan


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"features_f64le": BYTES[:-8]}, "FEATURES_NOT_RECTANGULAR"),
        ({"features_f64le": BYTES[:-3]}, "FEATURES_NOT_RECTANGULAR"),
        ({"labels": ROWS.labels.tolist()[:-1]}, "LABELS_LENGTH"),
        ({"features_f64le": HOLED.tobytes()}, "FEATURES_NOT_FINITE"),
        ({"labels": [1.0] * 40}, "ONE_CLASS"),
        ({"labels": [2.0, *ROWS.labels.tolist()[1:]]}, "LABELS_OUT_OF_RANGE"),
        ({"labels": [float("nan"), *ROWS.labels.tolist()[1:]]}, "LABELS_OUT_OF_RANGE"),
        ({"features_f64le": b"", "labels": []}, "TOO_FEW_ROWS"),
        ({"epochs": 0}, "EPOCHS_OUT_OF_RANGE"),
        ({"epochs": 10_001}, "EPOCHS_OUT_OF_RANGE"),
        ({"learning_rate": 0.0}, "LEARNING_RATE_OUT_OF_RANGE"),
        ({"learning_rate": float("nan")}, "LEARNING_RATE_OUT_OF_RANGE"),
        ({"seed": -1}, "SEED_OUT_OF_RANGE"),
        ({"architecture": "oracle"}, "UNKNOWN_ARCHITECTURE"),
        ({"architecture": "patchtst"}, "ARCHITECTURE_MISFIT"),
        ({"labels": [0.0] * 1_000_001}, "TRAINING_SET_TOO_LARGE"),
    ],
)
async def test_what_nothing_can_be_learnt_from_is_named(
    stub: TrainingServiceStub, change: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await stub.TrainModel(a_request(ROWS, **change))
    assert caught.value.reason == reason
    assert caught.value.metadata["field"]


async def test_a_model_of_a_foreign_file_is_not_trainable(stub: TrainingServiceStub) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        await stub.TrainModel(a_request(model="from-onnx"))
    assert caught.value.reason == "MODEL_NOT_TRAINABLE"


async def test_unknown_models_and_jobs_are_said_to_be_unknown(stub: TrainingServiceStub) -> None:
    with pytest.raises(UnknownModel):
        await stub.TrainModel(a_request(model="nobody"))
    for ask in (
        stub.GetTrainingJob(pb.GetTrainingJobRequest(job_id="none")),
        stub.CancelTrainingJob(pb.CancelTrainingJobRequest(job_id="none")),
    ):
        with pytest.raises(NotFound) as caught:
            await ask
        assert caught.value.reason == "UNKNOWN_TRAINING_JOB"


async def test_a_canceled_job_ends_its_process_and_leaves_no_version(
    stub: TrainingServiceStub, service: Inference, data_dir: Path
) -> None:
    before = sorted(path.name for path in (data_dir / "models" / "small").iterdir())
    job_id = (await stub.TrainModel(a_request(epochs=LONG))).job_id
    await until_trained(stub, job_id, 2)
    (worker,) = workers(service)
    canceled = (await stub.CancelTrainingJob(pb.CancelTrainingJobRequest(job_id=job_id))).job
    assert canceled.state == pb.TRAINING_STATE_CANCELED
    assert canceled.ended_time_ns > 0
    await asyncio.to_thread(psutil.wait_procs, [worker], 5)
    assert not worker.is_running()
    assert sorted(path.name for path in (data_dir / "models" / "small").iterdir()) == before
    with pytest.raises(FailedPrecondition) as caught:
        await stub.CancelTrainingJob(pb.CancelTrainingJobRequest(job_id=job_id))
    assert caught.value.reason == "TRAINING_JOB_ENDED"


async def test_a_full_queue_refuses_and_a_waiting_job_can_be_canceled(stub: TrainingServiceStub) -> None:
    working = (await stub.TrainModel(a_request(epochs=LONG))).job_id
    await until_trained(stub, working, 1)
    waiting = [(await stub.TrainModel(a_request(epochs=LONG))).job_id for _ in range(2)]
    with pytest.raises(ResourceExhausted) as caught:
        await stub.TrainModel(a_request())
    assert caught.value.reason == "TRAINING_QUEUE_FULL"
    for job_id in (*waiting, working):
        await stub.CancelTrainingJob(pb.CancelTrainingJobRequest(job_id=job_id))
        job = (await stub.GetTrainingJob(pb.GetTrainingJobRequest(job_id=job_id))).job
        assert job.state == pb.TRAINING_STATE_CANCELED
    assert (await the_end(stub, (await stub.TrainModel(a_request(epochs=1))).job_id)).state == (
        pb.TRAINING_STATE_SUCCEEDED
    )


async def test_a_killed_process_goes_on_and_ends_as_if_nothing_had_been(
    stub: TrainingServiceStub, service: Inference
) -> None:
    request = a_request(some_rows(10_000), epochs=300)
    whole = await the_end(stub, (await stub.TrainModel(request)).job_id)
    job_id = (await stub.TrainModel(request)).job_id
    await until_trained(stub, job_id, 20)
    (worker,) = workers(service)
    worker.kill()
    job = await the_end(stub, job_id)
    assert job.state == pb.TRAINING_STATE_SUCCEEDED, job.error
    assert list(job.loss) == list(whole.loss)
    assert job.version == whole.version, "the same network, bit for bit, is the same version"


async def test_a_killed_service_takes_its_jobs_up_again(nats_url: str, tmp_path: Path) -> None:
    a_trainable_model(tmp_path / "models")
    with inference(nats_url, tmp_path) as first:
        async with channels.connect(
            f"127.0.0.1:{first.grpc_port}", token=TOKEN, client="test", default_timeout_s=60
        ) as channel:
            stub = TrainingServiceStub(channel)
            working = (await stub.TrainModel(a_request(some_rows(10_000), epochs=300))).job_id
            waiting = (await stub.TrainModel(a_request(epochs=2))).job_id
            seen = await until_trained(stub, working, 20)
        (worker,) = workers(first)
        first.child.kill()
        await asyncio.to_thread(psutil.wait_procs, [worker], 5)
        assert not worker.is_running(), "it ends with its parent"
    with inference(nats_url, tmp_path) as second:
        async with channels.connect(
            f"127.0.0.1:{second.grpc_port}", token=TOKEN, client="test", default_timeout_s=60
        ) as channel:
            stub = TrainingServiceStub(channel)
            ended = [await the_end(stub, job_id) for job_id in (working, waiting)]
    assert [job.state for job in ended] == [pb.TRAINING_STATE_SUCCEEDED] * 2
    assert ended[0].epoch == 300
    assert list(ended[0].loss)[: seen.epoch] == list(seen.loss)
    assert ended[0].started_time_ns == seen.started_time_ns


async def test_a_job_that_wants_too_much_memory_fails_by_name(nats_url: str, tmp_path: Path) -> None:
    a_trainable_model(tmp_path / "models")
    a_trainable_model(tmp_path / "models", "wide", spec=a_spec(Mlp((2048, 2048))))
    with inference(nats_url, tmp_path, NT_TRAINING_MEMORY_MB="64") as tight:
        async with channels.connect(
            f"127.0.0.1:{tight.grpc_port}", token=TOKEN, client="test", default_timeout_s=60
        ) as channel:
            stub = TrainingServiceStub(channel)
            job = await the_end(stub, (await stub.TrainModel(a_request(model="wide", epochs=1))).job_id)
            assert job.state == pb.TRAINING_STATE_FAILED
            assert job.error.startswith("TRAINING_OUT_OF_MEMORY: ")
            small = await the_end(stub, (await stub.TrainModel(a_request(epochs=1))).job_id)
            assert small.state == pb.TRAINING_STATE_SUCCEEDED, "the next job does not pay for it"


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="PyTorch is installed here")
async def test_a_network_that_pytorch_trains_says_what_to_install(stub: TrainingServiceStub) -> None:
    job = await the_end(stub, (await stub.TrainModel(a_request(architecture="gru"))).job_id)
    assert job.state == pb.TRAINING_STATE_FAILED
    assert job.error.startswith("TRAINER_NOT_INSTALLED: ")
    assert "`train`" in job.error


async def test_serving_does_not_stop_while_a_job_runs(stub: TrainingServiceStub, service: Inference) -> None:
    job_id = (await stub.TrainModel(a_request(some_rows(20_000), epochs=LONG))).job_id
    await until_trained(stub, job_id, 2)
    (worker,) = workers(service)
    assert worker.pid != service.child.pid
    assert worker.nice() == min(psutil.Process(service.child.pid).nice() + 10, 19)
    for _ in range(20):
        job = (await stub.GetTrainingJob(pb.GetTrainingJobRequest(job_id=job_id))).job
        assert job.state == pb.TRAINING_STATE_RUNNING, "calls are answered, not queued behind the training"
    await stub.CancelTrainingJob(pb.CancelTrainingJobRequest(job_id=job_id))
