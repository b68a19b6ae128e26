"""The secrets of a composed fleet are drawn once and are their owner's alone."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def make_keys(folder: Path, admin_key: str = "") -> dict[str, str]:
    """Run the script as its container does; gives what the folder holds."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "libs"), "NT_ADMIN_API_KEY": admin_key}
    subprocess.run([sys.executable, ROOT / "deploy" / "keys.py", folder], env=environment, check=True)
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_every_secret_is_drawn(tmp_path: Path) -> None:
    """Long enough, and each another one."""
    made = make_keys(tmp_path)
    assert set(made) == {"admin.key", "internal.token", "venue.id", "venue.secret"}
    assert len(set(made.values())) == 4
    assert min(map(len, made.values())) >= 20


def test_nobody_but_the_owner_can_read_them(tmp_path: Path) -> None:
    """Whatever the umask is."""
    make_keys(tmp_path, "nt_chosen_key")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert all(mode & 0o077 == 0 for mode in modes.values()), modes


def test_a_second_run_keeps_what_is_there(tmp_path: Path) -> None:
    """The containers that run already have read them."""
    assert make_keys(tmp_path) == make_keys(tmp_path)


def test_a_chosen_admin_key_takes_the_place_of_a_drawn_one(tmp_path: Path) -> None:
    """And the others stay."""
    drawn = make_keys(tmp_path)
    assert make_keys(tmp_path, "nt_chosen_key\n") == drawn | {"admin.key": "nt_chosen_key"}
    assert make_keys(tmp_path) == drawn | {"admin.key": "nt_chosen_key"}


def test_a_venue_pair_that_was_cut_short_is_drawn_anew(tmp_path: Path) -> None:
    """An id without its secret is of no use."""
    drawn = make_keys(tmp_path)
    (tmp_path / "venue.secret").unlink()
    again = make_keys(tmp_path)
    assert again["venue.id"] != drawn["venue.id"]
    assert again["venue.secret"]


def test_a_folder_that_cannot_be_written_fails_the_start(tmp_path: Path) -> None:
    """Compose then starts nothing."""
    with pytest.raises(subprocess.CalledProcessError):
        make_keys(tmp_path / "absent")
