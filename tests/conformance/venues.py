"""A paper venue as a process of its own, for clients that are processes too."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from servers import REPOSITORY


@contextmanager
def running_venue(*flags: str) -> Iterator[dict[str, Any]]:
    """The addresses of a venue that runs while the block does."""
    command = [sys.executable, "-m", "services.paper_venue", "--json", "--log-level", "WARNING", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(15)
        if process.stdout is not None:
            process.stdout.close()


def findings(python: Path, script: Path, *words: str) -> Any:
    """What a client's script, run by the client's own interpreter, reports as its last line."""
    run = subprocess.run([python, script, *words], capture_output=True, text=True, timeout=180, check=False)
    assert run.returncode == 0, run.stderr[-4000:]
    return json.loads(run.stdout.strip().splitlines()[-1])
