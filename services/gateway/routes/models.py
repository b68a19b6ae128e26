"""Models and predictions."""

from typing import Annotated

from fastapi import Depends, Path, Query, Request, Response
from starlette.exceptions import HTTPException

from fleet.rpc import MAX_MESSAGE_BYTES
from neuraltrader.inference.v1 import inference_service_pb2 as rpc
from services.gateway import predict_body
from services.gateway.bulk import Bulk
from services.gateway.routes.listing import IfNoneMatch, listed
from services.gateway.routes.route import (
    BODY,
    FLEET,
    JSON,
    KEYED,
    Fleet,
    encoded,
    idempotency_key,
    media_type_of,
    refusals,
    require_json,
    router,
)
from services.gateway.schemas.drift import Drift, drift_view
from services.gateway.schemas.models import Model, ModelList, Predictions, model_view
from services.gateway.tables import ARROW
from trading.errors import InvalidArgument

routes = router("models")
ModelName = Annotated[str, Path(min_length=1, max_length=64, description="Name in the registry.")]
Version = Annotated[
    str | None, Query(min_length=1, max_length=64, description="Version; the one in use when it is left out.")
]
_ROOM_FOR_THE_REST = 4096
_ROWS = {
    "requestBody": {
        "required": True,
        "content": {
            JSON: {"schema": {"oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in predict_body.FORMS]}},
            ARROW: {"schema": {"type": "string", "contentMediaType": ARROW}},
        },
    }
}


@routes.get(
    "/v1/models",
    operation_id="list_models",
    summary="Every model in the registry, by name",
    response_model=ModelList,
    responses=refusals(304, 422, *KEYED, *FLEET),
)
async def list_models(fleet: Fleet, if_none_match: IfNoneMatch = None) -> Response:
    answer = await fleet.inference.ListModels(rpc.ListModelsRequest())
    return listed({"models": [model_view(model) for model in answer.models]}, if_none_match)


@routes.get(
    "/v1/models/{name}",
    operation_id="get_model",
    summary="One model",
    responses=refusals(404, 422, *KEYED, *FLEET),
)
async def get_model(name: ModelName, fleet: Fleet) -> Model:
    answer = await fleet.inference.GetModel(rpc.GetModelRequest(name=name))
    return model_view(answer.model)


@routes.post(
    "/v1/models/{name}/predict",
    operation_id="predict",
    summary="One prediction for each row",
    response_model=Predictions,
    responses=refusals(404, 409, *BODY, *KEYED, *FLEET),
    dependencies=[Depends(idempotency_key)],
    openapi_extra=_ROWS,
)
async def predict(name: ModelName, request: Request, fleet: Fleet, version: Version = None) -> Response:
    bulk: Bulk = request.app.state.bulk
    asked = rpc.PredictRequest(model=name, version=version or "")
    as_rows = False
    if media_type_of(request) == ARROW:
        asked.arrow_ipc = _stream(await request.body())
    else:
        require_json(request)
        found = await bulk.do(predict_body.read, await request.body())
        asked.columns.ParseFromString(_columns(found))
        as_rows = found.as_rows
    try:
        answer = await fleet.inference.Predict(asked)
    except InvalidArgument as error:
        raise predict_body.pointed(error, as_rows=as_rows) from error
    return Response(await bulk.do(predict_body.reply, answer.SerializeToString()), 200, None, JSON)


def _stream(body: bytes) -> bytes:
    if not body:
        raise InvalidArgument("Expected an Arrow stream, the body is empty.", field="arrow")
    most = MAX_MESSAGE_BYTES - _ROOM_FOR_THE_REST
    if len(body) > most:
        raise HTTPException(413, f"Expected an Arrow stream of at most {most} bytes: ask in several requests.")
    return body


def _columns(found: predict_body.Read) -> bytes:
    if found.malformed:
        raise HTTPException(400, found.malformed)
    if found.wrong:
        raise InvalidArgument(found.wrong, field=found.field)
    return found.columns


@routes.get(
    "/v1/models/{name}/drift",
    operation_id="get_model_drift",
    summary="How a model that follows the market does on what it sees now",
    response_model=Drift,
    responses=refusals(404, 422, *KEYED, *FLEET),
)
async def get_model_drift(name: ModelName, fleet: Fleet) -> Response:
    answer = await fleet.inference.GetDrift(rpc.GetDriftRequest(model=name))
    return encoded(drift_view(answer.drift))
