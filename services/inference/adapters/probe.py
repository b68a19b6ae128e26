"""A model's trial: it is loaded and run in a process of its own, with limits, before this one touches it.

A file can be valid and still take all memory, run for ever or crash its runtime. The trial process ends instead, and
what happened to it becomes the reason of a refusal.
"""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from services.inference.domain.errors import ModelRefused, Refusal

_PROCESS = "services.inference.adapters.probe_process"
_STARTING_S = 20.0
"""Python and the runtime need a moment of their own, more on a busy machine."""
_LONGEST_TOLD = 2000


@dataclass(frozen=True, slots=True)
class TrialRules:
    """Memory that a model may add to its trial process, seconds it may run, and rows of its largest run."""

    memory_bytes: int = 1024 * 1024 * 1024
    seconds: float = 10.0
    batch_rows: int = 2048


def try_model(directory: Path, rules: TrialRules) -> None:
    """Load and run the version in a directory in a process of its own; raises ModelRefused for what became of it."""
    asked = json.dumps({"directory": str(directory.resolve()), **asdict(rules)})
    with subprocess.Popen(
        [sys.executable, "-m", _PROCESS, asked],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,
    ) as process:
        try:
            told, _ = process.communicate(timeout=_STARTING_S + rules.seconds)
        except subprocess.TimeoutExpired:
            raise _refused(directory, Refusal.TIME, f"Its trial took more than {rules.seconds} s.") from None
        finally:
            process.kill()
    _judge(directory, process.returncode, told[-_LONGEST_TOLD * 4 :], rules)


def _judge(directory: Path, code: int, told: bytes, rules: TrialRules) -> None:
    if code == -signal.SIGXCPU or code == -signal.SIGALRM:
        raise _refused(directory, Refusal.TIME, f"Its trial took more than {rules.seconds} s.")
    try:
        verdict = json.loads(told.splitlines()[-1])
        why, message = verdict["why"], str(verdict["message"])[:_LONGEST_TOLD]
    except (ValueError, IndexError, KeyError, TypeError):
        was = f"Its trial process ended with {_ending(code)} and no word."
        raise _refused(directory, Refusal.CRASH, was) from None
    if why:
        raise _refused(directory, Refusal(why), message)


def _ending(code: int) -> str:
    return signal.Signals(-code).name if -code in set(signal.Signals) else f"code {code}"


def _refused(directory: Path, why: Refusal, message: str) -> ModelRefused:
    return ModelRefused(why, message, model=directory.parent.name, version=directory.name)
