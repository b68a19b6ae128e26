"""What the paper venue may be told."""

from pathlib import Path

import pytest

from services.paper_venue.settings import Settings


def test_a_secret_may_come_as_the_name_of_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with every other process of the fleet; the line's end is no part of it."""
    (tmp_path / "secret").write_text("from the file\n")
    monkeypatch.setenv("NT_PAPER_SECRET_KEY_FILE", str(tmp_path / "secret"))
    assert Settings().secret_key.get_secret_value() == "from the file"


def test_a_secret_in_the_environment_beats_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearer word counts."""
    (tmp_path / "secret").write_text("from the file")
    monkeypatch.setenv("NT_PAPER_SECRET_KEY_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("NT_PAPER_SECRET_KEY", "from the environment")
    assert Settings().secret_key.get_secret_value() == "from the environment"
