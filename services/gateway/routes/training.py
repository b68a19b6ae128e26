"""Training jobs."""

from typing import Annotated

from fastapi import Depends, Path

from neuraltrader.inference.v1 import training_service_pb2 as rpc
from services.gateway.routes.models import ModelName
from services.gateway.routes.route import BODY, FLEET, KEYED, Fleet, idempotency_key, refusals, router
from services.gateway.schemas.training import TrainingJob, TrainingJobCreated, TrainRequest, training_job_view

routes = router("models")
JobId = Annotated[str, Path(alias="id", min_length=1, max_length=64)]


@routes.post(
    "/v1/models/{name}/train",
    operation_id="train_model",
    summary="Starts a training job",
    status_code=202,
    responses=refusals(404, 409, *BODY, *KEYED, *FLEET),
    dependencies=[Depends(idempotency_key)],
)
async def train_model(name: ModelName, body: TrainRequest, fleet: Fleet) -> TrainingJobCreated:
    answer = await fleet.training.TrainModel(body.message(name))
    return {"job_id": answer.job_id}


@routes.get(
    "/v1/training-jobs/{id}",
    operation_id="get_training_job",
    summary="How far a training job is",
    responses=refusals(404, 422, *KEYED, *FLEET),
)
async def get_training_job(job_id: JobId, fleet: Fleet) -> TrainingJob:
    answer = await fleet.training.GetTrainingJob(rpc.GetTrainingJobRequest(job_id=job_id))
    return training_job_view(answer.job)


@routes.delete(
    "/v1/training-jobs/{id}",
    operation_id="cancel_training_job",
    summary="Cancels a training job",
    status_code=202,
    responses=refusals(404, 409, 422, *KEYED, *FLEET),
)
async def cancel_training_job(job_id: JobId, fleet: Fleet) -> TrainingJob:
    answer = await fleet.training.CancelTrainingJob(rpc.CancelTrainingJobRequest(job_id=job_id))
    return training_job_view(answer.job)
