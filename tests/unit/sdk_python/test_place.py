"""Where the gateway is found, and that a local key stays local."""

import json
from pathlib import Path

import pytest
from neural_trader.place import KEY, URL, Place, PlaceUnknown, default_data_dir, find


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """What a running fleet leaves."""
    (tmp_path / "fleet.json").write_text(json.dumps({"gateway": "http://127.0.0.1:8080", "ready": True}))
    (tmp_path / "admin.key").write_text("nt_admin_key\n")
    return tmp_path


def test_the_environment_comes_first(data_dir: Path) -> None:
    told = {URL: "https://trader.example", KEY: "nt_mine"}
    assert find(data_dir, told) == Place("https://trader.example", "nt_mine")


def test_a_fleet_of_this_machine_is_found_by_its_note(data_dir: Path) -> None:
    assert find(data_dir, {}) == Place("http://127.0.0.1:8080", "nt_admin_key")


def test_a_key_of_ones_own_goes_to_the_local_fleet(data_dir: Path) -> None:
    assert find(data_dir, {KEY: "nt_mine"}) == Place("http://127.0.0.1:8080", "nt_mine")


def test_the_local_admin_key_is_never_shown_elsewhere(data_dir: Path) -> None:
    with pytest.raises(PlaceUnknown, match=KEY):
        find(data_dir, {URL: "https://trader.example"})


@pytest.mark.parametrize("missing", ["fleet.json", "admin.key"])
def test_what_is_missing_is_named(data_dir: Path, missing: str) -> None:
    (data_dir / missing).unlink()
    with pytest.raises(PlaceUnknown, match=r"ntrader up|admin\.key"):
        find(data_dir, {})


def test_a_key_is_not_printed(data_dir: Path) -> None:
    assert "nt_admin_key" not in repr(find(data_dir, {}))


def test_the_data_directory_is_the_supervisors() -> None:
    assert default_data_dir({}) == Path(".data")
    assert default_data_dir({"NT_DATA_DIR": "/x"}) == Path("/x")
