"""Files that arrive become versions, whole or not at all; exports leave as others read them."""

import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from builders.hostile_onnx import FEATURE_SPEC, a_model, a_sound_model, node, tensor_info
from builders.inference import a_model_directory
from builders.registry import Registry, a_registry, a_version, saying
from onnx import TensorProto

from services.inference.adapters import probe_process
from services.inference.adapters.model_files import describe_version, load_model
from services.inference.adapters.onnx_session import SessionRules
from services.inference.adapters.registry_export import RegistryExport
from services.inference.adapters.safetensors_file import FileLimits, write_model
from services.inference.domain.errors import ModelRefused, Refusal
from trading.errors import FailedPrecondition, InvalidArgument, Unavailable, UnknownModel


@dataclass
class Piece:
    """A piece of a file."""

    piece: bytes = b""
    name: str = ""
    format: str = ""


async def sent(registry: Registry, name: str, content: bytes, form: str = "") -> Any:
    async def pieces() -> AsyncIterator[Piece]:
        yield Piece(name=name, format=form)
        for start in range(0, len(content), 1_000):
            yield Piece(content[start : start + 1_000])

    return await registry.receive(pieces())


def a_file(tmp_path: Path, says: float = 0.5, **options: Any) -> bytes:
    write_model(tmp_path / "m", *saying(says, **options))
    return (tmp_path / "m").read_bytes()


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    a_version(tmp_path / "shipped", "1", 1.0)
    return tmp_path


async def test_either_kind_of_file_becomes_a_version_with_a_manifest(disk: Path) -> None:
    async with a_registry(disk) as registry:
        ours = await sent(registry, "mine", a_file(disk, 0.5))
        onnx = await sent(registry, "theirs", a_sound_model(0.25).SerializeToString())
        assert (ours.card.version, ours.card.architecture, await registry.says("mine")) == ("1", "mlp", 0.5)
        assert (onnx.card.version, onnx.card.architecture, await registry.says("theirs")) == ("1", "onnx", 0.25)
        assert onnx.card.weight_bytes > 0
        directory = disk / "own" / "mine" / "1"
        assert sorted(path.name for path in directory.iterdir()) == ["manifest.json", "model.safetensors"]
        assert [path.stat().st_mode & 0o222 for path in directory.iterdir()] == [0, 0], "nobody writes into it"
        assert list((disk / "own" / ".incoming").iterdir()) == []


async def test_the_next_file_waits_to_be_promoted_and_the_same_file_is_the_same_version(disk: Path) -> None:
    async with a_registry(disk) as registry:
        first = a_file(disk, 0.5)
        await sent(registry, "mine", first)
        second = await sent(registry, "mine", a_file(disk, 0.75))
        assert (second.card.version, second.deployment.active, await registry.says("mine")) == ("2", "1", 0.5)
        assert (await sent(registry, "mine", first)).card.version == "1"
        assert registry.models.versions("mine") == ("2", "1")


async def test_a_file_is_told_by_its_bytes_unless_somebody_says(disk: Path) -> None:
    async with a_registry(disk) as registry:
        with pytest.raises(InvalidArgument) as refused:
            await sent(registry, "mine", a_file(disk), "onnx")
        assert refused.value.reason == "MODEL_UNREADABLE"
        assert (await sent(registry, "mine", a_file(disk), "safetensors")).card.version == "1"


@pytest.mark.parametrize(
    ("name", "content", "form", "reason"),
    [
        ("mine", b"\0" * 2_000_000, "", "MODEL_TOO_BIG"),
        ("mine", b"", "", "MODEL_UNREADABLE"),
        ("UPPER", b"x", "", "MODEL_PATH"),
        ("registry.json", b"x", "", "MODEL_PATH"),
        ("mine.onnx", b"x", "", "MODEL_PATH"),
        ("../mine", b"x", "", "MODEL_PATH"),
        ("mine", b"x", "pickle", "INVALID_ARGUMENT"),
    ],
)
async def test_what_is_no_model_leaves_nothing(disk: Path, name: str, content: bytes, form: str, reason: str) -> None:
    async with a_registry(disk, limits=FileLimits(file_bytes=1_000_000)) as registry:
        with pytest.raises(InvalidArgument) as refused:
            await sent(registry, name, content, form)
        assert refused.value.reason == reason
        assert registry.models.names == ["test-model"]


async def test_no_piece_is_no_file(disk: Path) -> None:
    async def nothing() -> AsyncIterator[Piece]:
        for piece in ():
            yield piece

    async with a_registry(disk) as registry:
        with pytest.raises(InvalidArgument, match="no piece"):
            await registry.receive(nothing())


async def test_a_version_that_was_there_first_is_not_replaced(disk: Path) -> None:
    registry = Registry(disk)
    card = describe_version(a_version(disk / "own", "7", 1.0, name="mine"), FileLimits())
    with registry.files.incoming() as directory, pytest.raises(FailedPrecondition) as refused:
        registry.files.keep(directory, card)
    assert refused.value.reason == "MODEL_EXISTS"
    registry.close()


@pytest.mark.parametrize("kind", ["safetensors", "onnx"])
async def test_an_export_has_the_graph_its_weights_and_a_config(disk: Path, kind: str) -> None:
    async with a_registry(disk) as registry:
        await sent(registry, "mine", a_file(disk) if kind == "safetensors" else a_sound_model().SerializeToString())
        export = RegistryExport(registry.files, FileLimits())
        async with registry.models.hold_exactly("mine") as model:
            content = b"".join([piece async for piece in export.pieces(model)])
    with tarfile.open(fileobj=BytesIO(content)) as tar:
        weights = ["mine/1/model.safetensors"] if kind == "safetensors" else []
        assert tar.getnames() == ["mine/config.pbtxt", "mine/1/model.onnx", *weights]
        config = tar.extractfile("mine/config.pbtxt")
        assert config is not None
        assert 'name: "features" data_type: TYPE_FP32 dims: [ -1, 18 ]' in config.read().decode()


GOLDEN = {"inputs": [[0.0] * 18, [1.0] * 18], "logits": [0.5, 0.5]}


def an_onnx_directory(tmp_path: Path, **changes: Any) -> Path:
    return a_model_directory(tmp_path, payload=a_sound_model(0.5).SerializeToString(), **changes)


def test_an_onnx_file_is_held_to_its_manifests_golden_samples(tmp_path: Path) -> None:
    load_model(an_onnx_directory(tmp_path / "a", golden=GOLDEN), SessionRules()).close()
    off = GOLDEN | {"logits": [0.5, 0.6]}
    with pytest.raises(ModelRefused, match="golden sample 1") as refused:
        load_model(an_onnx_directory(tmp_path / "b", golden=off), SessionRules())
    assert refused.value.why is Refusal.GOLDEN
    with pytest.raises(ModelRefused, match="golden rows of 18"):
        load_model(an_onnx_directory(tmp_path / "c", golden=GOLDEN | {"inputs": [[1.0]]}), SessionRules())


def test_an_onnx_file_runs_as_it_was_exported(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="export it in int8") as refused:
        load_model(an_onnx_directory(tmp_path), SessionRules(), "int8")
    assert refused.value.why is Refusal.PRECISION


def test_a_version_has_one_model_file(tmp_path: Path) -> None:
    directory = an_onnx_directory(tmp_path)
    (directory / "model.safetensors").write_bytes(b"x")
    with pytest.raises(ModelRefused, match="there are two"):
        load_model(directory, SessionRules())
    (directory / "model.onnx").unlink()
    (directory / "model.safetensors").unlink()
    (directory / "manifest.json").unlink()
    for read in (lambda: load_model(directory, SessionRules()), lambda: describe_version(directory, FileLimits())):
        with pytest.raises(ModelRefused) as refused:
            read()
        assert refused.value.why is Refusal.NOT_A_FILE


@pytest.mark.parametrize("spec", [FEATURE_SPEC, {}], ids=["features", "tensors"])
def test_a_trial_runs_whatever_a_model_takes(tmp_path: Path, spec: Any) -> None:
    features = {} if spec else {"features": (), "horizon_ns": 0}
    directory = a_model_directory(tmp_path, payload=a_sound_model(spec=spec).SerializeToString(), **features)
    probe_process._try(directory, 10.0, 64)


def test_a_trial_refuses_shapes_that_would_take_all_memory(tmp_path: Path) -> None:
    wide = [tensor_info("features", TensorProto.FLOAT, [1, 1 << 30])]
    model = a_model([node("Identity", ["features"], ["logit"])], inputs=wide, outputs=wide_out(), spec={})
    directory = a_model_directory(tmp_path, payload=model.SerializeToString(), features=(), horizon_ns=0)
    with pytest.raises(ModelRefused) as refused:
        probe_process._try(directory, 10.0, 64)
    assert refused.value.why is Refusal.TOO_BIG


def wide_out() -> list[Any]:
    return [tensor_info("logit", TensorProto.FLOAT, [1, 1 << 30])]


async def test_a_version_that_nobody_has_cannot_be_exported(disk: Path) -> None:
    async with a_registry(disk) as registry:
        with pytest.raises(UnknownModel):
            async with registry.models.hold_exactly("mine"):
                pass


async def test_a_training_that_takes_the_number_meanwhile_costs_the_file_nothing(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_registry(disk) as registry:
        tried = registry.loader._tried

        def slow(*arguments: Any, **options: Any) -> None:
            tried(*arguments, **options)
            if not (disk / "own" / "mine" / "1").exists():
                a_version(disk / "own", "1", 0.25, name="mine")

        monkeypatch.setattr(registry.loader, "_tried", slow)
        received = await sent(registry, "mine", a_file(disk, 0.5))
        assert received.card.version == "2"
        assert [await registry.says("mine", version) for version in ("1", "2")] == [0.25, 0.5]
        assert describe_version(disk / "own" / "mine" / "2", FileLimits()).version == "2"


async def test_a_disk_that_takes_no_file_is_named_and_the_registry_goes_on(disk: Path) -> None:
    async with a_registry(disk) as registry:
        (disk / "own" / ".incoming").write_text("no directory")
        with pytest.raises(Unavailable) as refused:
            await sent(registry, "mine", a_file(disk))
        assert refused.value.reason == "STORAGE_FAILED"
        assert await registry.says() == 1.0
        (disk / "own" / ".incoming").unlink()
        assert (await sent(registry, "mine", a_file(disk))).card.version == "1"
