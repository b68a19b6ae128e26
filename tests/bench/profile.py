"""`make profile SERVICE=name`: py-spy samples a running service for ten seconds into build/profile/<name>.svg."""

import argparse
import subprocess
import sys
from pathlib import Path

from fleet.supervisor import state

SECONDS = 10


def main() -> int:
    """Needs a fleet that runs in --data-dir, and the right to look into its processes."""
    parser = argparse.ArgumentParser(prog="make profile", description=__doc__)
    parser.add_argument("service")
    parser.add_argument("--data-dir", type=Path, default=Path(".data"))
    arguments = parser.parse_args()
    note = state.read(arguments.data_dir)
    pid = next((child.pid for child in note.children if child.name == arguments.service), None) if note else None
    if pid is None:
        print(f"No {arguments.service} runs in {arguments.data_dir}: `ntrader up --detach` first.", file=sys.stderr)
        return 1
    target = Path("build/profile") / f"{arguments.service}.svg"
    target.parent.mkdir(parents=True, exist_ok=True)
    spy = str(Path(sys.executable).with_name("py-spy"))
    return subprocess.run(
        [spy, "record", "-d", str(SECONDS), "-o", str(target), "-p", str(pid)], check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
