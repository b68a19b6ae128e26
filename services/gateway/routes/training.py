"""Training jobs."""

from typing import Annotated

from fastapi import Depends, Path, Query, Request
from starlette.exceptions import HTTPException

from neuraltrader.inference.v1 import training_service_pb2 as rpc
from services.gateway import train_body
from services.gateway.bulk import Bulk
from services.gateway.routes.models import ModelName
from services.gateway.routes.route import (
    BODY,
    FLEET,
    JSON,
    KEYED,
    CursorQuery,
    Fleet,
    idempotency_key,
    refusals,
    require_json,
    router,
)
from services.gateway.schemas.training import (
    STATES,
    TrainingJob,
    TrainingJobCreated,
    TrainingJobPage,
    training_job_view,
)
from trading.errors import InvalidArgument

routes = router("models")
JobId = Annotated[str, Path(alias="id", min_length=1, max_length=64)]
StateText = Annotated[str, Query(max_length=512)]
StateFilter = Annotated[
    list[StateText], Query(max_length=32, description="States, repeated or comma-separated; all by default.")
]
AnyModel = Annotated[str, Query(max_length=64, description="Name of a model; all by default.")]
_ROWS = {
    "requestBody": {
        "required": True,
        "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{train_body.TrainRequest.__name__}"}}},
    }
}


@routes.post(
    "/v1/models/{name}/train",
    operation_id="train_model",
    summary="Starts a training job",
    status_code=202,
    responses=refusals(404, 409, *BODY, *KEYED, *FLEET),
    dependencies=[Depends(idempotency_key)],
    openapi_extra=_ROWS,
)
async def train_model(name: ModelName, request: Request, fleet: Fleet) -> TrainingJobCreated:
    bulk: Bulk = request.app.state.bulk
    require_json(request)
    found = await bulk.do(train_body.read, await request.body())
    if found.malformed:
        raise HTTPException(400, found.malformed)
    if found.wrong:
        raise InvalidArgument(found.wrong, reason=found.reason or None, field=found.field)
    job = rpc.TrainModelRequest(model=name, epochs=found.epochs, learning_rate=found.learning_rate)
    try:
        return {"job_id": await fleet.training_sets.train(job, found.features, found.labels)}
    except InvalidArgument as error:
        raise train_body.pointed(error) from error


@routes.get(
    "/v1/training-jobs",
    operation_id="list_training_jobs",
    summary="Training jobs, newest first",
    responses=refusals(404, 422, *KEYED, *FLEET),
)
async def list_training_jobs(
    fleet: Fleet,
    model: AnyModel = "",
    state: StateFilter = [],  # noqa: B006 - FastAPI copies defaults
    limit: Annotated[int, Query(ge=1, le=500, description="Most jobs in one answer.")] = 100,
    cursor: CursorQuery = "",
) -> TrainingJobPage:
    request = rpc.ListTrainingJobsRequest(model=model, limit=limit, states=_states(state), cursor=cursor)
    answer = await fleet.training.ListTrainingJobs(request)
    return {
        "training_jobs": [training_job_view(job) for job in answer.jobs],
        "next_cursor": answer.next_cursor or None,
    }


def _states(texts: list[str]) -> list[rpc.TrainingState.ValueType]:
    names = [name.strip().lower() for text in texts for name in text.split(",") if name.strip()]
    unknown = next((name for name in names if name not in STATES), None)
    if unknown is not None:
        raise InvalidArgument(f"Expected {', '.join(STATES)}, was {unknown[:64]!r}.", parameter="state")
    return [STATES[name] for name in names]


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
