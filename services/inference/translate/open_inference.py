"""Tensors, metadata, configuration and counters in the Open Inference Protocol's wire form."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from inference import grpc_service_pb2 as pb
from services.inference.domain.infer_counts import InferCount
from services.inference.domain.model import TensorSpec
from services.inference.domain.model_tensors import outputs_of
from services.inference.domain.questions import Answer, IndexEntry, Question
from services.inference.domain.tensors import Tensor, TensorFault, TensorRefused, datatype_of, from_bytes, from_values
from services.inference.ports import Model
from trading.errors import InvalidArgument

BACKEND, PLATFORM = "onnxruntime", "onnxruntime_onnx"
FINAL = "triton_final_response"
"""Set on each answer of a stream, as Triton does: none of our models answers a request more than once."""
_CONTENTS: Mapping[str, str] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}
_NOT_SERVED = ("shared_memory_region", "classification")
"""Parameters of a tensor that change what its bytes mean; leaving them unheeded would give wrong answers."""


def question_of(request: pb.ModelInferRequest) -> Question:
    """Read a request; raises TensorRefused for what is no tensor of numbers."""
    for asked in (*request.inputs, *request.outputs):
        _refuse_parameters(asked)
    return Question(
        request.model_name,
        request.model_version,
        _raw_tensors(request) if request.raw_input_contents else [_typed_tensor(tensor) for tensor in request.inputs],
        [asked.name for asked in request.outputs],
    )


def _refuse_parameters(asked: Any) -> None:
    for name in _NOT_SERVED:
        if name in asked.parameters:
            raise TensorRefused(
                TensorFault.PARAMETER,
                f"The parameter {name!r} of {asked.name!r} is not served here.",
                tensor=asked.name,
            )


def _raw_tensors(request: pb.ModelInferRequest) -> list[Tensor]:
    raw = request.raw_input_contents
    with_contents = [tensor.name for tensor in request.inputs if tensor.HasField("contents")]
    if len(raw) != len(request.inputs) or with_contents:
        raise TensorRefused(
            TensorFault.SIZE,
            f"Expected raw contents for each of {len(request.inputs)} inputs and no others, "
            f"was {len(raw)} raw and {len(with_contents)} typed.",
            tensor=with_contents[0] if with_contents else "",
        )
    return [
        from_bytes(tensor.name, tensor.datatype, tensor.shape, piece)
        for tensor, piece in zip(request.inputs, raw, strict=True)
    ]


def _typed_tensor(tensor: pb.ModelInferRequest.InferInputTensor) -> Tensor:
    field = _CONTENTS.get(tensor.datatype)
    if field is None:  # FP16 has no typed form, and what is no number has none here
        known = ", ".join(_CONTENTS)
        raise TensorRefused(
            TensorFault.DATATYPE,
            f"Expected raw contents, or one of {known}, for {tensor.name!r}; was {tensor.datatype!r}.",
            tensor=tensor.name,
        )
    return from_values(tensor.name, tensor.datatype, tensor.shape, getattr(tensor.contents, field))


def infer_message(request: pb.ModelInferRequest, answer: Answer) -> pb.ModelInferResponse:
    """An answer in the form of its request: raw to raw, typed to typed where every output has a typed form."""
    raw = bool(request.raw_input_contents) or any(tensor.datatype not in _CONTENTS for tensor in answer.tensors)
    message = pb.ModelInferResponse(model_name=answer.card.name, model_version=answer.card.version, id=request.id)
    for tensor in answer.tensors:
        out = message.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.array.shape)
        if raw:
            message.raw_output_contents.append(tensor.array.tobytes())
        else:
            getattr(out.contents, _CONTENTS[tensor.datatype]).extend(np.ravel(tensor.array).tolist())
    return message


def stream_message(request: pb.ModelInferRequest, answer: Answer) -> pb.ModelStreamInferResponse:
    """An answer in a stream, marked as the last one to its request."""
    message = infer_message(request, answer)
    message.parameters[FINAL].bool_param = True
    return pb.ModelStreamInferResponse(infer_response=message)


def stream_refusal(request: pb.ModelInferRequest, why: str) -> pb.ModelStreamInferResponse:
    """Why one request of a stream failed."""
    said = pb.ModelInferResponse(id=request.id, model_name=request.model_name, model_version=request.model_version)
    return pb.ModelStreamInferResponse(error_message=why, infer_response=said)


def metadata_message(model: Model, versions: Sequence[str]) -> pb.ModelMetadataResponse:
    """What a model takes and gives."""
    return pb.ModelMetadataResponse(
        name=model.card.name,
        versions=versions,
        platform=PLATFORM,
        inputs=[_spec_message(spec) for spec in model.inputs],
        outputs=[_spec_message(spec) for spec in outputs_of(model.card, model.outputs)],
    )


def _spec_message(spec: TensorSpec) -> pb.ModelMetadataResponse.TensorMetadata:
    return pb.ModelMetadataResponse.TensorMetadata(name=spec.name, datatype=datatype_of(spec.dtype), shape=spec.shape)


def config_message(model: Model, rows_max: int) -> pb.ModelConfigResponse:
    """The configuration that Triton would have of a model."""
    card, running = model.card, model.running
    batch = 1 if card.features else 0
    kinds = pb.ModelInstanceGroup
    facts = {
        "version": card.version,
        "features": ",".join(card.features),
        "horizon_ns": str(card.horizon_ns),
        "calibrated": str(card.calibration is not None).lower(),
    }
    config = pb.ModelConfig(
        name=card.name,
        platform=PLATFORM,
        backend=BACKEND,
        max_batch_size=rows_max * batch,
        input=[
            pb.ModelInput(name=spec.name, data_type=_data_type(spec), dims=spec.shape[batch:]) for spec in model.inputs
        ],
        output=[
            pb.ModelOutput(name=spec.name, data_type=_data_type(spec), dims=spec.shape[batch:])
            for spec in outputs_of(card, model.outputs)
        ],
        instance_group=[kinds(count=1, kind=kinds.KIND_GPU if running.device == "cuda" else kinds.KIND_CPU)],
        parameters={name: pb.ModelParameter(string_value=value) for name, value in facts.items()},
    )
    return pb.ModelConfigResponse(config=config)


def _data_type(spec: TensorSpec) -> pb.DataType.ValueType:
    return pb.DataType.Value(f"TYPE_{datatype_of(spec.dtype)}")


def statistics_message(counts: Sequence[InferCount]) -> pb.ModelStatisticsResponse:
    """Counters of versions."""
    return pb.ModelStatisticsResponse(model_stats=[_count_message(count) for count in counts])


def _count_message(count: InferCount) -> pb.ModelStatistics:
    return pb.ModelStatistics(
        name=count.name,
        version=count.version,
        last_inference=count.last_ms,
        inference_count=count.rows,
        execution_count=count.answered,
        inference_stats=pb.InferStatistics(
            success=pb.StatisticDuration(count=count.answered, ns=count.answered_ns),
            fail=pb.StatisticDuration(count=count.failed, ns=count.failed_ns),
            compute_infer=pb.StatisticDuration(count=count.answered, ns=count.model_ns),
        ),
    )


def index_message(entries: Sequence[IndexEntry]) -> pb.RepositoryIndexResponse:
    """What is in the repository."""
    kind = pb.RepositoryIndexResponse.ModelIndex
    return pb.RepositoryIndexResponse(
        models=[
            kind(
                name=entry.name,
                version=entry.version,
                state="READY" if entry.loaded else "UNAVAILABLE",
                reason=entry.reason,
            )
            for entry in entries
        ]
    )


def refuse_files(request: pb.RepositoryModelLoadRequest) -> None:
    """Raise InvalidArgument when a load brings a configuration or files of its own."""
    if request.parameters:
        raise InvalidArgument(
            f"Models come by the registry's own calls; parameters {sorted(request.parameters)} are not taken.",
            field="parameters",
        )
