"""The secrets of a local fleet, made once and kept in files that only their owner reads."""

import os
import secrets
from pathlib import Path

ADMIN_KEY = "admin.key"
INTERNAL_TOKEN = "internal.token"  # noqa: S105  # the name of the file, not the token
VENUE = "venue.json"
VENUE_KEY_ID, VENUE_SECRET = "venue.id", "venue.secret"


def admin_key(data_dir: Path) -> str:
    """The first admin key `nt_<id>_<256-bit secret>`: made on the first call, the same ever after."""
    return _kept(data_dir / ADMIN_KEY, f"nt_{secrets.token_hex(4)}_{secrets.token_hex(32)}")


def internal_token(data_dir: Path) -> str:
    """The token that the services show one another."""
    return _kept(data_dir / INTERNAL_TOKEN, secrets.token_hex(32))


def venue_files(data_dir: Path) -> dict[str, str]:
    """The local exchange's key as its settings: made once, so that an exchange that is started again knows it."""
    _kept(data_dir / VENUE_KEY_ID, f"PK{secrets.token_hex(9).upper()}")
    _kept(data_dir / VENUE_SECRET, secrets.token_urlsafe(30))
    return {
        "NT_PAPER_KEY_ID_FILE": str(data_dir / VENUE_KEY_ID),
        "NT_PAPER_SECRET_KEY_FILE": str(data_dir / VENUE_SECRET),
    }


def _kept(path: Path, fresh: str) -> str:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(descriptor, "w") as file:
        file.write(fresh)
    return fresh


def keep_venue(data_dir: Path, addresses: str) -> None:
    """Keep the local exchange's one JSON line, keys included, for the owner's tools."""
    path = data_dir / VENUE
    path.unlink(missing_ok=True)
    _kept(path, addresses)


def venue(data_dir: Path) -> str | None:
    """The line that `keep_venue` kept, or None when there is none."""
    path = data_dir / VENUE
    return path.read_text() if path.exists() else None
