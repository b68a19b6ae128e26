"""Bodies of the Open Inference Protocol: JSON, and binary tensors behind it, to and from the fleet's messages.

A binary tensor is handed on as it came; a JSON tensor is parsed once, into the bytes that the fleet carries.
"""

import zlib
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt

from inference import grpc_service_pb2 as pb
from trading.errors import InvalidArgument

HEADER = "inference-header-content-length"
BINARY, BINARY_SIZE, BINARY_OUTPUT = "binary_data", "binary_data_size", "binary_data_output"
_DATATYPES: dict[str, tuple[type, str]] = {
    "BOOL": (bool, "?"),
    **{f"UINT{bits}": (int, f"<u{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": (int, f"<i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": (float, f"<f{bits // 8}") for bits in (16, 32, 64)},
}
"""What JSON may hold of each datatype, and its little-endian form."""
_MOST_DIMENSIONS = 8
_PIECE_BYTES = 256 * 1024
_WBITS = {"gzip": 31, "deflate": 15}
_SPACE = b" \t\r\n"

Size = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Parameter = bool | Whole | float | str
Parameters = dict[str, Parameter]


class Malformed(Exception):
    """A body that cannot be taken apart; the message says where."""


class InputTensor(msgspec.Struct):
    """A tensor that goes in; its numbers are in `data`, flat or nested, or behind the JSON."""

    name: str
    shape: list[Size]
    datatype: str
    parameters: Parameters = {}
    data: msgspec.Raw = msgspec.Raw()

    @property
    def has_data(self) -> bool:
        """Whether its numbers are in the JSON."""
        return memoryview(self.data).nbytes > 0


class OutputTensor(msgspec.Struct):
    """A tensor that shall come out."""

    name: str
    parameters: Parameters = {}


class InferBody(msgspec.Struct):
    """The JSON of a request."""

    inputs: list[InputTensor]
    outputs: list[OutputTensor] = []
    id: str = ""
    parameters: Parameters = {}

    def is_binary(self, name: str) -> bool:
        """Whether an output goes back as bytes behind the JSON."""
        everywhere = self.parameters.get(BINARY_OUTPUT) is True
        asked = next((output.parameters for output in self.outputs if output.name == name), {})
        return asked.get(BINARY, everywhere) is True


def inflated(body: bytes, encoding: str, bytes_max: int) -> bytes:
    """A compressed body as it was; raises Malformed, and OverflowError when it is larger than allowed."""
    wbits = _WBITS.get(encoding.strip().lower())
    if wbits is None:
        raise Malformed(f"Expected the Content-Encoding gzip or deflate, was {encoding[:64]!r}.")
    inflater = zlib.decompressobj(wbits)
    try:
        found = inflater.decompress(body, bytes_max + 1)
    except zlib.error as error:
        raise Malformed(f"The body is not what its Content-Encoding says: {error}") from error
    if len(found) > bytes_max:
        raise OverflowError
    if not inflater.eof or inflater.unused_data:
        raise Malformed("The compressed body is cut off, or something follows it.")
    return found


def deflated(body: bytes, encoding: str) -> bytes:
    """A body compressed as gzip or deflate, quickly rather than tightly: floats gain little."""
    deflater = zlib.compressobj(1, wbits=_WBITS[encoding])
    return deflater.compress(body) + deflater.flush()


def parsed(body: bytes, json_length: str | None) -> tuple[InferBody, memoryview]:
    """The JSON of a body, and the bytes behind it; raises Malformed or InvalidArgument."""
    view = memoryview(body)
    length = len(body) if json_length is None else _length(json_length, len(body))
    try:
        return msgspec.json.decode(view[:length], type=InferBody), view[length:]
    except msgspec.ValidationError as error:
        raise InvalidArgument(str(error), field="") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"The body is no JSON: {error}") from error


def _length(text: str, most: int) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 12 or not 0 < int(text) <= most:
        raise Malformed(f"Expected Inference-Header-Content-Length of 1 to {most}, was {text[:32]!r}.")
    return int(text)


def question_in(
    whole: bytes, json_length: str | None, name: str, version: str
) -> tuple[InferBody, pb.ModelInferRequest]:
    """The JSON of a body, and the fleet's form of it; raises Malformed or InvalidArgument."""
    body, behind = parsed(whole, json_length)
    return body, infer_request(name, version, body, behind)


def infer_request(name: str, version: str, body: InferBody, behind: memoryview) -> pb.ModelInferRequest:
    """The fleet's form of a request; raises InvalidArgument for a tensor whose bytes are not there."""
    return pb.ModelInferRequest(
        model_name=name,
        model_version=version,
        id=body.id,
        parameters=_parameters(body.parameters),
        inputs=[
            pb.ModelInferRequest.InferInputTensor(
                name=tensor.name,
                datatype=tensor.datatype,
                shape=tensor.shape,
                parameters=_parameters(tensor.parameters),
            )
            for tensor in body.inputs
        ],
        outputs=[
            pb.ModelInferRequest.InferRequestedOutputTensor(name=output.name, parameters=_parameters(output.parameters))
            for output in body.outputs
        ],
        raw_input_contents=_contents(body.inputs, behind),
    )


def _parameters(given: Parameters) -> dict[str, pb.InferParameter]:
    """Parameters as messages; those of the binary extension end here."""
    ours = (BINARY, BINARY_SIZE, BINARY_OUTPUT)
    return {name: _parameter(value) for name, value in given.items() if name not in ours}


def _parameter(value: Parameter) -> pb.InferParameter:
    match value:
        case bool():
            return pb.InferParameter(bool_param=value)
        case int():
            return pb.InferParameter(int64_param=value)
        case float():
            return pb.InferParameter(double_param=value)
    return pb.InferParameter(string_param=value)


def _contents(inputs: Sequence[InputTensor], behind: memoryview) -> Iterator[bytes]:
    """The bytes of each input in order; raises InvalidArgument when there are more or fewer than were announced."""
    start = 0
    for tensor in inputs:
        size = tensor.parameters.get(BINARY_SIZE)
        if size is None:
            yield _encoded(tensor)
            continue
        if type(size) is not int or size < 0 or tensor.has_data or start + size > len(behind):
            raise InvalidArgument(
                f"Expected {BINARY_SIZE} bytes of {tensor.name!r} behind the JSON and no data in it, "
                f"was {size!r} with {len(behind) - start} bytes left.",
                field=f"inputs.{tensor.name}",
            )
        yield bytes(behind[start : start + size])
        start += size
    if start != len(behind):
        raise InvalidArgument(f"Expected {start} bytes behind the JSON, was {len(behind)}.", field="inputs")


def _encoded(tensor: InputTensor) -> bytes:
    """JSON numbers, flat or nested as the shape says, as bytes."""
    field = f"inputs.{tensor.name}"
    if not tensor.has_data:
        raise InvalidArgument(f"Expected data or {BINARY_SIZE} of {tensor.name!r}, was neither.", field=field)
    if tensor.datatype not in _DATATYPES:
        known = ", ".join(_DATATYPES)
        raise InvalidArgument(
            f"Expected one of {known} for JSON data of {tensor.name!r}, was {tensor.datatype[:32]!r}.",
            reason="TENSOR_DATATYPE",
            field=field,
        )
    try:
        array = _array(tensor.data, *_DATATYPES[tensor.datatype])
    except (msgspec.DecodeError, ValueError, OverflowError) as error:
        raise InvalidArgument(
            f"The data of {tensor.name!r} is no {tensor.datatype}: {error}", reason="TENSOR_VALUE", field=field
        ) from error
    if array.ndim > 1 and list(array.shape) != tensor.shape:
        raise InvalidArgument(
            f"Expected data of {tensor.shape} in {tensor.name!r}, was {list(array.shape)}.",
            reason="TENSOR_SHAPE",
            field=field,
        )
    return array.tobytes()


def _array(data: msgspec.Raw, element: type, dtype: str) -> npt.NDArray[Any]:
    depth = _depth(bytes(memoryview(data)[: 8 * _MOST_DIMENSIONS]))
    kind: Any = element
    for _ in range(depth):
        kind = list[kind]
    pieces = _pieces(bytes(data)) if depth == 1 else [data]
    with np.errstate(over="ignore"):  # a number beyond its datatype becomes infinite, and is refused where it matters
        return np.concatenate([np.array(msgspec.json.decode(piece, type=kind), dtype) for piece in pieces])


def _pieces(data: bytes) -> Iterator[bytes]:
    """A flat list of numbers as shorter ones: decoding a long one at once would hold up the whole process."""
    start, end = 0, data.find(b",", _PIECE_BYTES)
    while end >= 0:
        yield (b"[" if start else b"") + data[start:end] + b"]"
        start, end = end + 1, data.find(b",", end + _PIECE_BYTES)
    yield (b"[" if start else b"") + data[start:]


def _depth(start: bytes) -> int:
    """How deeply the first element is nested; at least one list, at most as many as there are dimensions."""
    start = start.translate(None, _SPACE)
    return min(max(len(start) - len(start.lstrip(b"[")), 1), _MOST_DIMENSIONS)


def infer_reply(body: InferBody, answer: pb.ModelInferResponse) -> tuple[bytes, int | None]:
    """The body of an answer, and the length of its JSON when bytes follow it."""
    outputs, pieces = [], []
    for out, raw in zip(answer.outputs, answer.raw_output_contents, strict=True):
        tensor: dict[str, Any] = {"name": out.name, "datatype": out.datatype, "shape": list(out.shape)}
        if body.is_binary(out.name):
            tensor["parameters"] = {BINARY_SIZE: len(raw)}
            pieces.append(raw)
        else:
            tensor["data"] = np.frombuffer(raw, _DATATYPES[out.datatype][1]).tolist() if raw else []
        outputs.append(tensor)
    document: dict[str, Any] = {"model_name": answer.model_name, "model_version": answer.model_version}
    if answer.id:
        document["id"] = answer.id
    encoded = msgspec.json.encode(document | {"outputs": outputs})
    return (b"".join([encoded, *pieces]), len(encoded)) if pieces else (encoded, None)
