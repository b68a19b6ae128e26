"""The Open Inference Protocol over real gRPC, on a real model in ONNX Runtime: tensors in, tensors out."""

import grpc
import numpy as np
import pytest
from builders.inference import a_network
from builders.open_inference import (
    ROWS_MAX,
    TOKEN,
    WIDTH,
    Stub,
    a_raw_request,
    a_typed_request,
    an_input,
    outputs,
    some_features,
)

from fleet import channels
from inference import grpc_service_pb2 as pb
from trading.errors import InvalidArgument, TradingError

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_raw_tensors_are_answered_raw_as_the_network_says(stub: Stub) -> None:
    rows = some_features(7)
    answer = await stub.ModelInfer(a_raw_request(rows, id="mine"))
    assert (answer.model_name, answer.model_version, answer.id) == ("test-model", "2", "mine")
    found = outputs(answer)
    assert list(found) == ["logit", "prediction", "confidence"]
    assert {name: array.shape for name, array in found.items()} == dict.fromkeys(found, (7, 1))
    expected = a_network().logits(rows)
    assert found["logit"].ravel() == pytest.approx(expected, abs=1e-5)
    up = 1 / (1 + np.exp(-found["logit"].astype(np.float64)))
    assert found["prediction"] == pytest.approx(2 * up - 1)
    assert found["confidence"] == pytest.approx(np.maximum(up, 1 - up))


async def test_typed_tensors_are_answered_typed_and_say_the_same(stub: Stub) -> None:
    rows = some_features(5)
    raw = outputs(await stub.ModelInfer(a_raw_request(rows)))
    typed = await stub.ModelInfer(a_typed_request(rows, "FP32", "fp32_contents"))
    assert not typed.raw_output_contents
    assert list(typed.outputs[0].contents.fp32_contents) == raw["logit"].ravel().tolist()
    assert list(typed.outputs[1].contents.fp64_contents) == raw["prediction"].ravel().tolist()


@pytest.mark.parametrize(
    ("datatype", "dtype", "field"),
    [
        ("FP64", "f8", "fp64_contents"),
        ("INT8", "i1", "int_contents"),
        ("INT16", "i2", "int_contents"),
        ("INT32", "i4", "int_contents"),
        ("INT64", "i8", "int64_contents"),
        ("UINT8", "u1", "uint_contents"),
        ("UINT64", "u8", "uint64_contents"),
        ("BOOL", "?", "bool_contents"),
    ],
)
async def test_every_datatype_of_numbers_goes_in_raw_and_typed(
    stub: Stub, datatype: str, dtype: str, field: str
) -> None:
    rows = np.random.default_rng(2).integers(0, 2, (3, WIDTH))
    expected = outputs(await stub.ModelInfer(a_raw_request(rows.astype(np.float32))))["logit"].ravel().tolist()
    raw = await stub.ModelInfer(a_raw_request(rows.astype(dtype), datatype))
    typed = await stub.ModelInfer(a_typed_request(rows.astype(dtype), datatype, field))
    assert outputs(raw)["logit"].ravel().tolist() == expected
    assert list(typed.outputs[0].contents.fp32_contents) == expected


async def test_half_precision_goes_in_raw_only(stub: Stub) -> None:
    rows = some_features(3).astype(np.float16)
    expected = outputs(await stub.ModelInfer(a_raw_request(rows.astype(np.float32))))["logit"]
    found = outputs(await stub.ModelInfer(a_raw_request(rows, "FP16")))["logit"]
    assert found.tolist() == expected.tolist()
    with pytest.raises(InvalidArgument, match="raw contents"):
        await stub.ModelInfer(a_typed_request(rows, "FP16", "fp32_contents"))


async def test_the_asked_outputs_come_in_the_asked_order(stub: Stub) -> None:
    asked = [pb.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in ("confidence", "logit")]
    answer = await stub.ModelInfer(a_raw_request(some_features(2), outputs=asked))
    assert [out.name for out in answer.outputs] == ["confidence", "logit"]


async def test_many_rows_and_none_are_answered(stub: Stub) -> None:
    rows = some_features(ROWS_MAX)
    together = outputs(await stub.ModelInfer(a_raw_request(rows)))["logit"]
    alone = [outputs(await stub.ModelInfer(a_raw_request(rows[i : i + 1])))["logit"][0, 0] for i in range(20)]
    assert together[:20, 0] == pytest.approx(alone, abs=1e-5)
    nothing = outputs(await stub.ModelInfer(a_raw_request(rows[:0])))
    assert nothing["logit"].shape == (0, 1)


ROW = np.zeros((1, WIDTH), np.float32)
ASKED = pb.ModelInferRequest.InferRequestedOutputTensor
PARAMETER = {"shared_memory_region": pb.InferParameter(string_param="x")}


@pytest.mark.parametrize(
    ("request_", "reason", "says"),
    [
        (a_raw_request(ROW, model_name=""), "INVALID_ARGUMENT", "Expected the name of a model"),
        (a_raw_request(ROW, model_name="nobody"), "UNKNOWN_MODEL", "No model is called 'nobody'"),
        (a_raw_request(ROW, model_version="7"), "UNKNOWN_MODEL", "No version '7' of model 'test-model'"),
        (a_raw_request(ROW, inputs=[an_input(ROW.shape, name="odd")]), "TENSOR_NAME", "'odd'"),
        (pb.ModelInferRequest(model_name="test-model"), "TENSOR_NAME", "Expected each input"),
        (a_raw_request(ROW, inputs=[an_input((1, WIDTH), "BYTES")]), "TENSOR_DATATYPE", "'BYTES'"),
        (a_typed_request(ROW, "BYTES", "fp32_contents"), "TENSOR_DATATYPE", "'BYTES'"),
        (a_raw_request(np.zeros((1, WIDTH + 1), np.float32)), "TENSOR_SHAPE", f"[-1, {WIDTH}]"),
        (a_raw_request(np.zeros(WIDTH, np.float32)), "TENSOR_SHAPE", f"[-1, {WIDTH}]"),
        (a_raw_request(ROW, inputs=[an_input((2, WIDTH))]), "TENSOR_SIZE", "bytes"),
        (a_raw_request(ROW, inputs=[an_input((1, WIDTH)), an_input((1, WIDTH))]), "TENSOR_SIZE", "2 inputs"),
        (a_raw_request(ROW * np.nan), "TENSOR_VALUE", "finite"),
        (a_raw_request(np.zeros((ROWS_MAX + 1, WIDTH), np.float32)), "TOO_MANY_ROWS", f"at most {ROWS_MAX}"),
        (a_raw_request(ROW, outputs=[ASKED(name="odd")]), "TENSOR_NAME", "'odd'"),
        (a_raw_request(ROW, outputs=[ASKED(name="logit"), ASKED(name="logit")]), "TENSOR_NAME", "each output once"),
        (a_raw_request(ROW, inputs=[an_input((1, WIDTH), parameters=PARAMETER)]), "TENSOR_PARAMETER", "not served"),
        (a_typed_request(np.full((1, WIDTH), 300), "INT8", "int_contents"), "TENSOR_VALUE", "INT8"),
        (a_typed_request(ROW[:, 1:], "FP32", "fp32_contents", id="x"), "TENSOR_SHAPE", f"[-1, {WIDTH}]"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(
    stub: Stub, request_: pb.ModelInferRequest, reason: str, says: str
) -> None:
    with pytest.raises(TradingError) as refused:
        await stub.ModelInfer(request_)
    assert refused.value.reason == reason
    assert says in refused.value.message


async def test_raw_and_typed_contents_do_not_mix(stub: Stub) -> None:
    request = a_typed_request(ROW, "FP32", "fp32_contents")
    request.raw_input_contents.append(ROW.tobytes())
    with pytest.raises(InvalidArgument, match="1 typed"):
        await stub.ModelInfer(request)


async def test_a_stream_answers_in_order_and_survives_what_it_refuses(address: str) -> None:
    rows = some_features(1)
    requests = [
        a_raw_request(rows, id="first"),
        a_raw_request(rows, id="second", model_name="nobody"),
        a_raw_request(rows, id="third", inputs=[an_input((1, 1))]),
        a_raw_request(rows, id="fourth"),
    ]
    async with grpc.aio.insecure_channel(address) as channel:
        call = Stub(channel).ModelStreamInfer(iter(requests), metadata=channels.call_metadata(TOKEN))
        answers = [answer async for answer in call]
    assert [answer.infer_response.id for answer in answers] == ["first", "second", "third", "fourth"]
    assert [bool(answer.error_message) for answer in answers] == [False, True, True, False]
    assert "nobody" in answers[1].error_message
    assert answers[0].infer_response.parameters["triton_final_response"].bool_param
    assert outputs(answers[3].infer_response)["logit"] == outputs(answers[0].infer_response)["logit"]
