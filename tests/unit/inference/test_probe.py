"""A trial ends with a verdict, whatever becomes of its process."""

import os
import signal
from pathlib import Path

import pytest
from builders.hostile_onnx import a_sound_model
from builders.inference import a_model_directory
from builders.registry import a_version

from services.inference.adapters import probe
from services.inference.adapters.probe import TrialRules, try_model
from services.inference.domain.errors import ModelRefused, Refusal

RULES = TrialRules(memory_bytes=512 * 1024 * 1024, seconds=3.0)


def test_a_sound_version_of_either_kind_passes(tmp_path: Path) -> None:
    payload = a_sound_model().SerializeToString()
    try_model(a_model_directory(tmp_path, payload=payload), RULES)
    try_model(a_version(tmp_path, "2", 1.0, kind="gru"), RULES)


def test_a_refusal_comes_back_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="no ONNX model") as refused:
        try_model(a_model_directory(tmp_path, payload=b"garbage"), RULES)
    assert refused.value.why is Refusal.UNREADABLE
    assert refused.value.metadata == {"model": "test-model", "version": "1"}


@pytest.mark.parametrize(
    ("code", "told", "why"),
    [
        (-signal.SIGSEGV, b"", Refusal.CRASH),
        (-signal.SIGFPE, b"noise\n", Refusal.CRASH),
        (-signal.SIGKILL, b"{}\n", Refusal.CRASH),
        (3, b"", Refusal.CRASH),
        (-signal.SIGXCPU, b"", Refusal.TIME),
        (-signal.SIGALRM, b"", Refusal.TIME),
        (0, b'{"why": "MODEL_MEMORY", "message": "Too much."}\n', Refusal.MEMORY),
    ],
)
def test_how_a_process_ended_is_the_reason(code: int, told: bytes, why: Refusal) -> None:
    with pytest.raises(ModelRefused) as refused:
        probe._judge(Path("some/1"), code, told, RULES)
    assert refused.value.why is why


def test_a_process_that_never_answers_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if it blocks the signal that its own timer sends."""
    monkeypatch.setattr(probe, "_STARTING_S", 0.2)
    monkeypatch.setattr(probe, "_PROCESS", "http.server")
    with pytest.raises(ModelRefused) as refused:
        try_model(a_version(tmp_path, "1", 1.0), TrialRules(seconds=0.1))
    assert refused.value.why in (Refusal.TIME, Refusal.CRASH)


def test_a_trial_knows_nothing_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither secrets of the environment nor open files."""
    (tmp_path / "spy.py").write_text(
        "import json, os, sys\n"
        "seen = [*os.environ, str(len(os.listdir('/dev/fd')))]\n"
        "open(os.path.join(os.path.dirname(__file__), 'seen'), 'w').write(' '.join(seen))\n"
        "print(json.dumps({'why': None, 'message': ''}))\n"
    )
    monkeypatch.setenv("NT_INTERNAL_TOKEN", "secret")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(probe, "_PROCESS", "spy")
    kept = [os.open(tmp_path / "spy.py", os.O_RDONLY) for _ in range(40)]
    try_model(a_version(tmp_path, "1", 1.0), RULES)
    for each in kept:
        os.close(each)
    seen = (tmp_path / "seen").read_text().split()
    assert "NT_INTERNAL_TOKEN" not in seen
    assert int(seen[-1]) < 10
