"""`ntrader models` against a real gateway before a fake registry."""

import asyncio
import json
from pathlib import Path

import pytest
from integration.gateway.conftest import KEY, Gateway
from neural_trader.cli import ask

from neuraltrader.inference.v1 import registry_service_pb2 as pb

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(autouse=True)
def _told_where(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURAL_TRADER_URL", f"http://127.0.0.1:{gateway.port}")
    monkeypatch.setenv("NEURAL_TRADER_API_KEY", KEY)


async def ntrader(line: str) -> int:
    """The exit code of a command; it blocks, so it has a thread of its own."""
    return await asyncio.to_thread(ask, line.split())


async def test_models_are_listed_and_shown(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    assert await ntrader("models") == 0
    assert "momentum-v1" in capsys.readouterr().out
    assert await ntrader("models show momentum-v1") == 0
    said = capsys.readouterr().out
    assert ("MODEL_DTYPE: Expected F32." in said, "1*" in said) == (True, True)
    assert await ntrader("models show momentum-v1 2 --json") == 0
    assert '"state": "REFUSED"' in capsys.readouterr().out


async def test_a_file_is_uploaded(gateway: Gateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "m.safetensors"
    file.write_bytes(b"weights" * 400_000)
    assert await ntrader(f"models upload mine {file} --json") == 0
    assert gateway.fleet.registry.uploaded == file.read_bytes()
    file.write_bytes(b"hostile")
    assert await ntrader(f"models upload mine {file}") == 1
    assert "There is a NaN. (MODEL_NOT_FINITE)" in capsys.readouterr().err
    assert await ntrader(f"models upload mine {tmp_path / 'none'}") == 1
    assert "cannot be read" in capsys.readouterr().err


async def test_what_answers_is_changed(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    heard = gateway.fleet.script.heard
    assert await ntrader("models promote momentum-v1 2") == 0
    assert await ntrader("models rollback momentum-v1") == 0
    assert await ntrader("models canary momentum-v1 2 --weight 0.25") == 0
    assert await ntrader("models canary momentum-v1") == 0
    assert [(each.version, each.weight) for each in heard(pb.SetCanaryRequest)] == [("2", 0.25), ("", 0.0)]
    assert await ntrader("models shadow momentum-v1 2") == 0
    assert await ntrader("models load momentum-v1 2 --precision fp16 --no-gpu --batch-size 64") == 0
    (load,) = heard(pb.LoadModelRequest)
    assert (load.version, load.precision, load.use_gpu, load.batch_size) == ("2", "fp16", False, 64)
    assert await ntrader("models unload momentum-v1") == 0
    assert await ntrader("models delete momentum-v1 2") == 0
    assert heard(pb.DeleteModelRequest)[0].version == "2"
    capsys.readouterr()
    assert await ntrader("models delete momentum-v1") == 1
    assert "MODEL_IN_USE" in capsys.readouterr().err


async def test_a_version_is_exported(gateway: Gateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await ntrader(f"models export momentum-v1 {tmp_path / 'm.tar'}") == 0
    assert (tmp_path / "m.tar").read_bytes() == b"a tar file"
    assert await ntrader(f"models export momentum-v1 {tmp_path / 'none' / 'm.tar'}") == 1
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line", ["models promote", "models promote momentum-v1", "models upload mine", "models show nobody"]
)
async def test_a_command_that_says_too_little_or_names_nobody_fails(
    gateway: Gateway, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await ntrader(line) == 1
    assert capsys.readouterr().err.startswith("ntrader: ")


async def test_a_version_that_nobody_knows_is_named(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    assert await ntrader("models show momentum-v1 9") == 1
    assert json.dumps("9").strip('"') in capsys.readouterr().err
