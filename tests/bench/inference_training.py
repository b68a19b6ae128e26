"""Training the perceptron: 100,000 rows of 64 features, 10 epochs, beside PyTorch and scikit-learn.

All of them: 64-64-32-1, ReLU, Adam, batches of 512, one thread, the same rows.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench.peers import Peer, PeerMissing
from tests.bench.result import REPOSITORY, Result, beside

SCRIPT = Path(__file__).with_name("inference_training_libraries.py")
PEERS = (
    (Peer("torch", ("torch==2.15.0", "numpy==2.4.6", "msgspec==0.21.1")), "torch", "2.15.0"),
    (Peer("scikit-learn", ("scikit-learn==1.9.1", "numpy==2.4.6")), "sklearn", "1.9.1"),
)
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def training() -> Iterator[Result]:
    """Seconds for the ten epochs, imports left out."""
    os.environ |= _ONE_THREAD
    command = [sys.executable, str(SCRIPT), "ours"]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    ours = json.loads(run.stdout.splitlines()[-1])
    result = Result("inference.training", "s", round(ours["seconds"], 3), 1, extra={"accuracy": ours["accuracy"]})
    for peer, kind, version in PEERS:
        try:
            found = peer.measure(SCRIPT, kind)
        except PeerMissing as missing:
            print(f"    {peer.name} is missing: {missing}")
            continue
        result = beside(result, peer.name, version, found["seconds"], ratio_of="peer/ours")
        result.extra[f"{peer.name} accuracy"] = found["accuracy"]
    yield result
