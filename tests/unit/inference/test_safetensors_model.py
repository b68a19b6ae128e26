"""Every architecture says what its formula says, from weights that stay in the file; lower precisions are judged."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.model_files import ARCHITECTURES, a_model_file, a_spec, some_inputs, some_weights
from builders.reference_networks import logits

from services.inference.adapters.onnx_graph import contents
from services.inference.adapters.onnx_networks import network
from services.inference.adapters.onnx_session import OnnxModel, SessionRules
from services.inference.adapters.onnx_weights import Stored
from services.inference.adapters.safetensors_file import FileLimits, mapped, read_model, write_model
from services.inference.adapters.safetensors_model import load_safetensors
from services.inference.domain.architectures import Lstm, PatchTst
from services.inference.domain.calibration import Calibration
from services.inference.domain.errors import ModelRefused, Refusal
from services.inference.domain.model_spec import Golden, ModelSpec, Scaler

INLINE, THREADED = SessionRules(inline_us=1e6), SessionRules(inline_us=0.0, batch_rows=8)
GOLDEN_SAMPLES = 200


@contextmanager
def loaded(path: Path, rules: SessionRules = INLINE, precision: Any = None) -> Iterator[OnnxModel]:
    model = load_safetensors(path, "test-model", "1", rules, FileLimits(), precision)
    yield model
    model.close()


def a_golden(spec: ModelSpec, count: int = GOLDEN_SAMPLES, *, off: float = 0.0) -> Golden:
    """What the formula says, shifted by `off`."""
    inputs = some_inputs(spec, count)
    return Golden(inputs, (logits(spec, some_weights(spec), inputs) + off).astype(np.float32))


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("rules", [INLINE, THREADED], ids=["inline", "threaded"])
@pytest.mark.parametrize("scaled", [True, False], ids=["scaled", "raw"])
async def test_an_architecture_says_what_its_formula_says(
    tmp_path: Path, kind: str, rules: SessionRules, scaled: bool
) -> None:
    spec = a_model_file(tmp_path / "m.safetensors", kind, **({} if scaled else {"scaler": None}))
    inputs = some_inputs(spec, 21)
    expected = logits(spec, some_weights(spec), inputs)
    with loaded(tmp_path / "m.safetensors", rules) as model:
        assert await model.logits(inputs) == pytest.approx(expected, abs=2e-5, rel=2e-5)
        alone = [await _one(model, sample) for sample in inputs]
    assert alone == pytest.approx(expected, abs=2e-5, rel=2e-5)


async def test_an_infinite_feature_is_clipped_and_leaves_the_others_alone(tmp_path: Path) -> None:
    spec = a_model_file(tmp_path / "m.safetensors")
    inputs = some_inputs(spec, 4)
    inputs[1, 2], inputs[2, 0], inputs[3, 5] = np.inf, -np.inf, 3e38
    with loaded(tmp_path / "m.safetensors") as model:
        assert await model.logits(inputs) == pytest.approx(logits(spec, some_weights(spec), inputs), abs=2e-5, rel=2e-5)


@pytest.mark.parametrize(("mean", "deviation"), [(60_000.0, 1.0), (7.9, 1.0), (0.0, 1e-38)], ids=str)
async def test_a_scaler_far_from_nothing_loses_no_digits(tmp_path: Path, mean: float, deviation: float) -> None:
    given = a_spec()
    width = len(given.features)
    spec = a_model_file(tmp_path / "m.safetensors", scaler=Scaler((mean,) * width, (deviation,) * width))
    inputs = mean + deviation * some_inputs(spec, 21)
    expected = logits(spec, some_weights(spec), inputs)
    with loaded(tmp_path / "m.safetensors") as model:
        assert await model.logits(inputs) == pytest.approx(expected, abs=2e-5, rel=2e-5)


async def _one(model: OnnxModel, sample: np.ndarray) -> float:
    return await (model.logit(sample.tolist()) if sample.ndim == 1 else model.window_logit(sample))


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_no_weight_is_copied_into_the_graph(tmp_path: Path, kind: str) -> None:
    """Bit for bit the file's own, because it is the file."""
    path = tmp_path / "m.safetensors"
    a_model_file(path, kind)
    file = read_model(path, FileLimits())
    payload = network(file.spec, Stored(file, mapped(path, 1 << 20), path.name))
    assert contents(payload).has_external_data
    assert not any(array.tobytes() in payload for array in some_weights(file.spec).values() if array.size > 1)


def test_a_model_says_what_it_is(tmp_path: Path) -> None:
    spec = a_model_file(tmp_path / "m.safetensors", "gru")
    with loaded(tmp_path / "m.safetensors") as model:
        card = model.card
    assert (card.name, card.version, card.architecture, card.window) == ("test-model", "1", "gru", 12)
    assert (card.features, card.horizon_ns, card.precision) == (spec.features, spec.horizon_ns, "fp32")
    assert card.calibration == Calibration(1.0, 0.0)
    assert (card.training_data, card.training_data_sha256) == ("Nothing real.", "0" * 64)
    assert card.metrics == {"brier_skill": 0.1}
    assert card.weight_bytes == sum(array.nbytes for array in some_weights(spec).values())
    assert [(each.name, each.dtype, each.shape) for each in model.inputs] == [("features", "float32", (-1, 12, 18))]
    assert [(each.name, each.dtype, each.shape) for each in model.outputs] == [("logit", "float32", (-1, 1))]


def test_a_model_without_calibration_says_so(tmp_path: Path) -> None:
    a_model_file(tmp_path / "m.safetensors", calibration=None)
    with loaded(tmp_path / "m.safetensors") as model:
        assert model.card.calibration is None


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_golden_samples_that_agree_are_accepted(tmp_path: Path, kind: str) -> None:
    a_model_file(tmp_path / "m.safetensors", kind, a_golden(a_spec(kind)))
    with loaded(tmp_path / "m.safetensors") as model:
        assert model.card.precision == "fp32"


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_golden_samples_that_disagree_refuse_the_model(tmp_path: Path, kind: str) -> None:
    a_model_file(tmp_path / "m.safetensors", kind, a_golden(a_spec(kind), off=0.05))
    with pytest.raises(ModelRefused, match="golden sample") as refused, loaded(tmp_path / "m.safetensors"):
        pass
    assert refused.value.why is Refusal.GOLDEN


def test_gates_in_the_order_of_another_library_are_noticed(tmp_path: Path) -> None:
    """PyTorch's order is input, forget, cell, output; ONNX's input, output, forget, cell."""
    spec = a_spec("lstm")
    weights = some_weights(spec)
    swapped = weights | {"rnn.0.W": weights["rnn.0.W"].reshape(1, 4, 8, 18)[:, [0, 2, 3, 1]].reshape(1, 32, 18)}
    write_model(tmp_path / "m.safetensors", spec, swapped, a_golden(spec))
    with pytest.raises(ModelRefused) as refused, loaded(tmp_path / "m.safetensors"):
        pass
    assert refused.value.why is Refusal.GOLDEN


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_halves_say_nearly_the_same(tmp_path: Path, kind: str) -> None:
    spec = a_model_file(tmp_path / "m.safetensors", kind, a_golden(a_spec(kind)))
    exact = logits(spec, some_weights(spec), some_inputs(spec, 50))
    with loaded(tmp_path / "m.safetensors", precision="fp16") as model:
        assert model.card.precision == "fp16"
        found = model.run(some_inputs(spec, 50))
    assert found == pytest.approx(exact, rel=0.02, abs=0.02)
    assert found != pytest.approx(exact, rel=1e-7, abs=1e-7), "it is rounded indeed"


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("precision", [None, "fp16", "fp32"])
def test_a_file_of_halves_runs(tmp_path: Path, kind: str, precision: Any) -> None:
    spec = a_spec(kind)
    halves = {name: array.astype(np.float16) for name, array in some_weights(spec).items()}
    write_model(tmp_path / "m.safetensors", spec, halves, a_golden(spec))
    with loaded(tmp_path / "m.safetensors", precision=precision) as model:
        assert model.card.precision == (precision or "fp16")
        found = model.run(some_inputs(spec, 20))
    assert found == pytest.approx(logits(spec, halves, some_inputs(spec, 20)), abs=2e-5, rel=2e-5)


@pytest.mark.parametrize("kind", ["tcn", "patchtst", "nhits"])
def test_eight_bits_say_nearly_the_same(tmp_path: Path, kind: str) -> None:
    spec = a_model_file(tmp_path / "m.safetensors", kind, a_golden(a_spec(kind)))
    with loaded(tmp_path / "m.safetensors", precision="int8") as model:
        assert model.card.precision == "int8"
        found = model.run(some_inputs(spec, GOLDEN_SAMPLES))
    off = np.abs(found - logits(spec, some_weights(spec), some_inputs(spec, GOLDEN_SAMPLES)))
    assert 0 < off.mean() < 0.2


def test_eight_bits_that_change_the_answers_are_refused_with_the_numbers(tmp_path: Path) -> None:
    """A weight that is never used drowns its neighbours in the scale that they share."""
    spec = a_spec(scaler=None)
    weights = some_weights(spec)
    weights["layers.0.weight"][0] = 0
    weights["layers.0.bias"][0] = 0
    weights["layers.1.weight"][:, 0] = 3e4
    inputs = some_inputs(spec, GOLDEN_SAMPLES)
    path = tmp_path / "m.safetensors"
    write_model(path, spec, weights, Golden(inputs, logits(spec, weights, inputs).astype(np.float32)))
    with loaded(path) as model:
        assert model.card.precision == "fp32"
    with (
        pytest.raises(ModelRefused, match=r"At int8, \d+\.\d+% of 200 signs differ") as refused,
        loaded(path, precision="int8"),
    ):
        pass
    assert refused.value.why is Refusal.PRECISION
    assert refused.value.metadata["samples"] == GOLDEN_SAMPLES
    assert float(str(refused.value.metadata["mean_shift"])) > 0.01


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_recurrent_networks_have_no_eight_bits(tmp_path: Path, kind: str) -> None:
    a_model_file(tmp_path / "m.safetensors", kind, a_golden(a_spec(kind)))
    with (
        pytest.raises(ModelRefused, match="ask for fp16") as refused,
        loaded(tmp_path / "m.safetensors", precision="int8"),
    ):
        pass
    assert refused.value.why is Refusal.PRECISION


@pytest.mark.parametrize("precision", ["fp16", "int8"])
@pytest.mark.parametrize("count", [0, 99])
def test_a_precision_that_cannot_be_judged_is_refused(tmp_path: Path, precision: str, count: int) -> None:
    a_model_file(tmp_path / "m.safetensors", "mlp", a_golden(a_spec(), count) if count else None)
    with (
        pytest.raises(ModelRefused, match="at least 100") as refused,
        loaded(tmp_path / "m.safetensors", precision=precision),
    ):
        pass
    assert refused.value.why is Refusal.PRECISION


def test_a_sample_that_needs_too_much_memory_is_refused(tmp_path: Path) -> None:
    spec = a_spec("patchtst", architecture=PatchTst(patch=1, width=32, heads=32, layers=1, feed=8), window=1024)
    write_model(tmp_path / "m.safetensors", spec, some_weights(spec))
    with pytest.raises(ModelRefused, match="between two steps") as refused, loaded(tmp_path / "m.safetensors"):
        pass
    assert refused.value.why is Refusal.TOO_BIG


def test_a_model_that_takes_too_long_is_refused(tmp_path: Path) -> None:
    spec = a_spec("lstm", architecture=Lstm(hidden=256, layers=2), window=1024)
    write_model(
        tmp_path / "m.safetensors", spec, some_weights(spec), Golden(some_inputs(spec, 50), np.zeros(50, np.float32))
    )
    with (
        pytest.raises(ModelRefused, match="trial took more than") as refused,
        loaded(tmp_path / "m.safetensors", SessionRules(deadline_s=0.02)),
    ):
        pass
    assert refused.value.why is Refusal.TIME


async def test_a_sequence_model_takes_windows_and_never_rows(tmp_path: Path) -> None:
    spec = a_model_file(tmp_path / "m.safetensors", "tcn")
    with loaded(tmp_path / "m.safetensors") as model:
        windows = some_inputs(spec, 3)
        both = await asyncio.gather(*(model.window_logit(window) for window in windows), model.logits(windows))
    assert both[:3] == pytest.approx(both[3])
