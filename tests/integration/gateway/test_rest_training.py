"""Training by REST: a job is queued, looked at, ended; what is no table of numbers is named."""

from typing import Any

import numpy as np
import pytest
from integration.gateway.conftest import Gateway, problem

from neuraltrader.inference.v1 import training_service_pb2 as pb
from services.gateway.schemas.training import TrainRequest
from trading.errors import InvalidArgument

pytestmark = pytest.mark.asyncio(loop_scope="module")
TRAIN = "/v1/models/momentum-v1/train"
BODY: dict[str, Any] = {"features": [[1, 2.5], [3, 4]], "labels": [0, 1], "epochs": 5, "learning_rate": 0.01}


async def test_rows_and_labels_reach_the_service_as_columns(gateway: Gateway) -> None:
    answer = await gateway.http.post(TRAIN, json=BODY)
    assert (answer.status_code, answer.json()) == (202, {"job_id": "job-1"})
    (heard,) = gateway.fleet.script.heard(pb.TrainModelRequest)
    assert np.frombuffer(heard.features_f64le, "<f8").reshape(2, 2).tolist() == BODY["features"]
    assert list(heard.labels) == [0.0, 1.0]
    assert (heard.model, heard.epochs, heard.learning_rate) == ("momentum-v1", 5, 0.01)


async def test_epochs_and_learning_rate_have_defaults(gateway: Gateway) -> None:
    await gateway.http.post(TRAIN, json={name: BODY[name] for name in ("features", "labels")})
    heard = gateway.fleet.script.heard(pb.TrainModelRequest)[-1]
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
        ({"features": []}, "INVALID_ARGUMENT"),
        ({"epochs": 0}, "INVALID_ARGUMENT"),
        ({"epochs": 10_001}, "INVALID_ARGUMENT"),
        ({"learning_rate": 0}, "INVALID_ARGUMENT"),
        ({"rows": 1}, "INVALID_ARGUMENT"),
    ],
)
async def test_what_cannot_be_learnt_from_is_422_by_name(gateway: Gateway, change: dict[str, Any], code: str) -> None:
    problem(await gateway.http.post(TRAIN, json=BODY | change), 422, code)


async def test_more_than_a_message_holds_is_refused_before_it_is_sent() -> None:
    wide = [[0.0] * 64] * 40_000
    with pytest.raises(InvalidArgument) as caught:
        TrainRequest(features=wide, labels=[0, 1] * 20_000).message("momentum-v1")
    assert caught.value.reason == "TRAINING_SET_TOO_LARGE"


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
    }
    answer = await gateway.http.delete("/v1/training-jobs/job-1")
    assert (answer.status_code, answer.json()["state"]) == (202, "canceled")
    problem(await gateway.http.delete("/v1/training-jobs/job-1"), 409, "TRAINING_JOB_ENDED")


async def test_an_unknown_job_is_404(gateway: Gateway) -> None:
    problem(await gateway.http.get("/v1/training-jobs/none"), 404, "UNKNOWN_TRAINING_JOB")
    problem(await gateway.http.delete("/v1/training-jobs/none"), 404, "UNKNOWN_TRAINING_JOB")
