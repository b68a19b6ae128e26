"""Makes the secrets of a composed fleet in the folder `argv[1]`, once: a later run keeps what is there.

NT_ADMIN_API_KEY, where it is set, becomes the admin key. Every file can be read by its owner alone, and the
containers that mount the folder run as that owner.
"""

import os
import secrets
import sys
from pathlib import Path

from fleet.supervisor import keys

VENUE_KEY_ID = "venue.id"
VENUE_SECRET = "venue.secret"  # noqa: S105  # the name of the file, not the secret


def main(folder: Path, chosen_admin_key: str) -> None:
    """Fill the folder; raises OSError when it cannot be written."""
    if chosen_admin_key:
        replace(folder / keys.ADMIN_KEY, chosen_admin_key)
    keys.admin_key(folder)
    keys.internal_token(folder)
    if not (folder / VENUE_SECRET).exists():  # the secret is written last: with it, the pair is whole
        replace(folder / VENUE_KEY_ID, f"PK{secrets.token_hex(9).upper()}")
        replace(folder / VENUE_SECRET, secrets.token_urlsafe(30))


def replace(path: Path, value: str) -> None:
    """Put `value` into the file in one step: a reader sees the old value or the new one."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w") as file:
        file.write(value)
    fresh.replace(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), os.environ.get("NT_ADMIN_API_KEY", "").strip())
