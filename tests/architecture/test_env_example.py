"""What .env.example offers is what the services read."""

import importlib
import re

from architecture.sources import REPOSITORY, SERVICES
from pydantic import AliasChoices

from fleet.settings import variable_name


def variables_of(service: str) -> set[str]:
    """Every environment variable that a service reads."""
    fields = importlib.import_module(f"services.{service}.settings").Settings.model_fields
    others = {
        str(choice)
        for field in fields.values()
        if isinstance(field.validation_alias, AliasChoices)
        for choice in field.validation_alias.choices
    }
    return others | {variable_name(name, field) for name, field in fields.items()}


def test_every_offered_variable_is_a_setting_of_some_service() -> None:
    offered = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (REPOSITORY / ".env.example").read_text(), re.MULTILINE))
    known = set().union(*(variables_of(service) for service in SERVICES))
    assert offered - known == set()
