"""The ONNX graph of a network: clip, three matrix products, two ReLUs; the scaler is folded into the first product."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from services.inference.domain.mlp import Network

OPSET, IR_VERSION = 17, 8
"""Old enough for every runtime of the last years."""


def onnx_bytes(network: Network, name: str) -> bytes:
    """The model file: `features` (n, F) float32 in, `logit` (n, 1) float32 out."""
    low, high = network.scaler.bounds
    tensors = {"low": low, "high": high}
    nodes = [
        helper.make_node("Max", ["features", "low"], ["raised"]),
        helper.make_node("Min", ["raised", "high"], ["layer_0"]),
    ]
    last = len(network.weights) - 1
    for layer, (weight, bias) in enumerate(zip(*_folded(network), strict=True)):
        tensors |= {f"weight_{layer}": weight, f"bias_{layer}": bias}
        linear = "logit" if layer == last else f"linear_{layer}"
        nodes.append(helper.make_node("Gemm", [f"layer_{layer}", f"weight_{layer}", f"bias_{layer}"], [linear]))
        if layer != last:
            nodes.append(helper.make_node("Relu", [linear], [f"layer_{layer + 1}"]))
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", len(low)])],
        [helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["n", 1])],
        [numpy_helper.from_array(np.ascontiguousarray(value), key) for key, value in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _folded(network: Network) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Weights and biases that take clipped raw features: (x − mean) / deviation moves into the first layer."""
    mean, deviation = network.scaler.mean.astype(np.float64), network.scaler.deviation.astype(np.float64)
    first = network.weights[0].astype(np.float64) / deviation[:, None]
    bias = network.biases[0].astype(np.float64) - mean @ first
    weights = [first.astype(np.float32), *network.weights[1:]]
    return weights, [bias.astype(np.float32), *network.biases[1:]]
