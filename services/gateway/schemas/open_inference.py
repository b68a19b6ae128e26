"""Shapes of the Open Inference Protocol, and the fleet's messages as its JSON."""

from typing import Annotated, Any, NotRequired

from google.protobuf.json_format import MessageToDict
from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from inference import grpc_service_pb2 as pb

JsonObject = dict[str, Any]


class OipLive(TypedDict):
    """Inference answers."""

    live: bool


class OipReady(TypedDict):
    """Inference can begin."""

    ready: bool


class OipModelReady(TypedDict):
    """A model can be asked at once."""

    name: str
    ready: bool


class OipServer(TypedDict):
    """Who serves."""

    name: str
    version: str
    extensions: list[str]


class OipTensorSpec(TypedDict):
    """What a tensor looks like; −1 in its shape is any size."""

    name: str
    datatype: str
    shape: list[int]


class OipModel(TypedDict):
    """What a model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[OipTensorSpec]
    outputs: list[OipTensorSpec]


class OipTensor(TypedDict):
    """A tensor: its elements in `data`, or behind the JSON when its parameters name a binary_data_size."""

    name: str
    datatype: str
    shape: list[int]
    parameters: NotRequired[JsonObject]
    data: NotRequired[Annotated[list[Any], Field(description="Elements in row-major order, flat or nested.")]]


class OipOutput(TypedDict):
    """A tensor that shall come out."""

    name: str
    parameters: NotRequired[JsonObject]


class OipRequest(TypedDict):
    """Tensors for a model."""

    inputs: list[OipTensor]
    outputs: NotRequired[list[OipOutput]]
    id: NotRequired[str]
    parameters: NotRequired[JsonObject]


class OipResponse(TypedDict):
    """What a model says."""

    model_name: str
    model_version: str
    outputs: list[OipTensor]
    id: NotRequired[str]


class OipIndexEntry(TypedDict):
    """A version of a model; READY when it is in memory."""

    name: str
    version: str
    state: str
    reason: str


class OipIndexRequest(TypedDict):
    """Which versions to list."""

    ready: NotRequired[bool]


class OipRepositoryRequest(TypedDict):
    """Parameters of a load or unload."""

    parameters: NotRequired[JsonObject]


class OipError(TypedDict):
    """Why a request failed, in the protocol's own form."""

    error: str


def read_by_hand() -> JsonObject:
    """Schemas of the bodies and errors that FastAPI neither reads nor writes, for the documentation."""
    kinds = (OipRequest, OipIndexRequest, OipRepositoryRequest, OipError)
    found: JsonObject = {}
    for kind in kinds:
        schema = TypeAdapter(kind).json_schema(ref_template="#/components/schemas/{model}")
        found |= schema.pop("$defs", {}) | {kind.__name__: schema}
    return found


def server_view(message: pb.ServerMetadataResponse) -> OipServer:
    """Who serves, as JSON."""
    return {"name": message.name, "version": message.version, "extensions": list(message.extensions)}


def model_view(message: pb.ModelMetadataResponse) -> OipModel:
    """A model as JSON."""
    return {
        "name": message.name,
        "versions": list(message.versions),
        "platform": message.platform,
        "inputs": [_spec(spec) for spec in message.inputs],
        "outputs": [_spec(spec) for spec in message.outputs],
    }


def _spec(spec: pb.ModelMetadataResponse.TensorMetadata) -> OipTensorSpec:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}


def index_view(message: pb.RepositoryIndexResponse) -> list[OipIndexEntry]:
    """The repository as JSON."""
    return [
        {"name": entry.name, "version": entry.version, "state": entry.state, "reason": entry.reason}
        for entry in message.models
    ]


def plain(message: Any) -> JsonObject:
    """Configuration or counters as Triton's JSON: the messages' own names, int64 as numbers."""
    fields = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    found: JsonObject = _numbers(fields)
    return found


_COUNTERS = {"count", "ns", "last_inference", "inference_count", "execution_count"}


def _numbers(node: Any, name: str = "") -> Any:
    """Protobuf's JSON writes int64 as text; a counter or a dimension is a number to every client of this protocol."""
    match node:
        case dict():
            return {key: _numbers(value, key) for key, value in node.items()}
        case list():
            return [_numbers(value, name) for value in node]
        case str() if name in _COUNTERS or name == "dims":
            return int(node)
    return node
