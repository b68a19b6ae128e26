"""A server of the Open Inference Protocol over real models in ONNX Runtime, and requests to it."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from builders.inference import a_model_directory
from builders.model_files import a_model_file
from onnx import TensorProto, helper
from servers import free_port

from fleet.metrics import Metrics
from fleet.rpc import Boundary, GrpcServer
from inference import grpc_service_pb2 as pb
from inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from services.inference.adapters.onnx_session import SessionRules
from services.inference.adapters.probe import TrialRules
from services.inference.adapters.registry_files import RegistryFiles
from services.inference.adapters.registry_loader import RegistryLoader
from services.inference.adapters.safetensors_file import FileLimits
from services.inference.domain.features import FEATURES
from services.inference.domain.infer_counts import InferCounts
from services.inference.rpc.open_inference import SERVICE_NAME, OpenInferenceRpc
from services.inference.usecases.infer import Infer
from services.inference.usecases.repository import Repository
from services.inference.usecases.serve_models import ServeModels
from trading.clock import SystemClock

TOKEN = "a-token-of-the-tests"
WIDTH = len(FEATURES)
ROWS_MAX = 500
Stub = GRPCInferenceServiceStub
Served = tuple[str, ServeModels, RegistryFiles]


@asynccontextmanager
async def a_server(root: Path) -> AsyncIterator[Served]:
    """A server and its registry: two versions of a model that follows the market, a sequence model, one of tensors."""
    for version in ("1", "2"):
        a_model_directory(root / "shipped", "test-model", version)
    (root / "own" / "sequence" / "1").mkdir(parents=True)
    a_model_file(root / "own" / "sequence" / "1" / "model.safetensors", "gru")
    a_model_directory(
        root / "own", "tensors", features=(), horizon_ns=0, calibration=None, payload=two_in_two_out(), metrics={}
    )
    files = RegistryFiles(root / "shipped", root / "own")
    loader = RegistryLoader(files, SessionRules(), FileLimits(), TrialRules(), structlog.get_logger())
    models = ServeModels(files, loader, "test-model", most_loaded=4, log=structlog.get_logger())
    await models.start()
    counts = InferCounts()
    rpc = OpenInferenceRpc(Infer(models, counts, SystemClock(), ROWS_MAX), Repository(models, counts), "9.9", ROWS_MAX)
    at = f"127.0.0.1:{free_port()}"
    server = GrpcServer(at, [rpc.register], [SERVICE_NAME], Boundary([TOKEN], Metrics()))
    await server.start()
    yield at, models, files
    await server.stop(0)
    models.close()
    loader.close()


def two_in_two_out() -> bytes:
    """A graph whose tensors are no features: a sum of float32 and a half of float16."""
    nodes = [
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Mul", ["h", "h"], ["square"]),
    ]
    kinds = {"a": TensorProto.FLOAT, "b": TensorProto.FLOAT, "h": TensorProto.FLOAT16}
    inputs = [helper.make_tensor_value_info(name, kind, ["n", 2]) for name, kind in kinds.items()]
    outputs = [
        helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["n", 2]),
        helper.make_tensor_value_info("square", TensorProto.FLOAT16, ["n", 2]),
    ]
    graph = helper.make_graph(nodes, "two", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def some_features(rows: int, seed: int = 1) -> Any:
    """Rows of features, float32 (rows, WIDTH)."""
    return np.random.default_rng(seed).standard_normal((rows, WIDTH)).astype(np.float32)


def an_input(
    shape: Iterable[int], datatype: str = "FP32", name: str = "features", **fields: Any
) -> pb.ModelInferRequest.InferInputTensor:
    """An input of a request."""
    return pb.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape, **fields)


def a_raw_request(array: Any, datatype: str = "FP32", **fields: Any) -> pb.ModelInferRequest:
    """A request whose tensor is raw."""
    given = {"model_name": "test-model", "inputs": [an_input(array.shape, datatype)]}
    return pb.ModelInferRequest(**given | fields, raw_input_contents=[array.tobytes()])


def a_typed_request(array: Any, datatype: str, field: str, **fields: Any) -> pb.ModelInferRequest:
    """A request whose tensor is typed."""
    contents = pb.InferTensorContents(**{field: array.ravel().tolist()})
    return pb.ModelInferRequest(
        model_name="test-model", inputs=[an_input(array.shape, datatype, contents=contents)], **fields
    )


def outputs(answer: pb.ModelInferResponse) -> dict[str, Any]:
    """The raw tensors of an answer by name."""
    kinds = {"FP32": np.float32, "FP64": np.float64}
    return {
        out.name: np.frombuffer(raw, kinds[out.datatype]).reshape(out.shape)
        for out, raw in zip(answer.outputs, answer.raw_output_contents, strict=True)
    }
