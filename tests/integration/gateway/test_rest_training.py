"""Training by REST: a job is queued, looked at, ended; what is no table of numbers is named."""

from typing import Any

import numpy as np
import pytest
from integration.gateway.conftest import Gateway, problem

from fleet.rpc import MAX_MESSAGE_BYTES
from neuraltrader.inference.v1 import training_service_pb2 as pb

pytestmark = pytest.mark.asyncio(loop_scope="module")
TRAIN = "/v1/models/momentum-v1/train"
BODY: dict[str, Any] = {"features": [[1, 2.5], [3, 4]], "labels": [0, 1], "epochs": 5, "learning_rate": 0.01}


async def test_rows_and_labels_reach_the_service_as_columns(gateway: Gateway) -> None:
    answer = await gateway.http.post(TRAIN, json=BODY)
    assert (answer.status_code, answer.json()) == (202, {"job_id": "job-1"})
    (heard,) = gateway.fleet.script.heard(pb.UploadTrainingSetRequest)
    assert np.frombuffer(heard.features_f64le, "<f8").reshape(2, 2).tolist() == BODY["features"]
    assert np.frombuffer(heard.labels_f64le, "<f8").tolist() == [0.0, 1.0]
    assert (heard.job.model, heard.job.epochs, heard.job.learning_rate) == ("momentum-v1", 5, 0.01)


async def test_a_set_that_is_larger_than_a_message_arrives_whole(gateway: Gateway) -> None:
    rows = (np.arange(36_000 * 60) % 7).reshape(36_000, 60)
    answer = await gateway.http.post(TRAIN, json={"features": rows.tolist(), "labels": [0, 1] * 18_000})
    assert answer.status_code == 202, answer.text
    heard = gateway.fleet.script.heard(pb.UploadTrainingSetRequest)[-1]
    assert len(heard.features_f64le) > MAX_MESSAGE_BYTES
    assert heard.features_f64le == rows.astype("<f8").tobytes()
    assert len(heard.labels_f64le) == 8 * 36_000


async def test_epochs_and_learning_rate_have_defaults(gateway: Gateway) -> None:
    await gateway.http.post(TRAIN, json={name: BODY[name] for name in ("features", "labels")})
    heard = gateway.fleet.script.heard(pb.UploadTrainingSetRequest)[-1].job
    assert (heard.epochs, heard.learning_rate) == (10, 0.001)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"features": [[1, 2], [3]]}, "FEATURES_NOT_RECTANGULAR"),
        ({"features": [[1, 2], 3]}, "FEATURES_NOT_RECTANGULAR"),
        ({"features": [[], []]}, "FEATURES_NOT_RECTANGULAR"),
        ({"features": [1, 2]}, "FEATURES_NOT_RECTANGULAR"),
        ({"features": [["1", "2"], ["3", "4"]]}, "NOT_NUMBERS"),
        ({"features": [[1, None], [3, 4]]}, "NOT_NUMBERS"),
        ({"features": [[1, [2]], [3, 4]]}, "NOT_NUMBERS"),
        ({"features": [[True, False], [True, True]]}, "NOT_NUMBERS"),
        ({"labels": [0]}, "LABELS_LENGTH"),
        ({"labels": ["up", "down"]}, "NOT_NUMBERS"),
        ({"labels": [[0], [1]]}, "NOT_NUMBERS"),
        ({"features": []}, "LABELS_LENGTH"),
        ({"epochs": 0}, "EPOCHS_OUT_OF_RANGE"),
        ({"epochs": 10**12}, "EPOCHS_OUT_OF_RANGE"),
        ({"epochs": 1.5}, "INVALID_ARGUMENT"),
        ({"learning_rate": 2}, "LEARNING_RATE_OUT_OF_RANGE"),
        ({"learning_rate": "fast"}, "INVALID_ARGUMENT"),
        ({"rows": 1}, "INVALID_ARGUMENT"),
    ],
)
async def test_what_cannot_be_learnt_from_is_422_by_name(gateway: Gateway, change: dict[str, Any], code: str) -> None:
    problem(await gateway.http.post(TRAIN, json=BODY | change), 422, code)


async def test_what_is_no_json_is_400(gateway: Gateway) -> None:
    for content in (b'{"features":[[NaN]]', b'{"features":"x", "labels": [NaN]}', b"[" * 100_000):
        answer = await gateway.http.post(TRAIN, content=content, headers={"content-type": "application/json"})
        problem(answer, 400, "MALFORMED_BODY")


async def test_models_that_are_unknown_or_foreign(gateway: Gateway) -> None:
    problem(await gateway.http.post("/v1/models/none/train", json=BODY), 404, "UNKNOWN_MODEL")
    problem(await gateway.http.post("/v1/models/from-onnx/train", json=BODY), 409, "MODEL_NOT_TRAINABLE")


async def test_a_job_is_shown_and_ended(gateway: Gateway) -> None:
    shown = (await gateway.http.get("/v1/training-jobs/job-1")).json()
    assert shown == {
        "id": "job-1",
        "state": "running",
        "epoch": 2,
        "loss": [0.7, 0.6],
        "accuracy": None,
        "epochs": 10,
        "model": "momentum-v1",
        "version": None,
        "error": None,
        "metrics": {},
        "rows": 400,
        "created_time_ns": "5",
        "started_time_ns": "7",
        "ended_time_ns": None,
    }
    answer = await gateway.http.delete("/v1/training-jobs/job-1")
    assert (answer.status_code, answer.json()["state"]) == (202, "canceled")
    problem(await gateway.http.delete("/v1/training-jobs/job-1"), 409, "TRAINING_JOB_ENDED")


async def test_an_unknown_job_is_404(gateway: Gateway) -> None:
    problem(await gateway.http.get("/v1/training-jobs/none"), 404, "UNKNOWN_TRAINING_JOB")
    problem(await gateway.http.delete("/v1/training-jobs/none"), 404, "UNKNOWN_TRAINING_JOB")


async def test_jobs_are_listed_page_by_page(gateway: Gateway) -> None:
    query = {"model": "momentum-v1", "state": "running, FAILED", "limit": 1}
    page = (await gateway.http.get("/v1/training-jobs", params=query)).json()
    assert [job["id"] for job in page["training_jobs"]] == ["job-1"]
    last = (await gateway.http.get("/v1/training-jobs", params=query | {"cursor": page["next_cursor"]})).json()
    assert last["next_cursor"] is None
    heard = gateway.fleet.script.heard(pb.ListTrainingJobsRequest)[-1]
    assert (heard.model, heard.limit, heard.cursor) == ("momentum-v1", 1, "7.job-1")
    assert list(heard.states) == [pb.TRAINING_STATE_RUNNING, pb.TRAINING_STATE_FAILED]


@pytest.mark.parametrize("query", [{"state": "asleep"}, {"limit": 0}, {"limit": 501}, {"cursor": "x" * 513}])
async def test_a_wrong_question_about_jobs_is_422(gateway: Gateway, query: dict[str, Any]) -> None:
    problem(await gateway.http.get("/v1/training-jobs", params=query), 422, "INVALID_ARGUMENT")


async def test_jobs_of_an_unknown_model_are_404(gateway: Gateway) -> None:
    problem(await gateway.http.get("/v1/training-jobs", params={"model": "none"}), 404, "UNKNOWN_MODEL")
