"""The life of models: versions come, answer, are tried, go back and go."""

from typing import Annotated, cast

from fastapi import Depends, Query, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from neuraltrader.inference.v1 import registry_service_pb2 as rpc
from services.gateway.routes.models import ModelName
from services.gateway.routes.route import (
    BODY,
    FLEET,
    KEYED,
    Fleet,
    StrictRequest,
    encoded,
    idempotency_key,
    refusals,
    router,
)
from services.gateway.schemas.models import Model, ModelList, model_view
from services.gateway.schemas.registry import (
    CanaryRequest,
    LoadRequest,
    PromoteRequest,
    ShadowRequest,
    VersionText,
)

routes = router("models")
OCTETS, TAR = "application/octet-stream", "application/x-tar"
NewName = Annotated[str, Query(pattern="^[a-z0-9][a-z0-9._-]{0,63}$")]
Version = Annotated[VersionText | None, Query(description="Version; the one in use when it is left out.")]
_FILE = {
    "requestBody": {
        "required": True,
        "content": {
            OCTETS: {
                "schema": {
                    "type": "string",
                    "contentMediaType": OCTETS,
                    "description": "A safetensors or ONNX file.",
                }
            }
        },
    }
}
_REPEATED = [Depends(idempotency_key)]


@routes.post(
    "/v1/models",
    operation_id="upload_model",
    summary="Adds a model version to the registry",
    status_code=201,
    response_model=Model,
    responses=refusals(409, 413, 415, 422, *KEYED, *FLEET),
    dependencies=_REPEATED,
    openapi_extra=_FILE,
)
async def upload_model(name: NewName, request: Request, fleet: Fleet) -> Response:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != OCTETS:
        raise HTTPException(415, f"Expected {OCTETS}, was {media_type[:64]}.")
    strict = cast("StrictRequest", request)  # GuardedRoute makes every request one
    return encoded(model_view(await fleet.transfers.upload(name, strict.pieces())), 201)


@routes.delete(
    "/v1/models/{name}",
    operation_id="delete_model",
    summary="Unloads a model, or one version that is not in use, and removes it from the registry",
    status_code=204,
    responses=refusals(404, 409, 422, *KEYED, *FLEET),
)
async def delete_model(
    name: ModelName,
    fleet: Fleet,
    version: Annotated[VersionText | None, Query(description="Version; all of them when it is left out.")] = None,
) -> None:
    await fleet.registry.DeleteModel(rpc.DeleteModelRequest(name=name, version=version or ""))


@routes.get(
    "/v1/models/{name}/versions",
    operation_id="list_model_versions",
    summary="Versions of a model, newest first",
    responses=refusals(404, 422, *KEYED, *FLEET),
)
async def list_model_versions(name: ModelName, fleet: Fleet) -> ModelList:
    answer = await fleet.registry.ListVersions(rpc.ListVersionsRequest(name=name))
    return {"models": [model_view(model) for model in answer.versions]}


@routes.post(
    "/v1/models/{name}/promote",
    operation_id="promote_model",
    summary="Serves another version from now on",
    responses=refusals(404, 409, *BODY, *KEYED, *FLEET),
    dependencies=_REPEATED,
)
async def promote_model(name: ModelName, body: PromoteRequest, fleet: Fleet) -> Model:
    answer = await fleet.registry.PromoteModel(rpc.PromoteModelRequest(name=name, version=body.version))
    return model_view(answer.model)


@routes.post(
    "/v1/models/{name}/rollback",
    operation_id="rollback_model",
    summary="Serves the version that was served before",
    responses=refusals(404, 409, 422, *KEYED, *FLEET),
    dependencies=_REPEATED,
)
async def rollback_model(name: ModelName, fleet: Fleet) -> Model:
    answer = await fleet.registry.RollbackModel(rpc.RollbackModelRequest(name=name))
    return model_view(answer.model)


@routes.post(
    "/v1/models/{name}/load",
    operation_id="load_model",
    summary="Brings a version into memory",
    responses=refusals(404, 409, *BODY, *KEYED, *FLEET),
    dependencies=_REPEATED,
)
async def load_model(name: ModelName, body: LoadRequest, fleet: Fleet) -> Model:
    return model_view((await fleet.registry.LoadModel(body.message(name))).model)


@routes.post(
    "/v1/models/{name}/unload",
    operation_id="unload_model",
    summary="Takes a model out of memory; the next request brings it back",
    responses=refusals(404, 409, 422, *KEYED, *FLEET),
    dependencies=_REPEATED,
)
async def unload_model(name: ModelName, fleet: Fleet) -> Model:
    return model_view((await fleet.registry.UnloadModel(rpc.UnloadModelRequest(name=name))).model)


@routes.put(
    "/v1/models/{name}/canary",
    operation_id="set_canary",
    summary="Gives another version a share of the predictions, or ends that",
    responses=refusals(404, 409, *BODY, *KEYED, *FLEET),
)
async def set_canary(name: ModelName, body: CanaryRequest, fleet: Fleet) -> Model:
    request = rpc.SetCanaryRequest(name=name, version=body.version or "", weight=body.weight)
    return model_view((await fleet.registry.SetCanary(request)).model)


@routes.put(
    "/v1/models/{name}/shadow",
    operation_id="set_shadow",
    summary="Lets another version predict beside the one in use, compared and not published, or ends that",
    responses=refusals(404, 409, *BODY, *KEYED, *FLEET),
)
async def set_shadow(name: ModelName, body: ShadowRequest, fleet: Fleet) -> Model:
    request = rpc.SetShadowRequest(name=name, version=body.version or "")
    return model_view((await fleet.registry.SetShadow(request)).model)


@routes.get(
    "/v1/models/{name}/export",
    operation_id="export_model",
    summary="A version in the layout of a Triton model repository, as a tar file",
    response_class=Response,
    responses={
        200: {"content": {TAR: {"schema": {"type": "string", "contentMediaType": TAR}}}},
        **refusals(404, 409, 422, *KEYED, *FLEET),
    },
)
async def export_model(name: ModelName, fleet: Fleet, version: Version = None) -> Response:
    return StreamingResponse(await fleet.transfers.export(name, version or ""), media_type=TAR)
