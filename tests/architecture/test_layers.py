"""Who may import whom."""

import subprocess
import sys
from pathlib import Path

from architecture.sources import REPOSITORY, SERVICES


def test_every_import_follows_the_layers() -> None:
    """The contracts of .importlinter hold."""
    linter = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([linter, "--no-cache"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]


def test_every_service_is_named_in_the_contracts() -> None:
    """A new service cannot slip past the linter."""
    contracts = (REPOSITORY / ".importlinter").read_text()
    on_disk = {path.parent.name for path in (REPOSITORY / "services").glob("*/__main__.py")}
    assert on_disk == set(SERVICES)
    assert [name for name in on_disk if f"services.{name}\n" not in contracts] == []
