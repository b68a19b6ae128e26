"""Models are loaded as their manifest says, or refused by name."""

from pathlib import Path

import pytest
from builders.inference import a_model_directory, a_network
from onnx import helper

from services.inference.adapters import model_files
from services.inference.adapters.model_files import describe_version, load_model
from services.inference.adapters.onnx_session import SessionRules
from services.inference.adapters.safetensors_file import FileLimits
from services.inference.domain.calibration import Calibration
from services.inference.domain.errors import ModelRefused
from services.inference.domain.features import FEATURES
from services.inference.starter.graph import onnx_bytes

SHIPPED = Path(model_files.__file__).parents[1] / "models"


def test_a_model_is_what_its_manifest_says(tmp_path: Path) -> None:
    model = load_model(a_model_directory(tmp_path), SessionRules())
    model.close()
    assert (model.card.name, model.card.version, model.card.features) == ("test-model", "1", FEATURES)
    assert model.card.calibration == Calibration(1.0, 0.0)
    assert model.card.metrics == {"brier_skill": 0.1}


def test_a_model_without_calibration_says_so(tmp_path: Path) -> None:
    model = load_model(a_model_directory(tmp_path, calibration=None), SessionRules())
    model.close()
    assert model.card.calibration is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sha256": "0" * 64}, "Expected sha256"),
        ({"features": ("nonsense",)}, "Expected features of return_1, .*was nonsense"),
        ({"horizon_ns": 0}, "Expected horizon_ns above 0"),
        ({"horizon_ns": "soon"}, "Expected `int`"),
        ({"surprise": 1}, "unknown field"),
        ({"distributions": {"return_1": {"edges": [], "shares": [1.0], "mean": 0.0}}}, "Expected distributions of"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ModelRefused, match=reason):
        load_model(a_model_directory(tmp_path, **changes), SessionRules())


@pytest.mark.parametrize(
    ("moved", "reason"), [("other/1", "Expected name 'other'"), ("test-model/2", "Expected version")]
)
def test_a_model_in_the_directory_of_another_is_refused(tmp_path: Path, moved: str, reason: str) -> None:
    (tmp_path / moved).parent.mkdir(parents=True, exist_ok=True)
    directory = a_model_directory(tmp_path).rename(tmp_path / moved)
    with pytest.raises(ModelRefused, match=reason):
        load_model(directory, SessionRules())


@pytest.mark.parametrize("text", ["", "{", "[]", "{}" + " " * 9, '{"name": "test-model"}', '{"a": 1, "a": 2}'])
def test_a_manifest_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    directory = a_model_directory(tmp_path)
    (directory / "manifest.json").write_text(text)
    with pytest.raises(ModelRefused, match="manifest cannot be read"):
        load_model(directory, SessionRules())


def test_a_missing_model_file_is_refused(tmp_path: Path) -> None:
    directory = a_model_directory(tmp_path)
    (directory / "model.onnx").unlink()
    with pytest.raises(ModelRefused, match=r"model\.onnx cannot be opened"):
        load_model(directory, SessionRules())


def test_a_file_that_is_too_big_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_files, "LARGEST_MODEL_BYTES", 10)
    with pytest.raises(ModelRefused, match="at most 10 bytes"):
        load_model(a_model_directory(tmp_path), SessionRules())


def test_an_operator_that_is_not_on_the_list_is_refused_by_name(tmp_path: Path) -> None:
    graph = helper.make_graph([helper.make_node("Loop", [], []), helper.make_node("If", [], [])], "bomb", [], [])
    payload = helper.make_model(graph).SerializeToString()
    with pytest.raises(ModelRefused, match="If, Loop"):
        load_model(a_model_directory(tmp_path, payload=payload), SessionRules())


def test_a_model_that_reaches_outside_its_graph_is_refused(tmp_path: Path) -> None:
    model = helper.make_model(helper.make_graph([], "g", [], []))
    model.functions.append(helper.make_function("own", "f", [], [], [], [helper.make_opsetid("", 17)]))
    with pytest.raises(ModelRefused, match="functions of its own"):
        load_model(a_model_directory(tmp_path, payload=model.SerializeToString()), SessionRules())


def test_the_shipped_model_loads_and_says_what_it_is() -> None:
    model = load_model(SHIPPED / "momentum-v1" / "1", SessionRules())
    model.close()
    assert model.running.load_ms < 500, "a loaded machine; 5 ms on a quiet one"
    assert "no real market" in model.card.training_data
    assert model.card.calibration is not None
    assert model.card.metrics["bursts.brier_skill_low"] > 0
    card = (SHIPPED / "momentum-v1" / model.card.version / "card.md").read_text()
    assert "trained on simulated data only" in card
    assert "| calm |" in card


@pytest.mark.parametrize(("name", "window"), [("momentum-v1", 1), ("neural-momentum-v1", 31)])
def test_the_shipped_files_tell_of_themselves(name: str, window: int) -> None:
    card = describe_version(SHIPPED / name / "1", FileLimits())
    assert card.features == FEATURES
    assert card.window == window
    assert card.calibration is not None
    assert set(card.distributions) == set(FEATURES)


def test_a_deterministic_export_has_one_hash() -> None:
    assert onnx_bytes(a_network(), "test") == onnx_bytes(a_network(), "test")
