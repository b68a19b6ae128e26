"""Models and predictions."""

from typing import Annotated

from fastapi import Depends, Path, Response

from neuraltrader.inference.v1 import inference_service_pb2 as rpc
from services.gateway.routes.listing import IfNoneMatch, listed
from services.gateway.routes.route import BODY, FLEET, KEYED, Fleet, encoded, idempotency_key, refusals, router
from services.gateway.schemas.models import Model, ModelList, Predictions, PredictRequest, model_view, predictions_view

routes = router("models")
ModelName = Annotated[str, Path(min_length=1, max_length=64, description="Name in the registry.")]


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
)
async def predict(name: ModelName, body: PredictRequest, fleet: Fleet) -> Response:
    answer = await fleet.inference.Predict(rpc.PredictRequest(model=name, market_data=body.rows()))
    return encoded(predictions_view(answer))
