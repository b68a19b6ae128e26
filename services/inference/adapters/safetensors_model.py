"""From a safetensors file to a model that runs: check, build a graph around its mapped weights, hold it to its word."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from services.inference.adapters.onnx_networks import INPUT, network
from services.inference.adapters.onnx_runtime import open_session
from services.inference.adapters.onnx_session import OnnxModel, SessionRules
from services.inference.adapters.onnx_weights import Quantised, Range, Stored, Watched
from services.inference.adapters.safetensors_file import FileLimits, SafetensorsFile, mapped, read_model
from services.inference.domain import architectures
from services.inference.domain.architectures import Gru, Lstm
from services.inference.domain.calibration import Calibration
from services.inference.domain.errors import ModelRefused, Refusal
from services.inference.domain.feature_series import Floats
from services.inference.domain.model import ModelCard
from services.inference.domain.model_spec import Golden, Precision
from services.inference.domain.precision import FEWEST_SAMPLES, compare

GOLDEN_TOLERANCE = 1e-3
_COPIED_BELOW = 8 * 1024 * 1024
_LARGEST_SAMPLE = 16 * 1024 * 1024
_RUN_ROWS = 64


def card_of(name: str, version: str, file: SafetensorsFile) -> ModelCard:
    """What a file says of itself."""
    spec = file.spec
    features = len(spec.features)
    return ModelCard(
        name=name,
        version=version,
        sha256=file.sha256,
        features=spec.features,
        horizon_ns=spec.horizon_ns,
        calibration=Calibration(spec.calibration.slope, spec.calibration.intercept) if spec.calibration else None,
        training_data=spec.provenance.training_data,
        metrics=spec.provenance.metrics,
        code_version=spec.provenance.code_version,
        distributions=spec.distributions,
        architecture=architectures.kind(spec.architecture),
        window=spec.window,
        precision="fp16" if file.half else "fp32",
        weight_bytes=sum(tensor.length for tensor in file.tensors.values()),
        activations=architectures.activations(spec.architecture, features, spec.window),
        training_data_sha256=spec.provenance.training_data_sha256,
    )


def load_safetensors(
    path: Path, name: str, version: str, rules: SessionRules, limits: FileLimits, precision: Precision | None = None
) -> OnnxModel:
    """Load a file at a precision, None meaning as it is stored; raises ModelRefused."""
    file = read_model(path, limits)
    card = card_of(name, version, file)
    if card.activations > _LARGEST_SAMPLE:
        was = f"Expected at most {_LARGEST_SAMPLE} numbers between two steps of one sample, was {card.activations}."
        raise ModelRefused(Refusal.TOO_BIG, was, model=name)
    opened = _Opened(path, file, card, rules, limits)
    model = opened.at(precision or card.precision)
    try:
        with model.limited():
            _hold_to_golden(model, file)
    except BaseException:  # whatever it is, the threads of a model that nobody gets must end
        model.close()
        raise
    return model


class _Opened:
    """A file that was checked, ready to become a model at one precision or another."""

    def __init__(
        self, path: Path, file: SafetensorsFile, card: ModelCard, rules: SessionRules, limits: FileLimits
    ) -> None:
        self._file = file
        self._card = card
        self._rules = rules
        self._stored = Stored(file, mapped(path, limits.file_bytes), path.name)
        recurrent = isinstance(file.spec.architecture, Lstm | Gru)
        prepacked = recurrent or card.weight_bytes < _COPIED_BELOW
        self._open = partial(open_session, folder=path.parent, prepacked=prepacked)

    def at(self, precision: str) -> OnnxModel:
        """The model at a precision."""
        if precision == "int8":
            return self._model(network(self._file.spec, Quantised(self._stored, self._ranges())), "int8")
        if precision == "fp32":
            return self._model(network(self._file.spec, self._stored), "fp32")
        narrow = replace(self._stored, narrow=not self._file.half)
        model = self._model(network(self._file.spec, narrow), "fp16")
        if model.running.device != "cuda":
            return model
        model.close()
        return self._model(network(self._file.spec, replace(narrow, half=True)), "fp16")

    def _model(self, payload: bytes, precision: str) -> OnnxModel:
        return OnnxModel(replace(self._card, precision=precision), payload, self._rules, self._open)

    def _ranges(self) -> dict[str, Range]:
        """What the golden samples span at every point of the float32 network."""
        spec, golden = self._file.spec, _golden_for("int8", self._file)
        if isinstance(spec.architecture, Lstm | Gru):
            was = (
                "Int8 makes products of whole numbers, which a recurrent network has no kernel for here: ask for fp16."
            )
            raise ModelRefused(Refusal.PRECISION, was, model=self._card.name)
        watched = Watched(self._stored)
        session = self._open(network(spec, watched), "off").session
        ranges: dict[str, Range] = {}
        for start in range(0, len(golden.inputs), _RUN_ROWS):
            found = session.run(list(watched.points.values()), {INPUT: golden.inputs[start : start + _RUN_ROWS]})
            for point, values in zip(watched.points, found, strict=True):
                known = ranges.get(point, Range(0.0, 0.0))
                ranges[point] = Range(min(known.low, float(values.min())), max(known.high, float(values.max())))
        return ranges


def _golden_for(precision: str, file: SafetensorsFile) -> Golden:
    if file.golden is None or len(file.golden.logits) < FEWEST_SAMPLES:
        was = f"{precision} is judged by at least {FEWEST_SAMPLES} golden samples, which the file does not have."
        raise ModelRefused(Refusal.PRECISION, was)
    return file.golden


def _hold_to_golden(model: OnnxModel, file: SafetensorsFile) -> None:
    """At full precision the model says what its maker said; at a lower one, nearly always nearly the same."""
    if model.card.precision == "fp32" and not file.half:
        if file.golden is not None:
            check_golden(model.run, file.golden, model.card.name)
        return
    if file.golden is None and file.half:
        return  # stored as halves by its maker: there is nothing fuller to hold it against
    golden = _golden_for(model.card.precision, file)
    found = compare(golden.logits, _logits(model.run, golden.inputs), model.card.calibration)
    if not found.agrees:
        raise ModelRefused(
            Refusal.PRECISION,
            f"At {model.card.precision}, {found}; at most 1 % and 0.01 are allowed.",
            model=model.card.name,
            flips=found.flips,
            mean_shift=found.shift,
            samples=found.samples,
        )


def check_golden(run: Callable[[np.ndarray], Floats], golden: Golden, name: str) -> None:
    """Raise ModelRefused when a model does not say what its maker said."""
    found = _logits(run, golden.inputs)
    off = np.abs(found - golden.logits)
    if not (off <= GOLDEN_TOLERANCE * (1 + np.abs(golden.logits))).all():
        sample = int(np.nanargmax(np.where(np.isfinite(off), off, np.inf)))
        was = f"Expected {golden.logits[sample]:.6g} for golden sample {sample}, was {found[sample]:.6g}."
        raise ModelRefused(Refusal.GOLDEN, was, model=name, sample=sample)


def _logits(run: Callable[[np.ndarray], Floats], inputs: np.ndarray) -> Floats:
    parts = [run(inputs[start : start + _RUN_ROWS]) for start in range(0, len(inputs), _RUN_ROWS)]
    return np.concatenate(parts)
