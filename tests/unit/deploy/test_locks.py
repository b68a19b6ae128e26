"""Every lock holds what its service asks for: a package added to pyproject alone would be missing in its image."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
VARIANTS = {"inference.txt": ("inference", "cpu"), "inference-gpu.txt": ("inference", "gpu")}
SERVICES = ("market_data", "execution", "portfolio", "gateway", "paper_venue")
LOCKS = VARIANTS | {f"{name}.txt": (name.replace("_", "-"),) for name in SERVICES} | {"dev.txt": ("fleet",)}


def named(requirement: str) -> str:
    """The package of a requirement, in its canonical spelling."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def asked_for(extra: str) -> set[str]:
    """The packages of an extra, those of the extras that it includes among them."""
    names: set[str] = set()
    for requirement in EXTRAS[extra]:
        own = re.fullmatch(re.escape(PROJECT["name"]) + r"\[(.+)\]", requirement)
        names |= set().union(*map(asked_for, own[1].split(","))) if own else {named(requirement)}
    return names


@pytest.mark.parametrize("lock", sorted(LOCKS))
def test_a_lock_holds_all_that_is_asked_for(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text()
    locked = {named(line) for line in text.splitlines() if line[:1].isalnum()}
    wanted = {named(each) for each in PROJECT["dependencies"]}.union(*map(asked_for, LOCKS[lock]))
    assert wanted - locked == set()
