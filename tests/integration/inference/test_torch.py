"""What PyTorch trains, the service says too: to the number, for every kind, gates in ONNX's order."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from servers import REPOSITORY

from services.inference.adapters.model_files import load_model
from services.inference.adapters.onnx_session import SessionRules
from services.inference.adapters.torch_trainer import GATES_OF_TORCH, _reordered
from services.inference.domain.architectures import Gru, Lstm
from tests.bench.peers import Peer, PeerMissing

TORCH = Peer("torch", ("torch==2.15.0", "numpy==2.4.6", "msgspec==0.21.1"))
SCRIPT = Path(__file__).with_name("torch_models.py")
KINDS = ("gru", "lstm", "patchtst", "nhits")

slow = pytest.mark.slow
in_its_own_time = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Models that PyTorch has made, in an environment of its own."""
    folder = tmp_path_factory.mktemp("torch")
    try:
        return folder, TORCH.measure(SCRIPT, str(folder))
    except PeerMissing as missing:
        pytest.skip(f"PyTorch's environment cannot be made here: {missing}")


@slow
@in_its_own_time
@pytest.mark.parametrize("kind", KINDS)
async def test_the_runtime_says_what_pytorch_says(made: tuple[Path, dict[str, Any]], kind: str) -> None:
    folder, _ = made
    model = load_model(folder / kind / "1", SessionRules())
    try:
        with np.load(folder / f"{kind}.npz") as told:
            said = await model.logits(told["windows"])
            assert np.abs(said - told["logits"]).max() < 1e-4
            assert np.ptp(told["logits"]) > 1, "logits that differ, or nothing is compared"
    finally:
        model.close()


@slow
@in_its_own_time
@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_and_goes_on_after_an_interruption(made: tuple[Path, dict[str, Any]], kind: str) -> None:
    found = made[1][kind]
    assert found["losses"][-1] < found["losses"][0]
    assert found["hits"] > 0.85
    assert found["resumed"] == pytest.approx(found["losses"], rel=1e-5)
    assert found["apart"] < 1e-3


def test_gates_change_places_whole() -> None:
    """PyTorch's GRU has reset, update, hidden; its LSTM input, forget, cell, output (documentation of torch.nn)."""
    blocks = np.repeat(np.arange(3), 2)
    assert _reordered(blocks.astype(np.float32), GATES_OF_TORCH[Gru]).tolist() == [1, 1, 0, 0, 2, 2]
    blocks = np.repeat(np.arange(4), 2)
    assert _reordered(blocks.astype(np.float32), GATES_OF_TORCH[Lstm]).tolist() == [0, 0, 3, 3, 1, 1, 2, 2]


def test_no_pytorch_is_asked_of_whoever_does_not_train_with_it() -> None:
    """The service, its worker included, starts where PyTorch is not installed."""
    code = "import sys, services.inference.adapters.training_worker; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)
