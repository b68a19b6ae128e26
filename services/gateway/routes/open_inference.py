"""The Open Inference Protocol over REST: the fleet's gRPC form of it, in JSON and binary tensors."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import Path, Request, Response
from starlette.exceptions import HTTPException

from inference import grpc_service_pb2 as pb
from services.gateway import tensor_body
from services.gateway.problems import open_inference_error
from services.gateway.routes.route import FLEET, JSON, KEYED, Fleet, Responses, StrictRequest, encoded, router
from services.gateway.schemas import open_inference as shapes
from services.gateway.tensor_body import Malformed
from trading.errors import InvalidArgument

routes = router("open-inference")
OCTETS = "application/octet-stream"
BodyT = TypeVar("BodyT")
ResultT = TypeVar("ResultT")
ModelName = Annotated[str, Path(min_length=1, max_length=64, description="Name in the registry.")]
ModelVersion = Annotated[str, Path(min_length=1, max_length=64, description="Version.")]
_OCTETS: dict[str, Any] = {OCTETS: {"schema": {"type": "string", "contentMediaType": OCTETS}}}
_TENSORS: Responses = {200: {"description": "Tensors.", "content": _OCTETS}}
_ENCODED_FROM_BYTES = 1024
_THREAD_FROM_BYTES = 64 * 1024
"""JSON and compression below this size are quicker than a hand-over to a thread."""
_TEXTS = {
    400: "The body cannot be parsed.",
    401: "No key, or a wrong one.",
    403: "The key may not do this.",
    404: "No such model or version.",
    409: "Right in itself and at the wrong moment.",
    413: "The body exceeds the limit.",
    422: "A tensor or a parameter does not fit.",
    429: "Too many requests.",
    500: "A fault of the server.",
    503: "Not ready, or it cannot answer now.",
    504: "There was no answer in time.",
}


def errors(*statuses: int) -> Responses:
    """Errors in the protocol's own form, for a route's documentation."""
    schema = {"$ref": "#/components/schemas/OipError"}
    return {
        status: {"description": _TEXTS[status], "content": {JSON: {"schema": schema}}}
        for status in sorted({*statuses, *KEYED, *FLEET})
    }


def _body(schema: str, *, required: bool = False, octets: bool = False) -> dict[str, Any]:
    """The documentation of a body that FastAPI does not read."""
    content: dict[str, Any] = {JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    if octets:
        content |= _OCTETS
    return {"requestBody": {"required": required, "content": content}}


@routes.get("/v2", operation_id="oip_server_metadata", summary="Who serves", responses=errors())
async def server_metadata(fleet: Fleet) -> shapes.OipServer:
    return shapes.server_view(await fleet.open_inference.ServerMetadata(pb.ServerMetadataRequest()))


@routes.get("/v2/health/live", operation_id="oip_live", summary="Is inference alive", responses=errors())
async def live(fleet: Fleet) -> shapes.OipLive:
    return {"live": (await fleet.open_inference.ServerLive(pb.ServerLiveRequest())).live}


@routes.get(
    "/v2/health/ready",
    operation_id="oip_ready",
    summary="Can inference begin",
    response_model=shapes.OipReady,
    responses=errors(),
)
async def ready(fleet: Fleet) -> Response:
    answer = await fleet.open_inference.ServerReady(pb.ServerReadyRequest())
    return encoded({"ready": True}) if answer.ready else open_inference_error(503, "Inference is not ready.")


@routes.get(
    "/v2/models/stats",
    operation_id="oip_statistics",
    summary="Counters of every model that was asked",
    responses=errors(),
)
async def statistics(fleet: Fleet) -> dict[str, Any]:
    return shapes.plain(await fleet.open_inference.ModelStatistics(pb.ModelStatisticsRequest()))


@routes.get(
    "/v2/models/{name}",
    operation_id="oip_model_metadata",
    summary="What a model takes and gives",
    responses=errors(404, 422),
)
async def model_metadata(name: ModelName, fleet: Fleet) -> shapes.OipModel:
    return await _metadata(fleet, name, "")


@routes.get(
    "/v2/models/{name}/versions/{version}",
    operation_id="oip_version_metadata",
    summary="What a version takes and gives",
    responses=errors(404, 422),
)
async def version_metadata(name: ModelName, version: ModelVersion, fleet: Fleet) -> shapes.OipModel:
    return await _metadata(fleet, name, version)


@routes.get(
    "/v2/models/{name}/ready",
    operation_id="oip_model_ready",
    summary="Can a model be asked at once",
    response_model=shapes.OipModelReady,
    responses=errors(404, 422),
)
async def model_ready(name: ModelName, fleet: Fleet) -> Response:
    return await _ready(fleet, name, "")


@routes.get(
    "/v2/models/{name}/versions/{version}/ready",
    operation_id="oip_version_ready",
    summary="Can a version be asked at once",
    response_model=shapes.OipModelReady,
    responses=errors(404, 422),
)
async def version_ready(name: ModelName, version: ModelVersion, fleet: Fleet) -> Response:
    return await _ready(fleet, name, version)


@routes.get(
    "/v2/models/{name}/config",
    operation_id="oip_model_config",
    summary="The configuration that Triton would have of a model",
    responses=errors(404, 422),
)
async def model_config(name: ModelName, fleet: Fleet) -> dict[str, Any]:
    return await _config(fleet, name, "")


@routes.get(
    "/v2/models/{name}/versions/{version}/config",
    operation_id="oip_version_config",
    summary="The same of a version",
    responses=errors(404, 422),
)
async def version_config(name: ModelName, version: ModelVersion, fleet: Fleet) -> dict[str, Any]:
    return await _config(fleet, name, version)


@routes.get(
    "/v2/models/{name}/stats",
    operation_id="oip_model_statistics",
    summary="Counters of a model",
    responses=errors(404, 422),
)
async def model_statistics(name: ModelName, fleet: Fleet) -> dict[str, Any]:
    return shapes.plain(await fleet.open_inference.ModelStatistics(pb.ModelStatisticsRequest(name=name)))


@routes.get(
    "/v2/models/{name}/versions/{version}/stats",
    operation_id="oip_version_statistics",
    summary="Counters of a version",
    responses=errors(404, 422),
)
async def version_statistics(name: ModelName, version: ModelVersion, fleet: Fleet) -> dict[str, Any]:
    request = pb.ModelStatisticsRequest(name=name, version=version)
    return shapes.plain(await fleet.open_inference.ModelStatistics(request))


@routes.post(
    "/v2/models/{name}/infer",
    operation_id="oip_infer",
    summary="Tensors in, tensors out",
    response_model=shapes.OipResponse,
    responses=_TENSORS | errors(400, 404, 409, 413, 422),
    openapi_extra=_body("OipRequest", required=True, octets=True),
)
async def infer(name: ModelName, request: Request, fleet: Fleet) -> Response:
    return await _infer(fleet, name, "", request)


@routes.post(
    "/v2/models/{name}/versions/{version}/infer",
    operation_id="oip_version_infer",
    summary="The same by a version",
    response_model=shapes.OipResponse,
    responses=_TENSORS | errors(400, 404, 409, 413, 422),
    openapi_extra=_body("OipRequest", required=True, octets=True),
)
async def version_infer(name: ModelName, version: ModelVersion, request: Request, fleet: Fleet) -> Response:
    return await _infer(fleet, name, version, request)


@routes.post(
    "/v2/repository/index",
    operation_id="oip_repository_index",
    summary="Every version of every model, and whether it is in memory",
    responses=errors(400, 409, 413, 422),
    openapi_extra=_body("OipIndexRequest"),
)
async def repository_index(request: Request, fleet: Fleet) -> list[shapes.OipIndexEntry]:
    asked = await _small_body(request, _IndexBody)
    return shapes.index_view(await fleet.open_inference.RepositoryIndex(pb.RepositoryIndexRequest(ready=asked.ready)))


@routes.post(
    "/v2/repository/models/{name}/load",
    operation_id="oip_repository_load",
    summary="Brings a model into memory",
    responses=errors(400, 404, 409, 413, 422),
    openapi_extra=_body("OipRepositoryRequest"),
)
async def repository_load(name: ModelName, request: Request, fleet: Fleet) -> dict[str, Any]:
    asked = await _small_body(request, _RepositoryBody)
    if asked.parameters:
        raise InvalidArgument(
            f"Models and their configurations come by /v1/models; parameters {sorted(asked.parameters)} are not taken.",
            field="parameters",
        )
    await fleet.open_inference.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name=name))
    return {}


@routes.post(
    "/v2/repository/models/{name}/unload",
    operation_id="oip_repository_unload",
    summary="Takes a model out of memory",
    responses=errors(400, 404, 409, 413, 422),
    openapi_extra=_body("OipRepositoryRequest"),
)
async def repository_unload(name: ModelName, request: Request, fleet: Fleet) -> dict[str, Any]:
    await _small_body(request, _RepositoryBody)
    await fleet.open_inference.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name=name))
    return {}


class _IndexBody(msgspec.Struct):
    ready: bool = False


class _RepositoryBody(msgspec.Struct):
    parameters: dict[str, Any] = {}


async def _small_body(request: Request, kind: type[BodyT]) -> BodyT:
    """The body, which may be missing."""
    body = await request.body()
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise InvalidArgument(str(error), field="") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPException(400, f"The body is no JSON: {error}") from error


async def _metadata(fleet: Fleet, name: str, version: str) -> shapes.OipModel:
    request = pb.ModelMetadataRequest(name=name, version=version)
    return shapes.model_view(await fleet.open_inference.ModelMetadata(request))


async def _ready(fleet: Fleet, name: str, version: str) -> Response:
    answer = await fleet.open_inference.ModelReady(pb.ModelReadyRequest(name=name, version=version))
    if answer.ready:
        return encoded({"name": name, "ready": True})
    return open_inference_error(503, f"Model {name!r} is not in memory.")


async def _config(fleet: Fleet, name: str, version: str) -> dict[str, Any]:
    answer = await fleet.open_inference.ModelConfig(pb.ModelConfigRequest(name=name, version=version))
    return shapes.plain(answer.config)


async def _infer(fleet: Fleet, name: str, version: str, request: Request) -> Response:
    try:
        whole, told = await _whole(request), request.headers.get(tensor_body.HEADER)
        is_long = told is None and len(whole) >= _THREAD_FROM_BYTES
        body, question = await _done(is_long, tensor_body.question_in, whole, told, name, version)
    except Malformed as error:
        raise HTTPException(400, str(error)) from error
    answer = await fleet.open_inference.ModelInfer(question)
    content, json_length = await _done(is_long, tensor_body.infer_reply, body, answer)
    return await _compressed(request, content, json_length)


async def _whole(request: Request) -> bytes:
    """The body as it was before its client compressed it."""
    body = await request.body()
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() in ("", "identity"):
        return body
    bytes_max = request.body_bytes_max if isinstance(request, StrictRequest) else 0
    try:
        is_long = len(body) >= _THREAD_FROM_BYTES
        return await _done(is_long, tensor_body.inflated, body, encoding, bytes_max)
    except OverflowError as error:
        raise HTTPException(413, f"Expected a body of at most {bytes_max} bytes, decompressed.") from error


async def _compressed(request: Request, content: bytes, json_length: int | None) -> Response:
    headers = {} if json_length is None else {tensor_body.HEADER: str(json_length)}
    accepted = {part.partition(";")[0].strip() for part in request.headers.get("accept-encoding", "").split(",")}
    encoding = next((name for name in ("gzip", "deflate") if name in accepted), None)
    if encoding is not None and len(content) >= _ENCODED_FROM_BYTES:
        content = await _done(len(content) >= _THREAD_FROM_BYTES, tensor_body.deflated, content, encoding)
        headers["content-encoding"] = encoding
    return Response(content, 200, headers, JSON if json_length is None else OCTETS)


async def _done(is_long: bool, work: Callable[..., ResultT], *arguments: Any) -> ResultT:
    """Work that may take long, in a thread if it does."""
    return await asyncio.to_thread(work, *arguments) if is_long else work(*arguments)
